package fetch_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mstore/mstore/fetch"
)

// TestCrew: how many blobs are brought in at once.
func TestCrew(t *testing.T) {
	for name, c := range map[string]struct {
		jobs int
		size int64
		want int64
	}{
		"large":              {0, 256<<10 + 1, fetch.DefaultJobs},
		"of unknown size":    {0, -1, fetch.DefaultJobs},
		"small":              {0, 256 << 10, 8 * fetch.DefaultJobs},
		"empty":              {0, 0, 8 * fetch.DefaultJobs},
		"large, as was said": {3, 1 << 40, 3},
		"small, as was said": {3, 1, 3},
		"one by one":         {1, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var lock sync.Mutex
				var now, most, done int64
				count := func(begun, ended int64) {
					lock.Lock()
					defer lock.Unlock()
					now, done = now+begun-ended, done+ended
					most = max(most, now)
				}
				err := crew(t.Context(), c.jobs, slices.Repeat([]int64{c.size}, 100), func() error {
					count(1, 0)
					time.Sleep(time.Second)
					count(0, 1)
					return nil
				})
				if err != nil || most != c.want || done != 100 {
					t.Errorf("%d of 100, at most %d at once, want %d: %v", done, most, c.want, err)
				}
			})
		})
	}
}

// TestCrewEndsWithTheFirstError: what waits for a place is not begun.
func TestCrewEndsWithTheFirstError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		var begun atomic.Int64
		err := crew(t.Context(), 2, make([]int64, 100), func() error {
			begun.Add(1)
			time.Sleep(time.Second)
			return broken
		})
		if !errors.Is(err, broken) || begun.Load() > 4 {
			t.Errorf("%d begun: %v", begun.Load(), err)
		}
	})
}

// crew moves blobs of the sizes, doing work for each.
func crew(ctx context.Context, jobs int, sizes []int64, work func() error) error {
	c, ctx := fetch.NewCrew(ctx, jobs)
	for _, size := range sizes {
		c.Move(ctx, size, work)
	}
	return c.Wait()
}
