//go:build unix

package crash_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mstore/mstore/internal/storecheck"
)

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
	r.resume(t, code)
}

// resume looks at what the disturbed command left, runs it again and looks again.
func (r *round) resume(t *testing.T, code int) {
	t.Helper()
	r.look(t, "after "+fmt.Sprint(code), r.damaged)
	code, said := mstore(t, r.store(), "", r.words()...)
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
	if strings.HasPrefix(r.what, "kill") {
		r.recover(t)
	}
}

// recover wants nothing to be left of the killed process once the store was repaired and swept, a month later.
func (r *round) recover(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(r.store(), func(path string, e fs.DirEntry, err error) error {
		if err == nil && (strings.HasPrefix(e.Name(), ".") || strings.HasPrefix(path, filepath.Join(r.store(), "ingest")+"/")) {
			const month = 30 * 24 * time.Hour
			then := time.Now().Add(-month)
			err = os.Chtimes(path, then, then)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	must(t, r.store(), "verify", "--repair")
	must(t, r.store(), "gc")
	for _, f := range storecheck.Check(r.store(), storecheck.Options{Recovered: true, Swept: true}) {
		t.Errorf("%s with %s at %d, recovered: %v", r.name, r.what, r.at, f)
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
