package mstore

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/mstore/mstore/gc"
	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/stats"
)

// GCOptions say what a collection removes. The zero value removes what no tag and no lease reaches.
type GCOptions struct {
	DryRun bool          // plan, and change nothing
	All    bool          // drop every tag that is not pinned first
	Grace  time.Duration // keep blobs younger than this; 0: none, or 24 h where locks do nothing
	Quota  Quota         // drop what exceeds it first; the zero value is that of the Store
	// Compress packs the files of the models that stay and that nobody is using. They are unpacked when they are used.
	// A dry run does not tell what that would save.
	Compress bool
}

// GCResult is what a collection did, or with DryRun would do.
type GCResult struct {
	Dropped    []string    // names of tags
	Chosen     []gc.Choice // of a quota: what was to be dropped, and why
	Over       int64       // bytes by which the store exceeds its quota still: the rest is pinned, in use or just pulled
	Removed    []gc.Removal
	FreedBytes int64 // of removed blobs, and of dead ingests
	Kept       int   // blobs
	Packed     []gc.Packing
	SavedBytes int64 // of packed blobs
	DryRun     bool
}

// GC removes the blobs that no tag and no lease reaches, beside any number of pulls and other collections. A manifest,
// tag or lease that cannot be read stops it before anything more is removed; the result then tells what was. The plan
// of a dry run is the one that runs.
//
// With a quota, models are dropped first until the store keeps within it, and no more of them than that takes: never one
// that is pinned or in use. A quota that cannot be kept is no error.
func (s *Store) GC(ctx context.Context, o GCOptions) (_ *GCResult, err error) {
	defer classify(&err)
	return s.collect(ctx, o)
}

// compress packs what nobody is using. A model that is packed is no longer in index.json.
func (s *Store) compress(ctx context.Context, c *gc.Collector, r *GCResult) (err error) {
	r.Packed, err = c.Compress(ctx)
	for _, p := range r.Packed {
		r.SavedBytes += p.Saved
	}
	if len(r.Packed) == 0 {
		return err
	}
	return errors.Join(err, s.tags.RebuildIndex(ctx))
}

// collect is GC that drops none of the names to spare.
func (s *Store) collect(ctx context.Context, o GCOptions, spare ...string) (*GCResult, error) {
	start := time.Now()
	if !o.DryRun {
		s.giveUpSpare()
		defer s.keepSpare()
	}
	c := s.collector()
	c.Grace = o.Grace
	drop, chosen, err := s.drops(ctx, c, o, spare)
	if err != nil {
		return nil, err
	}
	plan, err := c.Plan(ctx, drop)
	if err != nil {
		return nil, err
	}
	r := &GCResult{DryRun: o.DryRun}
	if chosen != nil {
		r.Chosen = chosen.Choices
		if most := cmp.Or(o.Quota, s.opts.Quota).MaxSize; most > 0 {
			r.Over = max(0, chosen.Left-most)
		}
	}
	if o.DryRun {
		r.Removed, r.FreedBytes, r.Kept = plan.Remove, plan.FreedBytes, plan.Kept
		for _, tag := range plan.Drop {
			r.Dropped = append(r.Dropped, tag.Name)
		}
		return r, nil
	}
	done, err := c.Run(ctx, plan)
	if err == nil {
		err = durable.Reap(s.requests.dir, gc.KeepIngests)
	}
	if done == nil {
		return nil, err
	}
	if err == nil && o.Compress {
		err = s.compress(ctx, c, r)
	}
	s.record(stats.Act{Kind: stats.Sweep, Removed: len(done.Removed), Freed: done.FreedBytes + done.ReapedBytes}, nil, start, err)
	r.Dropped, r.Removed, r.FreedBytes, r.Kept = done.Dropped, done.Removed, done.FreedBytes+done.ReapedBytes, done.Kept
	return r, err
}
