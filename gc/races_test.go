package gc_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mstore/mstore/gc"
)

// races counts what TestPublishesBesideCollections did.
type races struct{ publishes, collections, removed atomic.Int64 }

// publisher pulls models under tags that nobody else moves, and looks for all of a model as long as a tag means it:
// while it holds the lease, and when it does not any more.
func (r *races) publisher(w *world, id, publishes int, seed uint64) error {
	rnd := rand.New(rand.NewPCG(seed, uint64(id)))
	for range publishes {
		name := fmt.Sprintf("tag-%d-%d", id, rnd.IntN(3))
		contents := stressContents(rnd.IntN(stressModels))
		if err := pullOnce(w.store, w.tags, name, contents); err != nil {
			return fmt.Errorf("pull: %w", err)
		}
		tag, err := w.tags.Get(name)
		if err != nil {
			return err
		}
		if err := readModel(w.store, tag.Descriptor.Digest); err != nil {
			return fmt.Errorf("%s is referenced, and something of it missing: %w", name, err)
		}
		r.publishes.Add(1)
		if rnd.IntN(4) == 0 {
			continue
		}
		if err := w.tags.Delete(context.Background(), name, ""); err != nil {
			return err
		}
	}
	return nil
}

func (r *races) collector(w *world, end <-chan struct{}) error {
	for {
		select {
		case <-end:
			return nil
		default:
		}
		c := &gc.Collector{Store: w.store, Tags: w.tags}
		plan, err := c.Plan(context.Background(), nil)
		if err != nil {
			return err
		}
		result, err := c.Run(context.Background(), plan)
		if err != nil {
			return err
		}
		r.collections.Add(1)
		r.removed.Add(int64(len(result.Removed)))
	}
}

// TestPublishesBesideCollections: what a tag names is there, however many collectors are at work: 500 publishes, or
// 100,000 with MSTORE_RACES=large.
func TestPublishesBesideCollections(t *testing.T) {
	const publishers, collectors = 4, 2
	publishes := 500
	if os.Getenv("MSTORE_RACES") == "large" {
		publishes = 100_000
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	first := newWorld(t)
	start := time.Now()
	var r races
	var pulls, sweeps sync.WaitGroup
	end := make(chan struct{})
	run := func(all *sync.WaitGroup, do func(w *world) error) {
		w := openWorld(t, first.store.Root()) // each has the store open for itself, as a process has
		all.Go(func() {
			if err := do(w); err != nil {
				t.Error(err)
			}
		})
	}
	for id := range publishers {
		run(&pulls, func(w *world) error { return r.publisher(w, id, publishes/publishers, seed) })
	}
	for range collectors {
		run(&sweeps, func(w *world) error { return r.collector(w, end) })
	}
	pulls.Wait()
	close(end)
	sweeps.Wait()
	t.Logf("%d publishes beside %d collections, which removed %d blobs, in %v",
		r.publishes.Load(), r.collections.Load(), r.removed.Load(), time.Since(start).Round(time.Millisecond))
	if least := int64(publishes / 200); r.collections.Load() < least || r.removed.Load() < least {
		t.Errorf("fewer than %d collections, or blobs removed: this has shown nothing", least)
	}
	first.wantTaggedAlone()
}
