package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/internal/faultserver"
	"github.com/mstore/mstore/internal/memsink"
)

// TestCancel ends transfers in whatever they are, and goes on with what they have left.
func TestCancel(t *testing.T) {
	why := errors.New("somebody wants it to end")
	fault := func(name string) faultserver.Options {
		return faultserver.Options{Faults: []faultserver.Injection{{Fault: mustName(t, name), Offset: wildSize / 2}}}
	}
	for name, c := range map[string]struct {
		opts   faultserver.Options
		limits transfer.Limits
	}{
		"in a handshake":      {fault("25 handshake stalled"), transfer.Limits{}},
		"before the header":   {fault("12 silence before the header"), transfer.Limits{}},
		"in the header":       {fault("12 silence in the header"), transfer.Limits{}},
		"after the header":    {fault("12 silence after the header"), transfer.Limits{}},
		"midway":              {fault("12 silence midway"), transfer.Limits{}},
		"in a drip":           {fault("13 a byte now and then"), transfer.Limits{}},
		"in a wait":           {fault("14 503 with Retry-After of a year"), transfer.Limits{}},
		"between tries":       {fault("15 500"), transfer.Limits{}},
		"in a slow body":      {faultserver.Options{Shape: faultserver.Shape{PerConn: 100_000}}, transfer.Limits{}},
		"at its rate":         {faultserver.Options{}, transfer.Limits{Rate: 1000}},
		"from no flow (h2)":   {fault("27 no flow-control window"), transfer.Limits{}},
		"before a connection": {faultserver.Options{Shape: faultserver.Shape{Connect: time.Minute}}, transfer.Limits{}},
	} {
		for _, connections := range []int{1, 8} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWild(t, wildSize, c.opts, nil)
				if c.opts.Faults != nil && c.opts.Faults[0].Fault.Where == faultserver.OnHTTP2 {
					w.Link = link(w.URL(wildPath), w.Client())
				}
				limits := c.limits
				limits.Connections, limits.ChunkSize = connections, wildChunk
				sink := memsink.New(wildSize, nil)
				const after = 150 * time.Millisecond
				start := time.Now()
				ctx, cancel := context.WithTimeoutCause(t.Context(), after, why)
				defer cancel()
				opts := transfer.Options{Jitter: longest}
				first, err := transfer.New(limits).Run(ctx, sink, []transfer.Origin{w.Link}, opts)
				if !errors.Is(err, why) || first.Elapsed > after+3*time.Second || time.Since(start) < after {
					t.Errorf("after %v: %v", first.Elapsed, err)
				}
				good := newWild(t, wildSize, faultserver.Options{}, nil)
				second, err := transfer.New(transfer.Limits{}).Run(t.Context(), sink, []transfer.Origin{good.Link}, opts)
				if data, whole := sink.Bytes(); err != nil || !whole || !bytes.Equal(data, w.data) {
					t.Errorf("resumed: %v", err)
				}
				_ = good.Close() // after which its count is whole
				if first.Bytes+second.Bytes != wildSize || good.Count().Sent != second.Bytes {
					t.Errorf("%d bytes, then %d; %d were sent for those", first.Bytes, second.Bytes, good.Count().Sent)
				}
			})
		}
	}
}

// TestCancelInTheQueue: a transfer that has no connection yet, because another one has them all.
func TestCancelInTheQueue(t *testing.T) {
	w := newWild(t, wildSize, faultserver.Options{Shape: faultserver.Shape{PerConn: 1e6}}, nil)
	e := transfer.New(transfer.Limits{Connections: 1})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	begun := make(chan struct{})
	o := &counted{Origin: w.Link, seen: func(now int) {
		if now == 1 {
			close(begun)
		}
	}}
	go func() {
		_, err := e.Run(ctx, memsink.New(wildSize, nil), []transfer.Origin{o}, transfer.Options{})
		done <- err
	}()
	<-begun
	short, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	stats, err := e.Run(short, memsink.New(wildSize, nil), []transfer.Origin{w.Link}, transfer.Options{})
	if !errors.Is(err, context.DeadlineExceeded) || stats.Elapsed > time.Second || stats.Connections != 0 {
		t.Errorf("after %v: %v, %d connections", stats.Elapsed, err, stats.Connections)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
