package gc_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/gc"
	"github.com/mstore/mstore/manifest/tags"
)

// stepwise is a puller of one model that goes on when it is told to.
type stepwise struct {
	*world
	contents []string // the manifest last
	lease    *blobstore.Lease
	missing  []string
	model    ocispec.Descriptor
	done     int // steps
}

// pullerSteps are what a puller does, in its order.
var pullerSteps = []struct {
	name string
	do   func(p *stepwise)
}{
	{"hold", func(p *stepwise) {
		var err error
		p.lease, err = p.store.Lease()
		p.must(err)
		for _, c := range p.contents {
			p.must(p.lease.Hold(digestOf(c)))
		}
	}},
	{"look", func(p *stepwise) {
		for _, c := range p.contents {
			_, err := p.lease.Stat(digestOf(c))
			if errors.Is(err, blobstore.ErrNotFound) {
				p.missing, err = append(p.missing, c), nil
			}
			p.must(err)
		}
	}},
	{"fetch", func(p *stepwise) { // and nothing else: what was found is relied on
		for _, c := range p.missing {
			_, err := bring(p.Context(), p.lease, []byte(c))
			p.must(err)
		}
	}},
	{"tag", func(p *stepwise) { p.tag("new", p.model) }},
	{"release", func(p *stepwise) { p.must(p.lease.Release()) }},
}

// until does the steps before number n that were not done.
func (p *stepwise) until(n int) {
	for ; p.done < n; p.done++ {
		pullerSteps[p.done].do(p)
	}
}

// pairWorld is a store, and a model that a puller wants while a collector is at work.
type pairWorld struct {
	*world
	file, config, manifest string
	model                  ocispec.Descriptor
}

func newPairWorld(t *testing.T) *pairWorld {
	t.Helper()
	w := &pairWorld{world: newWorld(t), file: "f", config: "{}"}
	f := ocispec.Descriptor{MediaType: "application/octet-stream", Digest: digestOf(w.file), Size: 1}
	w.manifest = string(manifestOf(ocispec.Descriptor{Digest: digestOf(w.config), Size: 2}, f))
	w.model = ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: digestOf(w.manifest), Size: int64(len(w.manifest)),
	}
	return w
}

// collect plans and runs, and does one part of the pull when the collector has been at some number of moments, and the
// rest at a later one: number 0 is before the plan. Those that do not come are after its end. It gives the moments.
func (w *pairWorld) collect(p *stepwise, drop []tags.Tag, first, part, second int) (moments []string) {
	w.Helper()
	act := func() {
		if len(moments) >= first {
			p.until(part)
		}
		if len(moments) >= second {
			p.until(len(pullerSteps))
		}
	}
	c := w.collector()
	gc.At(c, func(moment string) {
		moments = append(moments, moment)
		act()
	})
	act()
	plan, err := c.Plan(w.Context(), drop)
	w.must(err)
	_, err = c.Run(w.Context(), plan)
	w.must(err)
	p.until(len(pullerSteps))
	return moments
}

// TestEveryPairOfSteps has a pull pause after each of its steps, and begin and go on between every two steps of a
// collector that removes the same blobs. Whatever the puller found or brought is there in the end; and when its tag is
// gone, so is all of it.
func TestEveryPairOfSteps(t *testing.T) {
	starts := map[string]func(w *pairWorld) []tags.Tag{
		"nothing is there": func(*pairWorld) []tags.Tag { return nil },
		"garbage":          func(w *pairWorld) []tags.Tag { w.put(); return nil },
		"what a killed collector left": func(w *pairWorld) []tags.Tag {
			for _, d := range w.put() {
				_, err := w.store.Trash(d)
				w.must(err)
			}
			return nil
		},
		"the same under a tag that goes": func(w *pairWorld) []tags.Tag {
			w.put()
			return []tags.Tag{w.tag("old", w.model)}
		},
	}
	for name, prepare := range starts {
		t.Run(name, func(t *testing.T) {
			w := newPairWorld(t)
			cases, last := 0, 1
			var longest []string
			for first := 0; first <= last; first++ {
				for second := first; second <= last; second++ {
					for part := 1; part < len(pullerSteps); part++ {
						moments := w.pair(prepare, first, part, second)
						if len(moments) > len(longest) {
							longest, last = moments, len(moments)
						}
						cases++
					}
				}
			}
			t.Logf("%d interleavings with a collector of %d moments: %s", cases, len(longest), strings.Join(longest, " "))
			if want := []string{gc.Read, gc.Moved, gc.Decided, gc.Settled}; name != "nothing is there" && !containsAll(longest, want) {
				t.Errorf("the collector never was at one of %q", want)
			}
		})
	}
}

func containsAll(all, some []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}

// put brings the model's blobs, which nothing keeps then.
func (w *pairWorld) put() []digest.Digest {
	w.Helper()
	var all []digest.Digest
	for _, c := range []string{w.file, w.config, w.manifest} {
		all = append(all, w.blob(c).Digest)
	}
	return all
}

// pair is one case. It leaves an empty store.
func (w *pairWorld) pair(prepare func(*pairWorld) []tags.Tag, first, part, second int) (moments []string) {
	w.Helper()
	drop := prepare(w)
	p := &stepwise{world: w.world, contents: []string{w.file, w.config, w.manifest}, model: w.model}
	moments = w.collect(p, drop, first, part, second)
	what := fmt.Sprintf("until %q at moment %d, the rest at %d of %q", pullerSteps[part-1].name, first, second, moments)
	if err := readModel(w.store, w.model.Digest); err != nil {
		w.Fatalf("%s: the pulled model: %v", what, err)
	}
	tag, err := w.tags.Get("new")
	w.must(err)
	w.gc(w.collector(), tag)
	for _, old := range drop { // where it was found in use, and stayed
		w.gc(w.collector(), old)
	}
	if left, err := w.store.Trashed(); len(w.here()) > 0 || len(left) > 0 || err != nil {
		w.Fatalf("%s: left when the tag is gone: %v, in trash: %v, %v", what, w.here(), left, err)
	}
	return moments
}
