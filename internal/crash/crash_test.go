//go:build unix

package crash_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mstore/mstore/internal/registrytest"
	"github.com/mstore/mstore/internal/storecheck"
)

// world is what all cases start from: a folder with a store and with what lies beside it.
type world struct {
	dir     string // holds store/ and model/
	host    string // of a registry with org/model:v1
	damaged string // below the store: the blob that verify has to repair, if any
}

// command is what is tried.
type command struct {
	args    []string // in which $dir is the case's folder, $host the registry's, $case a name of its own
	prepare func(t *testing.T, w *world)
	deletes string // the file in tags/ that the command may delete
	again   []int  // codes of a second run that are right besides 0
	tag     string // that is there in the end
}

// commands are those that change something.
var commands = map[string]command{
	"pull":       {args: []string{"pull", "$host/org/model:v1"}},
	"push":       {args: []string{"push", "keep:v1", "$host/org/$case:v1"}},
	"import":     {args: []string{"import", "$dir/model", "--as", "new:v1"}, tag: "new:v1"},
	"tag":        {args: []string{"tag", "keep:v1", "other:v1"}, tag: "other:v1"},
	"rm":         {args: []string{"rm", "drop:v1"}, deletes: "drop", again: []int{3}},
	"pin":        {args: []string{"pin", "keep:v1"}},
	"gc":         {args: []string{"gc"}, prepare: func(t *testing.T, w *world) { t.Helper(); must(t, w.dir+"/store", "rm", "drop:v1") }},
	"repair":     {args: []string{"verify", "--repair"}, prepare: damage},
	"export":     {args: []string{"export", "keep:v1", "$dir/out"}},
	"export oci": {args: []string{"export", "keep:v1", "$dir/out", "--layout", "oci"}},
	"path":       {args: []string{"path", "keep:v1"}},
	"compress":   {args: []string{"gc", "--compress"}, prepare: weights, tag: "cold:v1"},
	"unpack":     {args: []string{"export", "cold:v1", "$dir/out"}, prepare: pack, tag: "cold:v1"},
	"gc packed": {args: []string{"gc"}, prepare: func(t *testing.T, w *world) {
		t.Helper()
		pack(t, w)
		must(t, w.dir+"/store", "rm", "cold:v1")
	}},
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), host: registrytest.Start(t, registrytest.Options{}).Host}
	store := filepath.Join(w.dir, "store")
	for _, m := range []string{"keep", "drop", "remote"} {
		dir := filepath.Join(t.TempDir(), m)
		write(t, dir+"/config.json", `{"model_type":"`+m+`"}`)
		write(t, dir+"/README.md", strings.Repeat(m+"\n", 20_000))
		must(t, store, "import", dir, "--as", m+":v1")
	}
	write(t, w.dir+"/model/config.json", `{"model_type":"new"}`)
	write(t, w.dir+"/model/README.md", strings.Repeat("new\n", 20_000))
	must(t, store, "push", "remote:v1", w.host+"/org/model:v1")
	must(t, store, "rm", "remote:v1")
	must(t, store, "gc")
	return w
}

// damage pulls a model and flips a byte of its largest blob.
func damage(t *testing.T, w *world) {
	t.Helper()
	store := filepath.Join(w.dir, "store")
	before := blobs(t, store)
	must(t, store, "pull", w.host+"/org/model:v1")
	for path := range blobs(t, store) {
		raw, err := os.ReadFile(path)
		if _, old := before[path]; old || err != nil || !bytes.HasPrefix(raw, []byte("remote\n")) {
			continue
		}
		raw[7] ^= 1
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		write(t, path, string(raw))
		if err := os.Chmod(path, 0o444); err != nil {
			t.Fatal(err)
		}
		w.damaged = filepath.Base(path)
	}
	if w.damaged == "" {
		t.Fatal("nothing was damaged")
	}
}

// weights brings in a model with a file that is large enough to be packed.
func weights(t *testing.T, w *world) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "cold")
	write(t, dir+"/pytorch_model.bin", strings.Repeat("0123456789abcdef", 70_000))
	must(t, w.dir+"/store", "import", dir, "--as", "cold:v1")
}

func pack(t *testing.T, w *world) {
	t.Helper()
	weights(t, w)
	must(t, w.dir+"/store", "gc", "--compress")
	if packed, err := filepath.Glob(w.dir + "/store/packed/sha256/*"); err != nil || len(packed) != 1 {
		t.Fatal("packed:", packed, err)
	}
}

func blobs(t *testing.T, store string) map[string]struct{} {
	t.Helper()
	all := make(map[string]struct{})
	paths, err := filepath.Glob(filepath.Join(store, "blobs", "sha256", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		all[p] = struct{}{}
	}
	return all
}

// round is one case: a copy of the world, a command and what happens to it.
type round struct {
	*world
	command

	name, what string
	dir        string
	at         int
}

func (r *round) words() []string {
	words := slices.Clone(r.args)
	replace := strings.NewReplacer("$dir", r.dir, "$host", r.host, "$case", strings.ToLower(filepath.Base(r.dir)))
	for i := range words {
		words[i] = replace.Replace(words[i])
	}
	return words
}

func (r *round) store() string { return filepath.Join(r.dir, "store") }

func begin(t *testing.T, w *world, name, what string, at int) *round {
	t.Helper()
	r := &round{world: w, command: commands[name], name: name, what: what, at: at, dir: filepath.Join(t.TempDir(), fmt.Sprintf("%s%d", what, at))}
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", w.dir, r.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return r
}

// disturb runs the command with its disturbance, looks, runs it again and looks again.
func (r *round) disturb(t *testing.T) {
	t.Helper()
	variable := fmt.Sprintf("MSTORE_FAILPOINT=%s:%d", r.what, r.at)
	if r.at == 0 {
		variable = "MSTORE_FLOCK=" + r.what
	}
	code, said := mstore(t, r.store(), variable, r.words()...)
	right := []int{0, 8}
	switch {
	case r.at == 0:
		right = []int{0}
	case strings.HasPrefix(r.what, "kill"):
		right = []int{0, killed}
	case r.what == "lie", r.damaged != "": // the bad blob stays, and is told of
		right = []int{0, 4, 8}
	}
	if !slices.Contains(right, code) {
		t.Errorf("%s with %s at %d: exit code %d: %s", r.name, r.what, r.at, code, said)
	}
	r.look(t, "after "+fmt.Sprint(code), r.damaged)
	code, said = mstore(t, r.store(), "", r.words()...)
	if code != 0 && !slices.Contains(r.again, code) {
		t.Errorf("%s after %s at %d, again: exit code %d: %s", r.name, r.what, r.at, code, said)
	}
	r.look(t, "again", "")
	if r.name == "export" {
		got, err := os.ReadFile(filepath.Join(r.dir, "out", "README.md"))
		if err != nil || string(got) != strings.Repeat("keep\n", 20_000) {
			t.Errorf("export with %s at %d: %d bytes, %v", r.what, r.at, len(got), err)
		}
	}
	if r.tag != "" {
		must(t, r.store(), "has", r.tag)
	}
}

// look lets the judge see the store, and holds the tags against those of the world.
func (r *round) look(t *testing.T, when, damaged string) {
	t.Helper()
	for _, f := range storecheck.Bad(storecheck.Check(r.store(), storecheck.Options{})) {
		if damaged == "" || !strings.Contains(f.Path+f.Text, damaged) && !strings.Contains(f.Path, "org") {
			t.Errorf("%s with %s at %d, %s: %v", r.name, r.what, r.at, when, f)
		}
	}
	entries, err := os.ReadDir(filepath.Join(r.world.dir, "store", "tags"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if r.deletes != "" && strings.Contains(e.Name(), r.deletes) {
			continue
		}
		want, err := os.ReadFile(filepath.Join(r.world.dir, "store", "tags", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(r.store(), "tags", e.Name())); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s with %s at %d, %s: the tag %s changed: %v", r.name, r.what, r.at, when, e.Name(), err)
		}
	}
}

// steps is how many steps the undisturbed command has.
func steps(t *testing.T, w *world, name string) int {
	t.Helper()
	r := begin(t, w, name, "count", 0)
	log := filepath.Join(r.dir, "steps")
	if code, said := mstore(t, r.store(), "MSTORE_FAILPOINT_LOG="+log, r.words()...); code != 0 {
		t.Fatalf("%s: exit code %d: %s", name, code, said)
	}
	raw, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(raw, []byte("\n"))
}

// TestEveryStep kills each command before and after each step, and lets each step fail.
func TestEveryStep(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for name, c := range commands {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if c.prepare != nil {
				c.prepare(t, w)
			}
			n := steps(t, w, name)
			var kills, faults []*round
			for k := 1; k <= n; k++ {
				for _, what := range []string{"kill-before", "kill-after"} {
					kills = append(kills, begin1(w, name, what, k))
				}
				for _, what := range []string{"ENOSPC", "EIO", "EMFILE", "EDQUOT", "short", "lie"} {
					faults = append(faults, begin1(w, name, what, k))
				}
			}
			if !large() {
				random.Shuffle(len(kills), func(i, j int) { kills[i], kills[j] = kills[j], kills[i] })
				random.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
				kills, faults = kills[:min(len(kills), 16)], faults[:min(len(faults), 16)]
			}
			t.Logf("%-10s %4d steps %5d kills %5d errors", name, n, len(kills), len(faults))
			locks := []*round{begin1(w, name, "ENOLCK", 0), begin1(w, name, "nothing", 0)}
			runAll(t, slices.Concat(kills, faults, locks))
		})
	}
}

func begin1(w *world, name, what string, at int) *round {
	return &round{world: w, name: name, what: what, at: at}
}

// runAll runs rounds, two at once.
func runAll(t *testing.T, rounds []*round) {
	t.Helper()
	todo := make(chan *round)
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for r := range todo {
				full := begin(t, r.world, r.name, r.what, r.at)
				full.disturb(t)
				_ = os.RemoveAll(filepath.Dir(full.dir))
			}
		})
	}
	for _, r := range rounds {
		todo <- r
	}
	close(todo)
	workers.Wait()
}

// TestTheJudgeSeesWhatALieDoes is the control: a blob of which half is missing, and a tag of which half is, are found.
func TestTheJudgeSeesWhatALieDoes(t *testing.T) {
	w := newWorld(t)
	for _, folder := range []string{"blobs/sha256", "tags"} {
		r := begin(t, w, "pin", "control", len(folder))
		paths, err := filepath.Glob(filepath.Join(r.store(), folder, "*"))
		if err != nil || len(paths) == 0 {
			t.Fatal(paths, err)
		}
		info, err := os.Stat(paths[0])
		if err == nil {
			err = os.Truncate(paths[0], info.Size()/2)
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(storecheck.Bad(storecheck.Check(r.store(), storecheck.Options{}))) == 0 {
			t.Errorf("half of %s is missing, and nobody sees it", paths[0])
		}
	}
}
