package gc_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/gc"
	"github.com/mstore/mstore/manifest/tags"
)

func digestOf(content string) digest.Digest { return digest.FromString(content) }

// wantAsPlanned compares what a run did with what was planned for it.
func wantAsPlanned(t *testing.T, p *gc.Plan, r *gc.Result) {
	t.Helper()
	want := gc.Result{Removed: p.Remove, Views: p.Views, FreedBytes: p.FreedBytes, Kept: p.Kept}
	for _, tag := range p.Drop {
		want.Dropped = append(want.Dropped, tag.Name)
	}
	got := *r
	got.Removed = slices.SortedFunc(slices.Values(r.Removed), func(a, b gc.Removal) int {
		return strings.Compare(string(a.Digest), string(b.Digest))
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("planned (-) and done (+):\n%s", diff)
	}
}

// acting is a collector that calls act once, at a moment of its Run.
func (w *world) acting(moment string, act func()) *gc.Collector {
	c := w.collector()
	gc.At(c, func(m string) {
		if m == moment && act != nil {
			f := act
			act = nil
			f()
		}
	})
	return c
}

func TestADryRunChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.blob("loose")
	trashed := w.blob("trashed")
	_, err := w.store.Trash(trashed.Digest)
	w.must(err)
	m := w.manifest(w.blob("f"))
	w.tag("stays", w.manifest(w.blob("g")))
	drop := w.tag("goes", m)
	w.lease(w.blob("held").Digest)
	before := w.tree()
	plan, err := w.collector().Plan(t.Context(), []tags.Tag{drop})
	w.must(err)
	if diff := cmp.Diff(before, w.tree()); diff != "" {
		t.Errorf("before the plan (-) and after (+):\n%s", diff)
	}
	if len(plan.Remove) != 4 || plan.FreedBytes != 5+7+1+m.Size || plan.Kept != 4 {
		t.Errorf("plan %+v, want 4 blobs to go (loose, trashed, f and its manifest) and 4 to stay", plan)
	}
	result, err := w.collector().Run(t.Context(), plan)
	w.must(err)
	wantAsPlanned(t, plan, result)
}

// TestARunRemovesWhatIsInThePlanAlone: what became garbage later is for the next plan.
func TestARunRemovesWhatIsInThePlanAlone(t *testing.T) {
	w := newWorld(t)
	w.blob("planned")
	plan, err := w.collector().Plan(t.Context(), nil)
	w.must(err)
	later := w.blob("later")
	_, err = w.collector().Run(t.Context(), plan)
	w.must(err)
	w.wantHere(later)
}

// TestWhatComesToLifeStays brings a planned blob to life at each moment before it is gone, in each way.
func TestWhatComesToLifeStays(t *testing.T) {
	type model struct{ f, m ocispec.Descriptor }
	ways := map[string]func(w *world, x model){
		"a tag is set": func(w *world, x model) { w.tag("new", x.m) },
		"a lease holds the manifest": func(w *world, x model) {
			w.lease(x.m.Digest)
		},
		"a puller holds, looks, tags and releases": func(w *world, x model) {
			l, err := w.store.Lease()
			w.must(err)
			for _, d := range []digest.Digest{x.f.Digest, digestOf("{}"), x.m.Digest} {
				_, err := l.Stat(d)
				w.must(err)
			}
			w.tag("new", x.m)
			w.must(l.Release())
		},
	}
	for _, moment := range []string{"planned", gc.Dropped, gc.Marked, gc.Moved} {
		for way, live := range ways {
			t.Run(moment+", "+way, func(t *testing.T) {
				w := newWorld(t)
				w.blob("loose")
				f := w.blob("f")
				x := model{f, w.manifest(f)}
				drop := w.tag("dropped", w.manifest(w.blob("g"))) // so that tags are dropped at all
				c := w.acting(moment, func() { live(w, x) })
				plan, err := c.Plan(t.Context(), []tags.Tag{drop})
				w.must(err)
				if moment == "planned" {
					live(w, x)
				}
				result, err := c.Run(t.Context(), plan)
				w.must(err)
				w.wantHere(x.f, x.m, w.blob("{}"))
				if result.Kept != 3 || len(result.Removed) != 3 {
					t.Errorf("kept %d and removed %v, want 3 and 3", result.Kept, result.Removed)
				}
			})
		}
	}
}

func TestATagThatIsPinnedOrMovedAfterThePlanStays(t *testing.T) {
	for name, change := range map[string]func(w *world, m ocispec.Descriptor){
		"pinned": func(w *world, _ ocispec.Descriptor) { w.must(w.tags.Pin("model")) },
		"in use": func(w *world, m ocispec.Descriptor) { w.lease(m.Digest) },
		"moved":  func(w *world, m ocispec.Descriptor) { w.tag("model", w.index(m)) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			m := w.manifest(w.blob("f"))
			plan, err := w.collector().Plan(t.Context(), []tags.Tag{w.tag("model", m)})
			w.must(err)
			change(w, m)
			was := w.here()
			result, err := w.collector().Run(t.Context(), plan)
			w.must(err)
			if _, err := w.tags.Get("model"); err != nil || len(result.Dropped) > 0 {
				t.Errorf("the tag: %v, dropped %v", err, result.Dropped)
			}
			if diff := cmp.Diff(was, w.here()); diff != "" {
				t.Errorf("blobs before (-) and after (+):\n%s", diff)
			}
		})
	}
}

// TestAReaderPutsBackWhatASweepMoved: the reader finds the blob; whether it stays is the roots' business.
func TestAReaderPutsBackWhatASweepMoved(t *testing.T) {
	w := newWorld(t)
	f := w.blob("f")
	c := w.acting(gc.Moved, func() {
		raw, err := w.store.ReadAll(f.Digest, 1)
		if err != nil || string(raw) != "f" {
			t.Errorf("read %q, %v in the middle of a sweep", raw, err)
		}
	})
	w.gc(c)
	w.wantHere(f)
	w.gc(w.collector())
	w.wantHere()
}

// TestMoreThanABatch has a tag come back while the second batch is moved, for blobs of the first and of the third.
func TestMoreThanABatch(t *testing.T) {
	w := newWorld(t)
	for i := range 2500 {
		plainBlob(w, fmt.Sprint("blob ", i))
	}
	all := w.here()
	first, last := all[0], all[len(all)-1]
	moved := 0
	c := w.collector()
	gc.At(c, func(moment string) {
		if moment == gc.Moved {
			if moved++; moved == 2 {
				w.lease(first, last)
			}
			left, err := w.store.Trashed()
			w.must(err)
			if len(left) > 1024 {
				t.Errorf("%d blobs lie in trash at once", len(left))
			}
			if moved == 3 && slices.ContainsFunc(left, func(t blobstore.Trashed) bool { return t.Digest() == last }) {
				t.Error("a blob was moved that the read before it found live")
			}
		}
	})
	_, r := w.gc(c)
	if got := w.here(); len(got) != 1 || got[0] != last {
		t.Errorf("left: %v, want the one that came to life before its batch", got)
	}
	if moved != 3 || len(r.Removed) != 2499 || r.Kept != 1 {
		t.Errorf("%d batches, %d removed, %d kept", moved, len(r.Removed), r.Kept)
	}
}

// plainBlob writes a blob past the door, without its syncs.
func plainBlob(w *world, content string) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: "x/y", Digest: digestOf(content), Size: int64(len(content))}
	w.must(os.WriteFile(w.path(d), []byte(content), 0o444))
	return d
}

func TestGraceKeepsWhatIsYoung(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name     string
		doubtful bool
		grace    time.Duration
		age      time.Duration
		stays    bool
	}{
		{"no grace", false, 0, 0, false},
		{"young", false, time.Hour, 59 * time.Minute, true},
		{"old", false, time.Hour, 61 * time.Minute, false},
		{"locks do nothing, young", true, 0, 23 * time.Hour, true},
		{"locks do nothing, old", true, 0, 25 * time.Hour, false},
		{"locks do nothing, a grace of its own", true, time.Hour, 2 * time.Hour, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			if test.doubtful {
				root := w.store.Root()
				w.must(os.WriteFile(filepath.Join(root, "store.json"), []byte(`{"version":1,"locks":false}`), 0o644))
				w = openWorld(t, root)
			}
			f := w.blob("f")
			w.must(os.Chtimes(w.path(f), now, now.Add(-test.age)))
			c := w.collector()
			c.Grace, c.Now = test.grace, func() time.Time { return now }
			plan, result := w.gc(c)
			wantAsPlanned(t, plan, result)
			if got := len(w.here()) == 1; got != test.stays {
				t.Errorf("stays: %v, want %v", got, test.stays)
			}
		})
	}
}

func TestABlobThatIsUsedAgainAfterThePlanIsYoung(t *testing.T) {
	w := newWorld(t)
	f := w.blob("f")
	c := w.collector()
	c.Grace, c.Now = time.Hour, func() time.Time { return time.Now().Add(2 * time.Hour) }
	plan, err := c.Plan(t.Context(), nil)
	w.must(err)
	w.must(os.Chtimes(w.path(f), time.Now(), time.Now().Add(2*time.Hour)))
	result, err := c.Run(t.Context(), plan)
	w.must(err)
	if w.wantHere(f); result.Kept != 1 {
		t.Errorf("kept %d, want 1", result.Kept)
	}
}

func TestOldIngestsAreReaped(t *testing.T) {
	w := newWorld(t)
	l := w.lease()
	in, err := l.Ingest(t.Context(), blobstore.Want{Digest: digestOf("whole"), Size: 5})
	w.must(err)
	_, err = in.WriteAt([]byte("wh"), 0)
	w.must(err)
	w.must(in.Close())
	_, r := w.gc(w.collector())
	if r.ReapedBytes != 0 {
		t.Errorf("a young partial blob was reaped")
	}
	old := time.Now().Add(-8 * 24 * time.Hour)
	w.must(filepath.WalkDir(w.store.Dir("ingest"), func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(path, old, old))
	}))
	if _, r = w.gc(w.collector()); r.ReapedBytes == 0 {
		t.Errorf("an old partial blob was not reaped")
	}
}
