package fetch

import (
	"context"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

const (
	// smallBlob is the size in bytes up to which the round trip is what a blob costs, not the line.
	smallBlob = 256 << 10
	// smallShare is how many small blobs take the place of one other.
	smallShare = 8
)

// Crew moves the blobs of a model, some at once: as many as the caller said, else DefaultJobs, for which smallShare
// times as many small ones may stand. It is for one goroutine, and one model.
type Crew struct {
	group  *errgroup.Group
	places *semaphore.Weighted
	small  int64 // places that a small blob takes, of the smallShare of others
}

// NewCrew makes a crew for so many blobs at once, small ones too; 0 means the default. The context that it gives ends
// with the first work that fails.
func NewCrew(ctx context.Context, jobs int) (*Crew, context.Context) {
	small := int64(smallShare)
	if jobs <= 0 {
		jobs, small = DefaultJobs, 1
	}
	group, ctx := errgroup.WithContext(ctx)
	return &Crew{group, semaphore.NewWeighted(int64(jobs) * smallShare), small}, ctx
}

// Move does the work for a blob of a size in bytes, negative when it is not known, as soon as there is place for it, for
// which it waits. Nothing is begun once a work has failed, which ends ctx, the one that NewCrew gave.
func (c *Crew) Move(ctx context.Context, size int64, work func() error) {
	n := int64(smallShare)
	if 0 <= size && size <= smallBlob {
		n = c.small
	}
	if c.places.Acquire(ctx, n) != nil {
		c.group.Go(func() error { return context.Cause(ctx) })
		return
	}
	c.group.Go(func() error {
		defer c.places.Release(n)
		return work()
	})
}

// Wait waits for all, and gives the first error.
func (c *Crew) Wait() error { return c.group.Wait() }
