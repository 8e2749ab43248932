package gc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
)

// batchSize is how many blobs lie in trash between two reads of leases and tags. Trash must stay small, since each
// reader that misses a blob looks through it; the reads must be few, since each goes through all tags.
const batchSize = 1024

// Run executes a plan. It removes no more than the plan says and what other collectors left in trash, and of that only
// what is not live when it looks: a plan may be old. What vanished meanwhile is no error, nor is another collector.
//
// The Result tells what was done, also beside an error. The errors are ErrUnreadable, after which what had not been
// decided is back in its place, ctx's, with the same effect, and those of the file system.
func (c *Collector) Run(ctx context.Context, p *Plan) (*Result, error) {
	s := &sweeper{Collector: c, plan: p, marker: newMarker(c), stayed: make(live), result: &Result{}}
	err := s.drop(ctx)
	if err == nil {
		err = s.run(ctx)
	}
	if err == nil {
		s.result.ReapedBytes, err = c.Store.ReapIngests(KeepIngests)
		err = errors.Join(err, c.Tags.Reap(KeepIngests))
	}
	s.result.Kept = p.Kept + len(s.stayed)
	return s.result, err
}

// Tidy settles what dead processes have left, and takes no blob from its place: their leases go; what lies in trash goes
// back where it is live, and for good where it is not; partial blobs go that nobody can resume, or has for KeepIngests.
// The Result and the errors are those of Run.
func (c *Collector) Tidy(ctx context.Context) (*Result, error) {
	if _, err := c.Store.Held(); err != nil {
		return &Result{}, fmt.Errorf("%w: leases: %w", ErrUnreadable, err)
	}
	return c.Run(ctx, &Plan{})
}

// sweeper is one Run.
type sweeper struct {
	*Collector
	plan    *Plan
	marker  *marker
	live    live                // at the last read
	pending []blobstore.Trashed // in trash, to be decided by the next read
	stayed  live                // of what was to go
	result  *Result
}

// drop deletes the tags of the plan that are still what it says, and not in use.
func (s *sweeper) drop(ctx context.Context) error {
	if len(s.plan.Drop) == 0 {
		return nil
	}
	held, err := s.Store.Held()
	if err != nil {
		return fmt.Errorf("%w: leases: %w", ErrUnreadable, err)
	}
	_, drop := split(roots{held, s.plan.Drop}, s.plan.Drop)
	dropped, err := s.Tags.Drop(ctx, drop...)
	for _, tag := range dropped {
		s.result.Dropped = append(s.result.Dropped, tag.Name)
	}
	s.reached(stepDropped)
	return err
}

// run sweeps manifests that have views, then removes the views, then sweeps the rest: the files of a view share their
// disk space with blobs, and who makes a view looks for its manifest first. Once the manifest is gone, nobody finds
// the view in use.
func (s *sweeper) run(ctx context.Context) (err error) {
	p := s.plan
	if s.pending, err = s.Store.Trashed(); err != nil {
		return fmt.Errorf("list trash: %w", err)
	}
	if len(s.pending)+len(p.Remove)+len(p.Views) == 0 {
		return nil
	}
	if err := s.mark(ctx); err != nil {
		return err
	}
	s.reached(stepMarked)
	viewed, rest := inOrder(p)
	if err := s.sweep(ctx, viewed); err != nil {
		return err
	}
	if err := s.removeViews(ctx, p.Views); err != nil {
		return err
	}
	return s.sweep(ctx, rest)
}

// inOrder is what a plan removes: manifests of views, and other blobs.
func inOrder(p *Plan) (viewed, rest []digest.Digest) {
	for _, r := range p.Remove {
		if _, ok := slices.BinarySearch(p.Views, r.Digest); ok {
			viewed = append(viewed, r.Digest)
		} else {
			rest = append(rest, r.Digest)
		}
	}
	return slices.Compact(viewed), slices.Compact(rest)
}

// mark reads leases and tags, and what they reach. On an error all that is undecided goes back.
func (s *sweeper) mark(ctx context.Context) error {
	r, err := s.marker.roots()
	if err == nil {
		s.live, err = s.marker.mark(ctx, r)
	}
	if err != nil {
		return errors.Join(err, s.restorePending())
	}
	return nil
}

// sweep removes blobs that are not live, a batch at a time.
func (s *sweeper) sweep(ctx context.Context, blobs []digest.Digest) error {
	for len(blobs) > 0 || len(s.pending) > 0 {
		batch := blobs[:min(batchSize, len(blobs))]
		blobs = blobs[len(batch):]
		if err := s.move(batch); err != nil {
			return errors.Join(err, s.restorePending())
		}
		s.reached(stepMoved)
		if err := s.mark(ctx); err != nil {
			return err
		}
		s.reached(stepDecided)
		if err := s.settle(); err != nil {
			return err
		}
		s.reached(stepSettled)
	}
	return nil
}

// move puts the blobs of a batch into trash, unless they are live, or young, by now.
func (s *sweeper) move(batch []digest.Digest) error {
	for _, d := range batch {
		if s.live.has(d) || s.rejuvenated(d) {
			s.stays(d)
			continue
		}
		moved, err := s.Store.Trash(d)
		s.pending = append(s.pending, moved...)
		switch {
		case errors.Is(err, blobstore.ErrNotFound), errors.Is(err, blobstore.ErrCorrupt): // gone, or no blob any more
			continue
		case err != nil:
			return fmt.Errorf("sweep %s: %w", d, err)
		}
	}
	return nil
}

// rejuvenated tells whether a blob was used since the plan was made, in a store where its age tells so.
func (s *sweeper) rejuvenated(d digest.Digest) bool {
	if s.grace() <= 0 {
		return false
	}
	info, err := s.Store.Stat(d)
	return err == nil && s.young(info)
}

// settle puts back what is live and deletes the rest.
func (s *sweeper) settle() error {
	var errs []error
	for _, t := range s.pending {
		if s.live.has(t.Digest()) {
			errs = append(errs, t.Restore())
			s.stays(t.Digest())
			continue
		}
		gone, err := t.Delete()
		if !gone {
			errs = append(errs, err)
			continue
		}
		s.result.Removed = append(s.result.Removed, Removal{t.Digest(), t.Size()})
		s.result.FreedBytes += t.Size()
		s.log().Debug("blob removed", "digest", t.Digest(), "bytes", t.Size())
	}
	s.pending = nil
	return errors.Join(errs...)
}

// stays counts a blob that was to go. What lay in trash alone and was not to go is counted by the plan.
func (s *sweeper) stays(d digest.Digest) {
	byDigest := func(r Removal, d digest.Digest) int { return strings.Compare(string(r.Digest), string(d)) }
	if _, planned := slices.BinarySearchFunc(s.plan.Remove, d, byDigest); planned {
		s.stayed[d] = struct{}{}
	}
}

// restorePending puts back what was moved and cannot be decided.
func (s *sweeper) restorePending() error {
	var errs []error
	for _, t := range s.pending {
		errs = append(errs, t.Restore())
		s.stays(t.Digest())
	}
	s.pending = nil
	return errors.Join(errs...)
}

// removeViews removes the views whose manifest is neither live nor here. One that is here is kept: somebody came to
// need it since it was marked.
func (s *sweeper) removeViews(ctx context.Context, views []digest.Digest) error {
	for _, d := range views {
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.live.has(d) {
			continue
		}
		if _, err := s.Store.Stat(d); !absent(err) {
			continue
		}
		if err := s.Views.Remove(d); err != nil {
			return fmt.Errorf("remove the view of %s: %w", d, err)
		}
		s.result.Views = append(s.result.Views, d)
		s.log().Debug("view removed", "manifest", d)
	}
	s.reached(stepViews)
	return nil
}
