package gc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/manifest/tags"
)

// Order is which tags go first when a store is too large.
type Order string

// The orders.
const (
	LeastRecentlyUsed Order = "lru"
	Largest           Order = "size" // by what dropping the tag would free then
)

// Limits are what a store is held to. The zero value holds it to nothing.
type Limits struct {
	MaxSize int64         // bytes that blobs may take which tags and leases reach; 0: any number
	MaxAge  time.Duration // how long a tag may go unused; 0: for ever
	Order   Order         // for MaxSize; empty: LeastRecentlyUsed
	Spare   []string      // names that stay, beside those that are pinned or in use
}

// Choice is a tag that is to go, and why.
type Choice struct {
	Tag   tags.Tag
	Old   bool  // it was not used for MaxAge; else the store is larger than MaxSize
	Frees int64 // bytes of blobs that nothing else needs once this tag and those before it are gone
}

// Chosen is what limits ask for.
type Chosen struct {
	Choices []Choice // in the order in which they were chosen
	Size    int64    // bytes of the blobs that tags and leases reach now
	Left    int64    // of those that they reach without the choices; larger than MaxSize where what stays is
}

// Choose says which tags are to go so that the store keeps within limits, and no more than that. It never chooses one
// that is pinned, in use (a lease holds its manifest) or spared. Models share blobs: one counts for as long as anything
// needs it. Tags of the same last use go by name. It changes nothing that Plan does not; the errors are those of Plan.
func (c *Collector) Choose(ctx context.Context, limits Limits) (*Chosen, error) {
	m := newMarker(c)
	r, err := m.roots()
	if err != nil {
		return nil, err
	}
	if _, err := m.mark(ctx, r); err != nil {
		return nil, err
	}
	b, err := c.balance(ctx, m, r)
	if err != nil {
		return nil, err
	}
	b.order(limits)
	chosen := &Chosen{Size: b.size}
	for _, candidate := range b.candidates {
		if limits.MaxAge > 0 && c.now().Sub(candidate.tag.LastUsed) > limits.MaxAge {
			chosen.Choices = append(chosen.Choices, Choice{Tag: candidate.tag, Old: true, Frees: b.drop(candidate)})
		}
	}
	if limits.MaxSize > 0 {
		chosen.Choices = append(chosen.Choices, b.shrink(limits)...)
	}
	chosen.Left = b.size
	return chosen, nil
}

// balance is what blobs weigh and who needs them.
type balance struct {
	size       int64 // bytes of the blobs that somebody needs
	blobs      map[digest.Digest]*weight
	candidates []*candidate // tags that may go
}

// weight is that of one blob.
type weight struct {
	bytes int64
	needs int          // how many need it
	by    []*candidate // those of them that may go
}

// candidate is a tag that may go.
type candidate struct {
	tag     tags.Tag
	blobs   []*weight
	alone   int64 // bytes of the blobs that nothing else needs
	dropped bool
}

// balance adds up what was marked. What leases hold is needed for good.
func (c *Collector) balance(ctx context.Context, m *marker, r roots) (*balance, error) {
	b := newBalance()
	stay, may := split(r, r.tags)
	held := newWalk(m.known)
	for d := range r.held {
		held.reach(d)
	}
	if _, err := b.need(ctx, c.Store, held.live, nil); err != nil {
		return nil, err
	}
	for i, tag := range slices.Concat(may, stay) {
		var who *candidate
		if i < len(may) {
			who = &candidate{tag: tag}
			b.candidates = append(b.candidates, who)
		}
		w := newWalk(m.known)
		w.reach(tag.Descriptor.Digest)
		blobs, err := b.need(ctx, c.Store, w.live, who)
		if err != nil {
			return nil, err
		}
		if who != nil {
			who.blobs = blobs
		}
	}
	b.settle()
	return b, nil
}

func newBalance() *balance { return &balance{blobs: make(map[digest.Digest]*weight)} }

// settle finds out what each candidate has alone, once all needs are known.
func (b *balance) settle() {
	for _, w := range b.blobs {
		w.alone(1)
	}
}

// need counts one more who needs the blobs; who is nil for one that stays. What is not here weighs nothing.
func (b *balance) need(ctx context.Context, store *blobstore.Store, blobs live, who *candidate) ([]*weight, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all := make([]*weight, 0, len(blobs))
	for d := range blobs {
		w := b.blobs[d]
		if w == nil {
			n, err := store.Size(d)
			if err != nil && !errors.Is(err, blobstore.ErrNotFound) {
				return nil, fmt.Errorf("weigh %s: %w", d, err)
			}
			w = &weight{bytes: n}
			b.blobs[d], b.size = w, b.size+n
		}
		if w.needs++; who != nil {
			w.by = append(w.by, who)
		}
		all = append(all, w)
	}
	return all, nil
}

// alone adds the blob, or takes it away where sign is -1, to what the one candidate has alone who is left of those that
// need it, if there is one such.
func (w *weight) alone(sign int64) {
	if w.needs != 1 {
		return
	}
	for _, c := range w.by {
		if !c.dropped {
			c.alone += sign * w.bytes
			return
		}
	}
}

// order puts those that go first first, and leaves out what is spared.
func (b *balance) order(limits Limits) {
	b.candidates = slices.DeleteFunc(b.candidates, func(c *candidate) bool { return slices.Contains(limits.Spare, c.tag.Name) })
	slices.SortFunc(b.candidates, func(x, y *candidate) int {
		return cmp.Or(x.tag.LastUsed.Compare(y.tag.LastUsed), cmp.Compare(x.tag.Name, y.tag.Name))
	})
}

// drop takes a tag away and tells how many bytes nobody needs then.
func (b *balance) drop(c *candidate) (frees int64) {
	c.dropped = true
	for _, w := range c.blobs {
		w.needs--
		w.alone(1)
		if w.needs == 0 {
			frees += w.bytes
		}
	}
	b.size -= frees
	return frees
}

// restore takes a drop back.
func (b *balance) restore(c *candidate) {
	for _, w := range c.blobs {
		w.alone(-1)
		if w.needs++; w.needs == 1 {
			b.size += w.bytes
		}
	}
	c.dropped = false
}

// shrink drops tags until the rest fits, and takes back, the last first, what turns out not to have been needed.
func (b *balance) shrink(limits Limits) []Choice {
	var gone []*candidate
	for b.size > limits.MaxSize {
		next := b.next(limits.Order)
		if next == nil {
			break
		}
		b.drop(next)
		gone = append(gone, next)
	}
	for _, last := range slices.Backward(gone) {
		if b.restore(last); b.size > limits.MaxSize {
			b.drop(last)
		}
	}
	// What each frees depends on those before it.
	gone = slices.DeleteFunc(gone, func(c *candidate) bool { return !c.dropped })
	for _, c := range gone {
		b.restore(c)
	}
	var choices []Choice
	for _, c := range gone {
		choices = append(choices, Choice{Tag: c.tag, Frees: b.drop(c)})
	}
	return choices
}

// next is the tag to go next; nil when there is none left.
func (b *balance) next(order Order) (best *candidate) {
	most := int64(-1)
	for _, c := range b.candidates {
		if c.dropped {
			continue
		}
		if order != Largest {
			return c
		}
		if c.alone > most {
			best, most = c, c.alone
		}
	}
	return best
}
