package gc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/manifest/tags"
)

// Plan marks what is live and says what a Run would do now. drop is tags that are to go first, as List had them; one
// that is pinned, in use (a lease holds its manifest) or means another manifest by now is left out of the plan.
//
// Plan changes nothing but what every reader of the store changes: a lease whose process is dead goes, and a manifest
// that is needed and lies in trash is put back. The error is ErrUnreadable, ctx's, or of the file system.
func (c *Collector) Plan(ctx context.Context, drop []tags.Tag) (*Plan, error) {
	// What is there is listed before leases and tags are read: what was fetched meanwhile is not in question.
	blobs, err := c.allBlobs(ctx)
	if err != nil {
		return nil, err
	}
	trashed, err := c.Store.Trashed()
	if err != nil {
		return nil, fmt.Errorf("list trash: %w", err)
	}
	m := newMarker(c)
	r, err := m.roots()
	if err != nil {
		return nil, err
	}
	p := &Plan{}
	r.tags, p.Drop = split(r, drop)
	marked, err := m.mark(ctx, r)
	if err != nil {
		return nil, err
	}
	young, err := c.planBlobs(ctx, p, blobs, marked)
	if err != nil {
		return nil, err
	}
	p.planTrash(trashed, blobs, marked)
	slices.SortStableFunc(p.Remove, func(a, b Removal) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
	if p.Views, err = c.planViews(marked, young); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Plan) remove(d digest.Digest, size int64) {
	p.Remove = append(p.Remove, Removal{d, size})
	p.FreedBytes += size
}

// planTrash sorts what lies in trash into what goes and what stays by going back.
func (p *Plan) planTrash(trashed []blobstore.Trashed, blobs []digest.Digest, marked live) {
	if len(trashed) == 0 {
		return
	}
	counted := make(live, len(blobs))
	for _, d := range blobs {
		counted[d] = struct{}{}
	}
	for _, t := range trashed {
		d := t.Digest()
		switch {
		case !marked.has(d):
			p.remove(d, t.Size())
		case !counted.has(d):
			counted[d] = struct{}{}
			p.Kept++
		}
	}
}

// allBlobs is every blob's digest.
func (c *Collector) allBlobs(ctx context.Context) ([]digest.Digest, error) {
	var all []digest.Digest
	for d, err := range c.Store.All() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("list blobs: %w", err)
		}
		all = append(all, d)
	}
	return all, nil
}

// split takes from the roots' tags those that are to be dropped and may be.
func split(r roots, drop []tags.Tag) (stay, gone []tags.Tag) {
	wanted := make(map[string]digest.Digest, len(drop))
	for _, tag := range drop {
		wanted[tag.Name] = tag.Descriptor.Digest
	}
	for _, tag := range r.tags {
		_, used := r.held[tag.Descriptor.Digest]
		if d, ok := wanted[tag.Name]; ok && d == tag.Descriptor.Digest && !tag.Pinned && !used {
			gone = append(gone, tag)
		} else {
			stay = append(stay, tag)
		}
	}
	return stay, gone
}

// planBlobs sorts blobs into those that go and those that stay. young are those that stay for their age alone.
// Only what is not live is looked at.
func (c *Collector) planBlobs(ctx context.Context, p *Plan, blobs []digest.Digest, marked live) (young live, err error) {
	young = make(live)
	for _, d := range blobs {
		if marked.has(d) {
			p.Kept++
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		info, err := c.Store.Stat(d)
		switch {
		case errors.Is(err, blobstore.ErrNotFound), errors.Is(err, blobstore.ErrCorrupt): // gone, or no blob any more
		case err != nil && !errors.Is(err, blobstore.ErrMismatch) && !errors.Is(err, blobstore.ErrWithheld):
			return nil, err
		case err == nil && c.young(info):
			young[d] = struct{}{}
			p.Kept++
		default:
			p.remove(d, info.Stored)
		}
	}
	return young, nil
}

// planViews is the views whose manifest is neither live nor young.
func (c *Collector) planViews(marked, young live) ([]digest.Digest, error) {
	if c.Views == nil {
		return nil, nil
	}
	all, err := c.Views.List()
	if err != nil {
		return nil, fmt.Errorf("list views: %w", err)
	}
	var old []digest.Digest
	for _, d := range all {
		if !marked.has(d) && !young.has(d) {
			old = append(old, d)
		}
	}
	slices.Sort(old)
	return old, nil
}
