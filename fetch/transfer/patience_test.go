package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mstore/mstore/fetch/transfer"
)

// slow is a body that gives a byte every so often.
type slow struct {
	ctx   context.Context
	every time.Duration
	data  []byte
}

func (s *slow) Read(p []byte) (int, error) {
	if len(s.data) == 0 {
		return 0, io.EOF
	}
	select {
	case <-time.After(s.every):
		n := copy(p[:1], s.data)
		s.data = s.data[n:]
		return n, nil
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	}
}

func (s *slow) Close() error { return nil }

// failing always fails with err.
func failing(err error) fake {
	return func(context.Context, int64, int64) (io.ReadCloser, int64, error) { return nil, 0, err }
}

// waits runs a transfer from an origin that always fails and gives the waits between its tries.
func waits(t *testing.T, err error, opts transfer.Options) []time.Duration {
	t.Helper()
	var got []time.Duration
	synctest.Test(t, func(t *testing.T) {
		last := time.Now()
		opts.Retry = func(attempt int, wait time.Duration, _ error) {
			if attempt != len(got)+1 {
				t.Errorf("attempt %d after %d", attempt, len(got))
			}
			got = append(got, wait)
		}
		var sum time.Duration
		_, failed := run(t.Context(), newSink(9, 0), []transfer.Origin{failing(err)}, opts)
		for _, w := range got {
			sum += w
		}
		if !errors.Is(failed, err) {
			t.Errorf("Run = %v, want %v", failed, err)
		}
		if slept := time.Since(last); slept != sum {
			t.Errorf("waited %v, and said %v", slept, sum)
		}
	})
	return got
}

func longest(most time.Duration) time.Duration { return most }

func TestBackoff(t *testing.T) {
	got := waits(t, io.ErrUnexpectedEOF, transfer.Options{Retries: 9, Jitter: longest})
	want := "[250ms 500ms 1s 2s 4s 8s 16s 30s 30s]"
	if fmt.Sprint(got) != want {
		t.Errorf("waits %v, want %s", got, want)
	}
	var different bool
	for range 5 {
		for i, w := range waits(t, io.ErrUnexpectedEOF, transfer.Options{}) {
			different = different || w != got[i]
			if w < 0 || w > got[i] {
				t.Errorf("wait %d is %v, want at most %v", i, w, got[i])
			}
		}
	}
	if !different {
		t.Error("no jitter")
	}
	if got := waits(t, io.ErrUnexpectedEOF, transfer.Options{Retries: -1}); len(got) != 0 {
		t.Errorf("waits without retries: %v", got)
	}
}

func TestRetryAfterIsObeyedUpToItsCap(t *testing.T) {
	for after, want := range map[time.Duration]time.Duration{
		0: 0, 7 * time.Second: 7 * time.Second, 24 * time.Hour: transfer.MaxRetryAfter,
	} {
		got := waits(t, &transfer.StatusError{Status: 429, RetryAfter: after}, transfer.Options{
			Retries: 2, Jitter: func(time.Duration) time.Duration { return 0 },
		})
		if fmt.Sprint(got) != fmt.Sprint([]time.Duration{want, want}) {
			t.Errorf("Retry-After %v: waits %v, want %v twice", after, got, want)
		}
	}
}

// TestAnotherOriginIsNotWaitedFor: the wait is for the origin that failed.
func TestAnotherOriginIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		good := fake(func(context.Context, int64, int64) (io.ReadCloser, int64, error) {
			return io.NopCloser(bytes.NewReader(blob(9))), 0, nil
		})
		s := newSink(9, 0)
		_, err := run(t.Context(), s, []transfer.Origin{failing(io.EOF), good}, transfer.Options{Jitter: longest})
		if err != nil || time.Since(start) != 0 {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		s.wantBlob(t, 9)
	})
}

// TestDripEnds (13): a byte a second is progress that does not refill the budget.
func TestDripEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		drip := fake(func(ctx context.Context, off, _ int64) (io.ReadCloser, int64, error) {
			return &slow{ctx, time.Second, blob(1 << 20)[off:]}, off, nil
		})
		stats, err := run(t.Context(), newSink(1<<20, 0), []transfer.Origin{drip}, transfer.Options{})
		var stall *transfer.StallError
		if !errors.As(err, &stall) || stall.Bytes == 0 {
			t.Errorf("Run = %v, want a StallError that counts bytes", err)
		}
		if took := time.Since(start); took > 5*time.Minute {
			t.Errorf("a drip was endured for %v", took)
		}
		if stats.Bytes < 100 {
			t.Errorf("%d bytes were kept; all that came should be", stats.Bytes)
		}
	})
}

// TestSlowButSteadyIsEndured: 2 KiB/s is a bad line and no drip.
func TestSlowButSteadyIsEndured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 200 << 10
		steady := fake(func(ctx context.Context, off, _ int64) (io.ReadCloser, int64, error) {
			return &slow{ctx, time.Second / 2048, blob(size)[off:]}, off, nil
		})
		s := newSink(size, 0)
		if stats, err := run(t.Context(), s, []transfer.Origin{steady}, transfer.Options{}); err != nil || stats.Retries != 0 {
			t.Fatalf("%+v, %v", stats, err)
		}
		s.wantBlob(t, size)
	})
}

// TestADripIsRelievedOnce: a stream that was fast and has begun to drip is not helped with a crumb of its rest at a
// time, although it has brought much and its helpers are slow to begin.
func TestADripIsRelievedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 8 << 20
		var asked atomic.Int64
		o := fake(func(ctx context.Context, off, _ int64) (io.ReadCloser, int64, error) {
			time.Sleep(2 * time.Millisecond)
			if asked.Add(1); off > 0 {
				return io.NopCloser(bytes.NewReader(blob(size)[off:])), off, nil
			}
			fast := bytes.NewReader(blob(size)[:size/3])
			drip := &slow{ctx, 5 * time.Millisecond, blob(size)[size/3:]}
			return io.NopCloser(io.MultiReader(fast, drip)), off, nil
		})
		s := newSink(size, 0)
		stats, err := run(t.Context(), s, []transfer.Origin{o}, transfer.Options{})
		if err != nil || asked.Load() > 32 {
			t.Errorf("%d requests: %v; %+v", asked.Load(), err, stats)
		}
		s.wantBlob(t, size)
	})
}

// TestCutsEndWithoutProgress: each try gives a byte and breaks. A byte is not worth a retry.
func TestCutsEndWithoutProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		cut := fake(func(_ context.Context, off, _ int64) (io.ReadCloser, int64, error) {
			tries++
			return io.NopCloser(bytes.NewReader(blob(1 << 20)[off : off+1])), off, nil
		})
		_, err := run(t.Context(), newSink(1<<20, 0), []transfer.Origin{cut}, transfer.Options{})
		if !errors.Is(err, transfer.ErrInterrupted) || tries != transfer.DefaultRetries+1 {
			t.Errorf("after %d tries: %v", tries, err)
		}
		if err != nil && !strings.Contains(err.Error(), "after 5 retries") {
			t.Errorf("the error does not say that retries were used up: %v", err)
		}
	})
}

func TestCancelEndsAtOnce(t *testing.T) {
	why := errors.New("the user has left")
	for name, o := range map[string]fake{
		"in a request": func(ctx context.Context, _, _ int64) (io.ReadCloser, int64, error) {
			<-ctx.Done()
			return nil, 0, ctx.Err()
		},
		"in a body": func(ctx context.Context, _, _ int64) (io.ReadCloser, int64, error) {
			return &slow{ctx, time.Hour, blob(9)}, 0, nil
		},
		"in a wait": failing(&transfer.StatusError{Status: 503, RetryAfter: time.Hour}),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { cancel(why) })
				start := time.Now()
				_, err := run(ctx, newSink(9, 0), []transfer.Origin{o}, transfer.Options{})
				if !errors.Is(err, why) || time.Since(start) != time.Second {
					t.Errorf("after %v: %v", time.Since(start), err)
				}
			})
		})
	}
}

func TestErrorsOfTheSinkAreFinal(t *testing.T) {
	full := errors.New("no space left on device")
	s := newSink(blobSize, 0)
	s.Fail(full)
	tries := 0
	o := fake(func(context.Context, int64, int64) (io.ReadCloser, int64, error) {
		tries++
		return io.NopCloser(bytes.NewReader(blob(blobSize))), 0, nil
	})
	if _, err := run(t.Context(), s, []transfer.Origin{o}, nowait()); !errors.Is(err, full) || tries != 1 {
		t.Errorf("Run = %v after %d tries", err, tries)
	}
}

func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		err := transfer.Retry(t.Context(), transfer.Options{}, func(context.Context) error {
			if n++; n < 4 {
				return io.ErrUnexpectedEOF
			}
			return nil
		})
		if err != nil || n != 4 {
			t.Errorf("after %d tries: %v", n, err)
		}
		final := errors.New("final")
		n = 0
		err = transfer.Retry(t.Context(), transfer.Options{}, func(context.Context) error { n++; return final })
		if !errors.Is(err, final) || n != 1 {
			t.Errorf("after %d tries: %v", n, err)
		}
	})
}
