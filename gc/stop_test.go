package gc_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/gc"
)

// spoiled are ways in which what a collector must read cannot be read. Each returns what the error must name.
var spoiled = map[string]func(w *world, m ocispec.Descriptor) []string{
	"manifest gone": func(w *world, m ocispec.Descriptor) []string {
		w.must(os.Remove(w.path(m)))
		return []string{`"model"`, string(m.Digest)}
	},
	"manifest with other bytes": func(w *world, m ocispec.Descriptor) []string {
		overwrite(w, w.path(m), strings.Repeat(" ", int(m.Size)))
		return []string{`"model"`, string(m.Digest)}
	},
	"a link in place of the manifest": func(w *world, m ocispec.Descriptor) []string {
		w.must(os.Remove(w.path(m)))
		w.must(os.Symlink("README", w.path(m)))
		return []string{`"model"`, string(m.Digest)}
	},
	"a tag of what is no manifest": func(w *world, _ ocispec.Descriptor) []string {
		d := w.blob("weights")
		w.tag("odd", d)
		return []string{`"odd"`, string(d.Digest)}
	},
	"a tag of what is too large": func(w *world, _ ocispec.Descriptor) []string {
		d := w.blob(strings.Repeat(" ", 4<<20+1))
		w.tag("large", d)
		return []string{`"large"`, string(d.Digest)}
	},
	"a tag whose digest is none": func(w *world, _ ocispec.Descriptor) []string {
		w.tag("hostile", ocispec.Descriptor{Digest: "sha256:../../etc/passwd"})
		return []string{`"hostile"`}
	},
	"a manifest in an index that cannot be parsed": func(w *world, _ ocispec.Descriptor) []string {
		d := w.blob(`{"schemaVersion":2}`)
		d.MediaType = ocispec.MediaTypeImageManifest
		w.tag("index", w.index(d))
		return []string{`"index"`, string(d.Digest)}
	},
	"more indexes than may follow each other": func(w *world, m ocispec.Descriptor) []string {
		for range 5 {
			m = w.index(m)
		}
		w.tag("deep", m)
		return []string{`"deep"`}
	},
	"a tag's file that is none": func(w *world, _ ocispec.Descriptor) []string {
		path := filepath.Join(w.store.Dir("tags"), "broken")
		w.must(os.WriteFile(path, []byte("{"), 0o644))
		return []string{path}
	},
	"tags that cannot be listed": func(w *world, _ ocispec.Descriptor) []string {
		replaceByFile(w, w.store.Dir("tags"))
		return []string{"tags"}
	},
	"leases that cannot be listed": func(w *world, _ ocispec.Descriptor) []string {
		replaceByFile(w, w.store.Dir("leases"))
		return []string{"leases"}
	},
	"a lease that is too long to read": func(w *world, _ ocispec.Descriptor) []string {
		path := filepath.Join(w.store.Dir("leases"), "long")
		w.must(os.WriteFile(path, nil, 0o644))
		w.must(os.Truncate(path, 65<<20))
		return []string{"lease"}
	},
	"a leased blob whose bytes are wrong": func(w *world, _ ocispec.Descriptor) []string {
		d := w.blob("leased")
		w.lease(d.Digest)
		overwrite(w, w.path(d), "wrong!")
		return []string{string(d.Digest), "lease"}
	},
}

func overwrite(w *world, path, content string) {
	w.Helper()
	w.must(os.Chmod(path, 0o644))
	w.must(os.WriteFile(path, []byte(content), 0o644))
	w.must(os.Chmod(path, 0o444))
}

func replaceByFile(w *world, dir string) {
	w.Helper()
	w.must(os.RemoveAll(dir))
	w.must(os.WriteFile(dir, nil, 0o644))
}

func TestUnreadableMeansStop(t *testing.T) {
	for name, spoil := range spoiled {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			loose := w.blob("loose")
			m := w.manifest(w.blob("f"))
			w.tag("model", m)
			before, err := w.collector().Plan(t.Context(), nil) // and what a plan from before the fault does
			w.must(err)
			if len(before.Remove) != 1 || before.Remove[0].Digest != loose.Digest {
				t.Fatalf("the plan removes %v", before.Remove)
			}
			names := spoil(w, m)
			was := w.here()
			_, planErr := w.collector().Plan(t.Context(), nil)
			_, runErr := w.collector().Run(t.Context(), before)
			for _, err := range []error{planErr, runErr} {
				wantStop(t, err, names...)
			}
			if diff := cmp.Diff(was, w.here()); diff != "" {
				t.Errorf("blobs before (-) and after (+):\n%s", diff)
			}
		})
	}
}

func wantStop(t *testing.T, err error, names ...string) {
	t.Helper()
	if !errors.Is(err, gc.ErrUnreadable) {
		t.Fatalf("error %v, want ErrUnreadable", err)
	}
	for _, name := range names {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("error %q does not name %s", err, name)
		}
	}
}

func TestWhatCannotBeReadBeforeTheSecondReadGoesBack(t *testing.T) {
	for name, spoil := range spoiled {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.blob("loose")
			m := w.manifest(w.blob("f"))
			w.tag("model", m)
			var was int
			c := w.collector()
			known := name == "manifest gone" || name == "manifest with other bytes" || name == "a link in place of the manifest"
			gc.At(c, func(moment string) {
				if moment == gc.Moved {
					spoil(w, m)
					was = len(w.here()) + 1
				}
			})
			plan, err := c.Plan(t.Context(), nil)
			w.must(err)
			if _, err = c.Run(t.Context(), plan); known {
				w.must(err) // it was read, and what it refers to cannot change
				return
			}
			wantStop(t, err)
			if got := len(w.here()); got != was {
				t.Errorf("%d blobs, want %d: those that were moved are to go back", got, was)
			}
		})
	}
}

func TestACancelledRunPutsBackWhatItMoved(t *testing.T) {
	w := newWorld(t)
	loose := w.blob("loose")
	ctx, cancel := context.WithCancel(t.Context())
	c := w.collector()
	gc.At(c, func(moment string) {
		if moment == gc.Moved {
			cancel()
		}
	})
	plan, err := c.Plan(ctx, nil)
	w.must(err)
	result, err := c.Run(ctx, plan)
	if !errors.Is(err, context.Canceled) || errors.Is(err, gc.ErrUnreadable) {
		t.Fatalf("error %v, want that of the context alone", err)
	}
	if len(result.Removed) > 0 || result.Kept != 1 {
		t.Errorf("result %+v, want one blob kept", result)
	}
	w.wantHere(loose)
	if _, err := c.Plan(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Plan = %v, want that of the context", err)
	}
}

// TestAManifestThatGoesWithItsTagIsNoFault is about two collectors: the other one drops a tag that this one has read, and
// sweeps, before this one comes to read the manifest.
func TestAManifestThatGoesWithItsTagIsNoFault(t *testing.T) {
	for name, next := range map[string]func(w *world) (stays []ocispec.Descriptor){
		"dropped": func(w *world) []ocispec.Descriptor {
			w.must(w.tags.Delete(context.Background(), "model", ""))
			return nil
		},
		"moved": func(w *world) []ocispec.Descriptor {
			f := w.blob("new")
			m := w.manifest(f)
			w.tag("model", m)
			return []ocispec.Descriptor{m, f, w.blob("{}")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.blob("loose")
			w.tag("model", w.manifest(w.blob("f")))
			var stays []ocispec.Descriptor
			c := w.collector()
			done := false
			gc.At(c, func(moment string) {
				if moment == gc.Read && !done {
					done = true
					stays = next(w)
					w.gc(w.collector())
				}
			})
			w.gc(c)
			w.wantHere(stays...)
		})
	}
}
