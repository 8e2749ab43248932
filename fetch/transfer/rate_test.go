package transfer_test

import (
	"bytes"
	"context"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/internal/faultserver"
	"github.com/mstore/mstore/internal/memsink"
)

// within tells whether got is want, give or take a share of it.
func within(got, want, share float64) bool { return got > want*(1-share) && got < want*(1+share) }

// TestRate is the limit by the clock: over all transfers and uploads together, whatever the rate.
func TestRate(t *testing.T) {
	for _, rate := range []int64{20_000, 1_000_000, 300_000_000} {
		synctest.Test(t, func(t *testing.T) {
			size := min(int(rate*5), 64<<20)
			data := blob(size)
			memory := fake(func(_ context.Context, off, n int64) (io.ReadCloser, int64, error) {
				if n < 0 {
					n = int64(size) - off
				}
				return io.NopCloser(bytes.NewReader(data[off : off+n])), off, nil
			})
			e := transfer.New(transfer.Limits{Rate: rate, Connections: 4})
			start := time.Now()
			var all sync.WaitGroup
			for range 2 {
				all.Go(func() {
					if _, err := e.Run(t.Context(), memsink.New(size, nil), []transfer.Origin{memory}, nowait()); err != nil {
						t.Error(err)
					}
				})
			}
			all.Go(func() {
				for range 10 {
					if err := e.Throttle(t.Context(), size/10); err != nil {
						t.Error(err)
					}
				}
			})
			all.Wait()
			if got := float64(3*size) / time.Since(start).Seconds(); !within(got, float64(rate), 0.02) {
				t.Errorf("%.0f bytes a second, want %d", got, rate)
			}
		})
	}
}

// TestRateOfAServer is the same with a real one, whose bytes wait in buffers on the way.
func TestRateOfAServer(t *testing.T) {
	t.Parallel()
	const rate = 5_000_000
	w := newWild(t, rate*3/2, faultserver.Options{}, nil)
	stats := w.mustRun(t, transfer.New(transfer.Limits{Rate: rate}), nowait())
	if got := float64(len(w.data)) / stats.Elapsed.Seconds(); got > 1.03*rate || got < rate/3 { // a busy machine may be slower
		t.Errorf("%.0f bytes a second, want %d: %+v", got, rate, stats)
	}
}

// slowSink takes its time to write.
type slowSink struct {
	*memsink.Sink

	each time.Duration
}

func (s slowSink) WriteAt(p []byte, off int64) (int, error) {
	time.Sleep(s.each)
	return s.Sink.WriteAt(p, off)
}

// TestWaitsThatAreNoServersFault: a slow disk, and a low rate, are no reason to take a range over or to try again.
func TestWaitsThatAreNoServersFault(t *testing.T) {
	for name, c := range map[string]struct {
		limits transfer.Limits
		each   time.Duration
	}{
		"slow disk": {transfer.Limits{Connections: 4, ChunkSize: 1 << 20}, 5 * time.Second},
		"low rate":  {transfer.Limits{Connections: 16, ChunkSize: 64 << 10, Rate: 2000}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const size = 4<<20 + 1
				data := blob(size)
				var mu sync.Mutex
				asked := 0
				memory := fake(func(_ context.Context, off, n int64) (io.ReadCloser, int64, error) {
					mu.Lock()
					defer mu.Unlock()
					asked++
					return io.NopCloser(bytes.NewReader(data[off : off+n])), off, nil
				})
				sink := slowSink{memsink.New(size, nil), c.each}
				stats, err := transfer.New(c.limits).Run(t.Context(), sink, []transfer.Origin{memory}, transfer.Options{})
				if err != nil || stats.Takeovers+stats.Retries > 0 || int64(asked) > size/c.limits.ChunkSize+1 {
					t.Errorf("%v: asked %d times: %+v", err, asked, stats)
				}
			})
		})
	}
}
