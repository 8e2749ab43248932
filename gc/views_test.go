package gc_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/gc"
	"github.com/mstore/mstore/manifest/tags"
)

// views is a Views over links in a folder of their own.
type views struct {
	*world
	dirs    map[digest.Digest]string
	removed func(d digest.Digest) error // before it is
}

func newViews(w *world) *views {
	return &views{world: w, dirs: make(map[digest.Digest]string), removed: func(digest.Digest) error { return nil }}
}

// view lays a model of one file out.
func (v *views) view(m, file ocispec.Descriptor) {
	v.Helper()
	dir := v.TempDir()
	v.must(os.Link(v.path(file), filepath.Join(dir, "file")))
	v.dirs[m.Digest] = dir
}

func (v *views) List() ([]digest.Digest, error) { return slices.Collect(maps.Keys(v.dirs)), nil }

func (v *views) Remove(d digest.Digest) error {
	if err := v.removed(d); err != nil {
		return err
	}
	dir := v.dirs[d]
	delete(v.dirs, d)
	return os.RemoveAll(dir)
}

// viewed is a store with a model that stays and one whose tag goes, each with a view.
func viewed(t *testing.T) (w *world, v *views, stays, goes tags.Tag, file ocispec.Descriptor) {
	t.Helper()
	w = newWorld(t)
	v = newViews(w)
	f, g := w.blob("stays"), w.blob("goes")
	stays, goes = w.tag("stays", w.manifest(f)), w.tag("goes", w.manifest(g))
	v.view(stays.Descriptor, f)
	v.view(goes.Descriptor, g)
	return w, v, stays, goes, g
}

func (w *world) collectorOf(v gc.Views) *gc.Collector {
	c := w.collector()
	c.Views = v
	return c
}

// TestAViewGoesWithItsModel: after its manifest, so that nobody finds the model and uses the view, and before its
// files, so that they are gone for good when they are counted.
func TestAViewGoesWithItsModel(t *testing.T) {
	w, v, stays, goes, file := viewed(t)
	v.view(ocispec.Descriptor{Digest: digestOf("a model that is no more")}, file)
	v.removed = func(d digest.Digest) error {
		if slices.Contains(w.here(), d) || d == stays.Descriptor.Digest {
			t.Errorf("the view of %s is removed, its manifest is here", d)
		}
		if !slices.Contains(w.here(), file.Digest) {
			t.Error("a file was removed before the view that shares its space")
		}
		return nil
	}
	plan, result := w.gc(w.collectorOf(v), goes)
	wantAsPlanned(t, plan, result)
	want := slices.Sorted(slices.Values([]digest.Digest{goes.Descriptor.Digest, digestOf("a model that is no more")}))
	if diff := cmp.Diff(want, result.Views); diff != "" {
		t.Errorf("views removed, want (-) and got (+):\n%s", diff)
	}
	if len(v.dirs) != 1 || v.dirs[stays.Descriptor.Digest] == "" {
		t.Errorf("views left: %v", v.dirs)
	}
	w.wantHere(w.blob("stays"), stays.Descriptor, w.blob("{}"))
}

// TestAViewOfAModelThatComesToLifeStays: whoever uses a view holds its manifest and looks for it first.
func TestAViewOfAModelThatComesToLifeStays(t *testing.T) {
	for _, moment := range []string{gc.Read, gc.Dropped, gc.Marked, gc.Moved, gc.Decided} {
		t.Run(moment, func(t *testing.T) {
			w, v, _, goes, file := viewed(t)
			plan, err := w.collectorOf(v).Plan(t.Context(), []tags.Tag{goes})
			w.must(err)
			c := w.acting(moment, func() {
				_, err := w.lease().Stat(goes.Descriptor.Digest)
				w.must(err)
			})
			c.Views = v
			_, err = c.Run(t.Context(), plan)
			w.must(err)
			if len(v.dirs) != 2 {
				t.Error("the view of a model in use was removed")
			}
			if _, err := w.store.Stat(file.Digest); err != nil {
				t.Errorf("a file of a model in use: %v", err)
			}
		})
	}
}

// TestAFileThatComesToLifeWhileAViewIsRemoved is between the two sweeps of a run.
func TestAFileThatComesToLifeWhileAViewIsRemoved(t *testing.T) {
	w, v, _, goes, file := viewed(t)
	v.removed = func(digest.Digest) error {
		w.lease(file.Digest)
		return nil
	}
	_, result := w.gc(w.collectorOf(v), goes)
	if _, err := w.store.Stat(file.Digest); err != nil || len(result.Removed) != 1 {
		t.Errorf("the file: %v, removed %v; want the manifest alone removed", err, result.Removed)
	}
}

func TestViewsThatFail(t *testing.T) {
	w, v, stays, goes, file := viewed(t)
	fault := errors.New("no")
	v.removed = func(digest.Digest) error { return fault }
	c := w.collectorOf(v)
	plan, err := c.Plan(t.Context(), []tags.Tag{goes})
	w.must(err)
	result, err := c.Run(t.Context(), plan)
	if !errors.Is(err, fault) || len(result.Removed) != 1 || len(result.Views) > 0 {
		t.Errorf("error %v, result %+v; want the fault, and the manifest removed", err, result)
	}
	if _, err := w.store.Stat(file.Digest); err != nil {
		t.Errorf("the file of a view that is there: %v", err)
	}
	v.removed = func(digest.Digest) error { return nil }
	w.gc(c)
	w.wantHere(w.blob("stays"), stays.Descriptor, w.blob("{}"))
	if len(v.dirs) != 1 {
		t.Errorf("views left: %v", v.dirs)
	}
}

// noViews is a store's views where there are none.
type noViews struct{}

func (noViews) List() ([]digest.Digest, error) { return nil, nil }
func (noViews) Remove(digest.Digest) error     { return nil }
