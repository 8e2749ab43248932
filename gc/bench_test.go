package gc_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/gc"
	"github.com/mstore/mstore/manifest/tags"
)

// BenchmarkNothingToDo is a plan and its run over 100,000 blobs and 10,000 tags, all in use: a manifest a tag, and nine
// files a manifest that no other one has.
func BenchmarkNothingToDo(b *testing.B) {
	w := newWorld(b)
	manyModels(w)
	for b.Loop() {
		plan, result := w.gc(w.collector())
		if len(plan.Remove) > 0 || result.Kept != manyTags*(manyFiles+1)+1 {
			b.Fatalf("%d to remove, %d kept", len(plan.Remove), result.Kept)
		}
	}
}

const manyTags, manyFiles = 10_000, 9

// manyModels are 10,000 tags of 100,000 blobs.
func manyModels(w *world) {
	config := plainBlob(w, "{}")
	for i := range manyTags {
		layers := make([]ocispec.Descriptor, manyFiles)
		for j := range layers {
			layers[j] = plainBlob(w, fmt.Sprint(i, " ", j))
			layers[j].MediaType = "application/vnd.cncf.model.weight.v1.raw"
			layers[j].Annotations = map[string]string{ocispec.AnnotationTitle: fmt.Sprintf("model-%05d.safetensors", j)}
		}
		m := plainBlob(w, string(manifestOf(config, layers...)))
		m.MediaType = ocispec.MediaTypeImageManifest
		plainTag(w, fmt.Sprintf("model-%d", i), m)
	}
}

// BenchmarkWeigh is what statistics add up, of 100,000 blobs and 10,000 tags.
func BenchmarkWeigh(b *testing.B) {
	w := newWorld(b)
	manyModels(w)
	for b.Loop() {
		weights, err := w.collector().Weigh(b.Context())
		w.must(err)
		if len(weights.Models) != manyTags {
			b.Fatalf("%d models", len(weights.Models))
		}
	}
}

// plainTag writes a tag without its syncs; its name is one that needs no escape.
func plainTag(w *world, name string, d ocispec.Descriptor) {
	raw := encode(tags.Tag{Name: name, Descriptor: d})
	w.must(os.WriteFile(filepath.Join(w.store.Dir("tags"), name), raw, 0o644))
}

// BenchmarkRemove is the removal of 10,000 blobs that nothing keeps, a batch at a time.
func BenchmarkRemove(b *testing.B) {
	const blobs = 10_000
	w := newWorld(b)
	for b.Loop() {
		b.StopTimer()
		var last digest.Digest
		for i := range blobs {
			last = plainBlob(w, fmt.Sprint(i)).Digest
		}
		b.StartTimer()
		if _, result := w.gc(w.collector()); len(result.Removed) != blobs {
			b.Fatalf("%d removed, the last should be %s", len(result.Removed), last)
		}
	}
}

// BenchmarkChoose is the choice of a tenth of 10,000 tags that share some of 100,000 blobs, by last use and by size.
func BenchmarkChoose(b *testing.B) {
	for _, order := range []gc.Order{gc.LeastRecentlyUsed, gc.Largest} {
		b.Run(string(order), func(b *testing.B) {
			w := newWorld(b)
			config := plainBlob(w, "{}")
			var size int64
			for i := range 10_000 {
				var layers []ocispec.Descriptor
				for j := range 10 {
					d := plainBlob(w, fmt.Sprint(i/2*2+j%2*i%2, " ", j)) // pairs have half of their files in common
					d.MediaType, size = "application/vnd.cncf.model.weight.v1.raw", size+d.Size
					d.Annotations = map[string]string{ocispec.AnnotationTitle: fmt.Sprintf("model-%05d.safetensors", j)}
					layers = append(layers, d)
				}
				m := plainBlob(w, string(manifestOf(config, layers...)))
				m.MediaType = ocispec.MediaTypeImageManifest
				plainTag(w, fmt.Sprintf("model-%d", i), m)
			}
			all, err := w.collector().Choose(b.Context(), gc.Limits{})
			w.must(err)
			for b.Loop() {
				chosen, err := w.collector().Choose(b.Context(), gc.Limits{MaxSize: all.Size / 10 * 9, Order: order})
				w.must(err)
				b.ReportMetric(float64(len(chosen.Choices)), "tags")
			}
		})
	}
}
