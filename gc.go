package mstore

import (
	"context"
	"time"

	"github.com/mstore/mstore/gc"
	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/manifest/tags"
)

// GCOptions say what a collection removes. The zero value removes what no tag and no lease reaches.
type GCOptions struct {
	DryRun bool          // plan, and change nothing
	All    bool          // drop every tag that is not pinned first
	Grace  time.Duration // keep blobs younger than this; 0: none, or 24 h where locks do nothing
}

// GCResult is what a collection did, or with DryRun would do.
type GCResult struct {
	Dropped    []string // names of tags
	Removed    []gc.Removal
	FreedBytes int64 // of removed blobs, and of dead ingests
	Kept       int   // blobs
	DryRun     bool
}

// GC removes the blobs that no tag and no lease reaches, beside any number of pulls and other collections. A manifest,
// tag or lease that cannot be read stops it before anything more is removed; the result then tells what was. The plan
// of a dry run is the one that runs.
func (s *Store) GC(ctx context.Context, o GCOptions) (_ *GCResult, err error) {
	defer classify(&err)
	c := s.collector()
	c.Grace = o.Grace
	var drop []tags.Tag
	if o.All {
		all, err := s.tags.List()
		if err != nil {
			return nil, err
		}
		for _, tag := range all {
			if !tag.Pinned {
				drop = append(drop, tag)
			}
		}
	}
	plan, err := c.Plan(ctx, drop)
	if err != nil {
		return nil, err
	}
	if o.DryRun {
		r := &GCResult{Removed: plan.Remove, FreedBytes: plan.FreedBytes, Kept: plan.Kept, DryRun: true}
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
	return &GCResult{
		Dropped: done.Dropped, Removed: done.Removed, FreedBytes: done.FreedBytes + done.ReapedBytes, Kept: done.Kept,
	}, err
}
