package gc

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/manifest/tags"
)

// readers is how many manifests are read at once: enough to keep a disk busy that seeks.
const readers = 16

// live is a set of digests that must stay.
type live map[digest.Digest]struct{}

func (l live) has(d digest.Digest) bool {
	_, ok := l[d]
	return ok
}

// marker finds out what is live, as often as it is asked. It remembers what manifests refer to, which their digests
// keep from changing; tags and leases it reads each time.
type marker struct {
	store   *blobstore.Store
	tags    *tags.Tags
	reached func(step)

	mu    sync.Mutex
	known map[digest.Digest]*node
}

func newMarker(c *Collector) *marker {
	return &marker{store: c.Store, tags: c.Tags, reached: c.reached, known: make(map[digest.Digest]*node)}
}

// roots is what leases and tags said, read in this order.
type roots struct {
	held map[digest.Digest]struct{}
	tags []tags.Tag
}

// roots reads the leases and then the tags. The error is ErrUnreadable.
func (m *marker) roots() (roots, error) {
	held, err := m.store.Held()
	if err != nil {
		return roots{}, fmt.Errorf("%w: leases: %w", ErrUnreadable, err)
	}
	m.reached(stepHeld)
	list, err := m.tags.List()
	if err != nil {
		return roots{}, fmt.Errorf("%w: tags: %w", ErrUnreadable, err)
	}
	m.reached(stepRead)
	return roots{held, list}, nil
}

// mark is what the roots reach. The error is ErrUnreadable, or that of ctx.
func (m *marker) mark(ctx context.Context, r roots) (live, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	found := make([]digest.Digest, len(r.tags))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for i, tag := range r.tags {
		if m.leaf(tag.Descriptor.Digest) {
			found[i] = tag.Descriptor.Digest
			continue
		}
		group.Go(func() (err error) {
			found[i], err = m.readTag(ctx, tag)
			return err
		})
	}
	for d := range r.held {
		group.Go(func() error {
			err := m.read(ctx, d, whatever, 0)
			if err != nil && ctx.Err() == nil {
				err = fmt.Errorf("%w: %s, which a lease holds: %w", ErrUnreadable, d, err)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	w := newWalk(m.known)
	for _, d := range found {
		w.reach(d)
	}
	for d := range r.held {
		w.reach(d)
	}
	return w.live, nil
}

// readTag reads the manifest of a tag and is its digest; a tag that was deleted meanwhile has none. A manifest that
// is not there is no fault yet: the tag may have been dropped or moved since it was read, and its blobs swept.
func (m *marker) readTag(ctx context.Context, tag tags.Tag) (digest.Digest, error) {
	for {
		d := tag.Descriptor.Digest
		err := m.read(ctx, d, aManifest, 0)
		switch {
		case err == nil:
			return d, nil
		case ctx.Err() != nil:
			return "", ctx.Err()
		case !errors.Is(err, blobstore.ErrNotFound):
			return "", unreadable(tag, err)
		}
		now, getErr := m.tags.Get(tag.Name)
		switch {
		case errors.Is(getErr, tags.ErrNotFound):
			return "", nil
		case getErr != nil:
			return "", unreadable(tag, getErr)
		case now.Descriptor.Digest == d:
			return "", unreadable(tag, err)
		}
		tag = now
	}
}

func unreadable(tag tags.Tag, err error) error {
	return fmt.Errorf("%w: tag %q, manifest %s: %w", ErrUnreadable, tag.Name, tag.Descriptor.Digest, err)
}

// walk collects what roots reach in manifests that were read. A manifest may also be listed as a blob by another one,
// so that being live and having been followed are two things.
type walk struct {
	known      map[digest.Digest]*node
	live, seen live
}

func newWalk(known map[digest.Digest]*node) *walk {
	return &walk{known: known, live: make(live), seen: make(live)}
}

func (w *walk) reach(d digest.Digest) {
	if d == "" || w.seen.has(d) {
		return
	}
	w.seen[d], w.live[d] = struct{}{}, struct{}{}
	n := w.known[d]
	if n == nil {
		return
	}
	for _, blob := range n.blobs {
		w.live[blob] = struct{}{}
	}
	for _, child := range n.manifests {
		w.reach(child.digest)
	}
}
