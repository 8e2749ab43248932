package fetch

import "context"

// Crew brings blobs of the sizes in, doing work for each.
func Crew(ctx context.Context, jobs int, sizes []int64, work func() error) error {
	c, ctx := newCrew(ctx, jobs)
	for _, size := range sizes {
		c.bring(ctx, size, work)
	}
	return c.wait()
}
