package mstore

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/gc"
	"github.com/mstore/mstore/manifest/tags"
)

// Quota is what a store is held to. The zero value holds it to nothing.
type Quota struct {
	MaxSize int64         // bytes of all blobs; 0: any number
	MaxAge  time.Duration // how long a model may go unused; 0: for ever
	// First says which models go first for MaxSize: gc.LeastRecentlyUsed (also when empty) or gc.Largest. Models are used
	// by pull, path, export and exec.
	First gc.Order
}

// check finds values that no quota has.
func (q Quota) check() error {
	switch {
	case q.MaxSize < 0 || q.MaxAge < 0:
		return usagef("a quota is not negative")
	case q.First != "" && q.First != gc.LeastRecentlyUsed && q.First != gc.Largest:
		return usagef("%q is no order: want %s or %s", string(q.First), gc.LeastRecentlyUsed, gc.Largest)
	}
	return nil
}

// drops are the tags that a collection drops first; chosen is nil where no quota has a say.
func (s *Store) drops(ctx context.Context, c *gc.Collector, o GCOptions, spare []string) (drop []tags.Tag, chosen *gc.Chosen, err error) {
	if o.All {
		all, err := s.tags.List()
		for _, tag := range all {
			if !tag.Pinned {
				drop = append(drop, tag)
			}
		}
		return drop, nil, err
	}
	quota := cmp.Or(o.Quota, s.opts.Quota)
	if quota.MaxSize == 0 && quota.MaxAge == 0 {
		return nil, nil, quota.check()
	}
	if err := quota.check(); err != nil {
		return nil, nil, err
	}
	chosen, err = c.Choose(ctx, gc.Limits{MaxSize: quota.MaxSize, MaxAge: quota.MaxAge, Order: quota.First, Spare: spare})
	if err != nil {
		return nil, nil, err
	}
	for _, choice := range chosen.Choices {
		drop = append(drop, choice.Tag)
	}
	return drop, chosen, nil
}

// keepQuota collects where a model that came made the store exceed its quota. That one stays. What goes wrong is no
// failure of what came before: it is logged.
func (s *Store) keepQuota(ctx context.Context, came *Pulled) {
	if s.opts.Quota.MaxSize == 0 && s.opts.Quota.MaxAge == 0 {
		return
	}
	exceeded, err := s.exceeded(ctx, came.Name)
	if err == nil && exceeded {
		var done *GCResult
		if done, err = s.collect(ctx, GCOptions{}, came.Name); done != nil {
			came.Dropped, came.Over = done.Dropped, done.Over
		}
	}
	if err != nil {
		s.log.Warn("the store could not be held to its quota", "error", err)
	}
}

// exceeded tells whether a collection would drop a model, or has to remove what no model needs.
func (s *Store) exceeded(ctx context.Context, spare string) (bool, error) {
	_, chosen, err := s.drops(ctx, s.collector(), GCOptions{}, []string{spare})
	if err != nil || len(chosen.Choices) > 0 || s.opts.Quota.MaxSize == 0 {
		return err == nil && len(chosen.Choices) > 0, err
	}
	used, err := s.used()
	return used > s.opts.Quota.MaxSize, err
}

// used is how many bytes all blobs take.
func (s *Store) used() (used int64, err error) {
	for d, err := range s.blobs.All() {
		if err != nil {
			return 0, err
		}
		if n, err := s.blobs.Size(d); err == nil { // one that is gone takes nothing
			used += n
		}
	}
	return used, nil
}

// tellFreeable adds to the refusal of what does not fit what the store could free for it: all that is neither pinned nor
// in use.
func (s *Store) tellFreeable(ctx context.Context, err error) error {
	short, ok := errors.AsType[*blobstore.SpaceError](err)
	if !ok {
		return err
	}
	chosen, chooseErr := s.collector().Choose(ctx, gc.Limits{MaxSize: 1})
	used, usedErr := s.used()
	if chooseErr == nil && usedErr == nil {
		short.Freeable = used - chosen.Left
	}
	return err
}

// giveUpSpare frees a little where the disk is full, for what is about to free more: a tag cannot be removed without
// writing index.json anew.
func (s *Store) giveUpSpare() {
	if err := s.blobs.GiveUpSpare(); err != nil {
		s.log.Debug("the spare file could not be removed", "error", err)
	}
}

func (s *Store) keepSpare() {
	if err := s.blobs.KeepSpare(); err != nil {
		s.log.Debug("the spare file could not be made", "error", err)
	}
}
