package gc_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/gc"
)

// TestWhatIsNoBlobInTrashIsLeftAlone: names that no sweep gives, and things that are no files.
func TestWhatIsNoBlobInTrashIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	hex := digestOf("x").Encoded()
	trash := w.store.Dir("trash")
	w.must(os.WriteFile(filepath.Join(trash, "notes.txt"), nil, 0o644))
	w.must(os.WriteFile(filepath.Join(trash, hex[1:]+".a"), nil, 0o644))
	w.must(os.Mkdir(filepath.Join(trash, hex+".b"), 0o755))
	w.must(os.Symlink("/etc/passwd", filepath.Join(trash, hex+".c")))
	before := w.tree()
	plan, result := w.gc(w.collector())
	wantAsPlanned(t, plan, result)
	if after := w.tree(); len(after) != len(before) {
		t.Errorf("%d files before, %d after", len(before), len(after))
	}
}

// TestATrashedBlobMayBeShortOrEmpty: a machine that lost its power leaves such files. Nobody needs this one.
func TestATrashedBlobMayBeShortOrEmpty(t *testing.T) {
	w := newWorld(t)
	w.must(os.WriteFile(filepath.Join(w.store.Dir("trash"), digestOf("x").Encoded()+".a"), nil, 0o000))
	plan, result := w.gc(w.collector())
	wantAsPlanned(t, plan, result)
	w.wantHere()
}

// TestCollectorsShareTheWork runs several over one store, with one that is overtaken at each step by another.
func TestCollectorsShareTheWork(t *testing.T) {
	for _, moment := range []string{gc.Read, gc.Marked, gc.Moved, gc.Decided, gc.Settled} {
		t.Run(moment, func(t *testing.T) {
			w := newWorld(t)
			stays := garbageAndAModel(w)
			w.gc(w.acting(moment, func() { w.gc(w.collector()) }))
			w.gc(w.collector())
			w.wantHere(stays...)
		})
	}
	t.Run("at once", func(t *testing.T) {
		w := newWorld(t)
		stays := garbageAndAModel(w)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				p, err := w.collector().Plan(t.Context(), nil)
				if err == nil {
					_, err = w.collector().Run(t.Context(), p)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		w.gc(w.collector())
		w.wantHere(stays...)
	})
}

// garbageAndAModel fills a store and returns what is to stay.
func garbageAndAModel(w *world) []ocispec.Descriptor {
	w.Helper()
	for _, content := range []string{"a", "b", "c", "d", "e", "f"} {
		w.blob(content)
	}
	_, err := w.store.Trash(digestOf("a"))
	w.must(err)
	f := w.blob("f")
	m := w.manifest(f)
	w.tag("model", m)
	return []ocispec.Descriptor{f, m, w.blob("{}")}
}
