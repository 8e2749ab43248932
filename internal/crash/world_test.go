//go:build unix

package crash_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mstore/mstore/internal/registrytest"
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
	"clear":      {args: []string{"gc", "--all", "--yes"}, deletes: "v1"},
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
