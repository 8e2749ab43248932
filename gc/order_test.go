package gc_test

import (
	"context"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/gc"
)

// inTurn is a collector whose nth visit of each moment calls what acts has for it.
func (w *world) inTurn(acts map[string][]func()) *gc.Collector {
	c := w.collector()
	visits := make(map[string]int)
	gc.At(c, func(moment string) {
		n := visits[moment]
		visits[moment]++
		if n < len(acts[moment]) && acts[moment][n] != nil {
			acts[moment][n]()
		}
	})
	return c
}

// TestAPullerThatTagsAndReleasesDuringTheSecondReadIsSeen: it was held when the leases were read, and tagged when the
// tags were. Read the other way round, it would be neither.
func TestAPullerThatTagsAndReleasesDuringTheSecondReadIsSeen(t *testing.T) {
	w := newWorld(t)
	f := w.blob("f")
	m := w.manifest(f)
	all := []digest.Digest{f.Digest, m.Digest, digestOf("{}")}
	plan, err := w.collector().Plan(t.Context(), nil)
	w.must(err)
	var lease *blobstore.Lease
	c := w.inTurn(map[string][]func(){
		gc.Marked: {func() { // it finds all, and nothing is in trash yet
			lease = w.lease(all...)
			for _, d := range all {
				_, err := lease.Stat(d)
				w.must(err)
			}
		}},
		gc.Held: {nil, func() {
			w.tag("model", m)
			w.must(lease.Release())
		}},
	})
	_, err = c.Run(t.Context(), plan)
	w.must(err)
	w.wantHere(f, m, w.blob("{}"))
}

// TestAManifestOfAnIndexThatComesLater: an index was read while one of its manifests was not here. The file that the
// manifest needs was.
func TestAManifestOfAnIndexThatComesLater(t *testing.T) {
	w := newWorld(t)
	f, config := w.blob("f"), w.blob("{}")
	raw := manifestOf(config, f)
	later := ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(raw), Size: int64(len(raw)),
	}
	x := w.index(later)
	w.tag("index", x)
	plan, err := w.collector().Plan(t.Context(), nil)
	w.must(err)
	var lease *blobstore.Lease
	c := w.inTurn(map[string][]func(){
		gc.Marked: {func() {
			lease = w.lease(f.Digest, config.Digest, later.Digest)
			for _, d := range []digest.Digest{f.Digest, config.Digest} {
				_, err := lease.Stat(d)
				w.must(err)
			}
		}},
		gc.Moved: {func() {
			_, err := bring(context.Background(), lease, raw)
			w.must(err)
			w.must(lease.Release())
		}},
	})
	_, err = c.Run(t.Context(), plan)
	w.must(err)
	w.wantHere(f, config, later, x)
}
