package gc_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/gc"
	"github.com/mstore/mstore/manifest"
	"github.com/mstore/mstore/manifest/tags"
)

// The programs of the stress test. Each runs until it is killed; an error that it returns is a fault.

const stressModels = 8

// stressContents is the blobs of a model, the manifest last. Some files are shared between models.
func stressContents(model int) [][]byte {
	contents := [][]byte{[]byte("{}"), fmt.Appendf(nil, "shared by three %d", model%3), fmt.Appendf(nil, "own %d", model)}
	var ds []ocispec.Descriptor
	for _, c := range contents {
		ds = append(ds, ocispec.Descriptor{MediaType: "x/y", Digest: digest.FromBytes(c), Size: int64(len(c))})
	}
	return append(contents, manifestOf(ds[0], ds[1:]...))
}

// keepPulling pulls models as a pull does: hold all, look, fetch, tag, release; and sometimes drops a tag.
func keepPulling(s *blobstore.Store, t *tags.Tags, seed uint64) error {
	rnd := rand.New(rand.NewPCG(seed, 1))
	for {
		name := fmt.Sprintf("tag-%d", rnd.IntN(stressModels))
		if rnd.IntN(3) == 0 {
			if err := t.Delete(context.Background(), name, ""); err != nil && !errors.Is(err, tags.ErrNotFound) {
				return err
			}
			continue
		}
		if err := pullOnce(s, t, name, stressContents(rnd.IntN(stressModels))); err != nil {
			return fmt.Errorf("pull: %w", err)
		}
	}
}

func pullOnce(s *blobstore.Store, t *tags.Tags, name string, contents [][]byte) (err error) {
	lease, err := s.Lease()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lease.Release()) }()
	for _, c := range contents {
		if err := lease.Hold(digest.FromBytes(c)); err != nil {
			return err
		}
	}
	var d ocispec.Descriptor
	for _, c := range contents {
		if d, err = bring(context.Background(), lease, c); err != nil {
			return err
		}
	}
	return t.Set(context.Background(), tags.Tag{Name: name, Descriptor: d})
}

func keepCollecting(s *blobstore.Store, t *tags.Tags, _ uint64) error {
	c := &gc.Collector{Store: s, Tags: t}
	for {
		plan, err := c.Plan(context.Background(), nil)
		if err == nil {
			_, err = c.Run(context.Background(), plan)
		}
		if err != nil {
			return err
		}
	}
}

// keepReading reads the models of tags without a lease. A blob may be missing once its tag is gone.
func keepReading(s *blobstore.Store, t *tags.Tags, seed uint64) error {
	rnd := rand.New(rand.NewPCG(seed, 2))
	for {
		list, err := t.List()
		if err != nil {
			return err
		}
		if len(list) == 0 {
			continue
		}
		tag := list[rnd.IntN(len(list))]
		err = readModel(s, tag.Descriptor.Digest)
		now, getErr := t.Get(tag.Name)
		if err != nil && getErr == nil && now.Created.Equal(tag.Created) {
			return fmt.Errorf("tag %s is there all the time: %w", tag.Name, err)
		}
	}
}

// keepUsing holds the manifest of a tag, and nothing else, and relies on what it has found from then on.
func keepUsing(s *blobstore.Store, t *tags.Tags, seed uint64) error {
	rnd := rand.New(rand.NewPCG(seed, 3))
	for {
		list, err := t.List()
		if err != nil {
			return err
		}
		if len(list) == 0 {
			continue
		}
		d := list[rnd.IntN(len(list))].Descriptor.Digest
		lease, err := s.Lease()
		if err == nil {
			err = lease.Hold(d)
		}
		if err != nil {
			return err
		}
		if readModel(s, d) == nil {
			for range 50 {
				if err := readModel(s, d); err != nil {
					return fmt.Errorf("a leased model that was here: %w", err)
				}
			}
		}
		if err := lease.Release(); err != nil {
			return err
		}
	}
}

// readModel reads a manifest and every blob of it. A reader looks once for each collector that may be at work.
func readModel(s *blobstore.Store, d digest.Digest) error {
	raw, err := readBlob(s, d)
	if err != nil {
		return err
	}
	m, err := manifest.Parse("", raw)
	if err != nil {
		return err
	}
	for _, b := range m.Blobs() {
		if _, err := readBlob(s, b.Digest); err != nil {
			return err
		}
	}
	return nil
}

func readBlob(s *blobstore.Store, d digest.Digest) (raw []byte, err error) {
	for range 4 {
		if raw, err = s.ReadAll(d, 1<<20); !errors.Is(err, blobstore.ErrNotFound) {
			break
		}
	}
	return raw, err
}

// TestManyProcessesAndKills has four pullers, two collectors, a reader and a lease holder work on one store, each killed
// and replaced at random, and then looks what is left.
func TestManyProcessesAndKills(t *testing.T) {
	if testing.Short() {
		t.Skip("five seconds")
	}
	w := newWorld(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	cast := []string{"pull", "pull", "pull", "pull", "collect", "collect", "read", "use"}
	running := make([]*child, len(cast))
	for i, program := range cast {
		running[i] = w.start(t.Context(), program, "", seed+uint64(i))
	}
	end := time.After(5 * time.Second)
	kills := 0
	for over := false; !over; {
		select {
		case <-end:
			over = true
		case <-time.After(time.Duration(rnd.IntN(60)) * time.Millisecond):
			i := rnd.IntN(len(cast))
			running[i].kill(t)
			kills++
			running[i] = w.start(t.Context(), cast[i], "", rnd.Uint64())
		}
	}
	for _, c := range running {
		c.kill(t)
	}
	t.Logf("%d kills", kills)
	w.wantTaggedAlone()
}

func (c *child) kill(t *testing.T) {
	t.Helper()
	_ = c.cmd.Process.Kill() // it may have ended by a fault, which wait reports
	c.wait(t)
}

// wantTaggedAlone checks every blob that a tag needs, collects, and finds these and no others.
func (w *world) wantTaggedAlone() {
	w.Helper()
	list, err := w.tags.List()
	w.must(err)
	var want []ocispec.Descriptor
	for _, tag := range list {
		raw, err := w.store.ReadAll(tag.Descriptor.Digest, 1<<20)
		if err != nil {
			w.Errorf("tag %s: %v", tag.Name, err)
			continue
		}
		m, err := manifest.Parse("", raw)
		w.must(err)
		want = append(append(want, m.Descriptor), m.Blobs()...)
	}
	for _, d := range want {
		if err := w.store.Check(w.Context(), d.Digest, nil); err != nil {
			w.Errorf("a blob that a tag needs: %v", err)
		}
	}
	w.Logf("%d tags, %d blobs before the last collection", len(list), len(w.here()))
	w.gc(w.collector())
	w.wantHere(want...)
}
