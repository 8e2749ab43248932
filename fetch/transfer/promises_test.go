package transfer_test

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/internal/faultserver"
	"github.com/mstore/mstore/internal/memsink"
)

// counted is an origin that knows how many of its answers are under way.
type counted struct {
	transfer.Origin

	mu   sync.Mutex
	now  int
	most int
	seen func(now int) // under mu
}

func (c *counted) Host() string { return c.Origin.(*transfer.Link).Server }

func (c *counted) change(by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += by
	c.most = max(c.most, c.now)
	if c.seen != nil {
		c.seen(c.now)
	}
}

func (c *counted) Fetch(ctx context.Context, off, n int64) (*transfer.Answer, error) {
	c.change(1)
	a, err := c.Origin.Fetch(ctx, off, n)
	if err != nil {
		c.change(-1)
		return nil, err
	}
	a.Body = &closing{a.Body, func() { c.change(-1) }}
	return a, nil
}

type closing struct {
	io.ReadCloser

	then func()
}

func (c *closing) Close() error {
	c.then()
	return c.ReadCloser.Close()
}

// mustRun fetches all of w with an engine and wants the right bytes.
func (w *wild) mustRun(t *testing.T, e *transfer.Engine, opts transfer.Options, origins ...transfer.Origin) transfer.Stats {
	t.Helper()
	if len(origins) == 0 {
		origins = []transfer.Origin{w.Link}
	}
	sink := memsink.New(len(w.data), nil)
	stats, err := e.Run(t.Context(), sink, origins, opts)
	if err != nil {
		t.Fatalf("%v: %+v", err, stats)
	}
	if data, whole := sink.Bytes(); !whole || !bytes.Equal(data, w.data) {
		t.Fatal("wrong bytes")
	}
	return stats
}

// TestRangesCoverTheBlobOnce: closed ranges, each byte in one of them, the lowest first.
func TestRangesCoverTheBlobOnce(t *testing.T) {
	for _, connections := range []int{1, 3, 8} {
		w := newWild(t, wildSize, faultserver.Options{}, nil)
		stats := w.mustRun(t, transfer.New(transfer.Limits{Connections: connections, ChunkSize: wildChunk}), nowait())
		_ = w.Close() // after which its count is whole
		got := w.Count().Paths[wildPath]
		if got.Sent != wildSize || got.Requests != 9 || stats.Wasted != 0 || stats.Retries != 0 {
			t.Errorf("%d connections: %d requests brought %d bytes: %+v", connections, got.Requests, got.Sent, stats)
		}
		for i, span := range got.Ranges {
			if off := span.From / wildChunk; off > int64(i+connections-1) {
				t.Errorf("%d connections: request %d begins at %d, before lower bytes", connections, i, span.From)
			}
		}
		for _, r := range w.Requests() {
			if h := r.Header.Get("Range"); strings.HasSuffix(h, "-") || !strings.HasPrefix(h, "bytes=") {
				t.Errorf("asked for %q, which is no closed range", h)
			}
		}
		slices.SortFunc(got.Ranges, func(a, b faultserver.Span) int { return cmp.Compare(a.From, b.From) })
		at := int64(0)
		for _, span := range got.Ranges {
			if span.From != at {
				t.Errorf("%d connections: %d follows %d", connections, span.From, at)
			}
			at = span.To
		}
	}
}

// TestSlowConnectionsAreHelped: one connection of four is 50 times slower, or falls silent.
func TestSlowConnectionsAreHelped(t *testing.T) {
	const size = 6<<20 + 1
	for name, c := range map[string]struct {
		shape faultserver.Shape
		most  time.Duration
	}{
		"none":   {faultserver.Shape{}, 10 * time.Second},
		"slow":   {faultserver.Shape{SlowEvery: 4, SlowBy: 500}, 10 * time.Second}, // alone with its range it takes minutes
		"silent": {faultserver.Shape{SlowEvery: 4, SlowStall: 100 << 10}, 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.shape.PerConn, c.shape.FirstByte = 4e6, 5*time.Millisecond
			w := newWild(t, size, faultserver.Options{Shape: c.shape}, nil)
			opts := nowait()
			opts.Stall = time.Minute
			stats := w.mustRun(t, transfer.New(transfer.Limits{Connections: 4}), opts)
			if stats.Elapsed > c.most || c.shape.SlowEvery > 0 && stats.Takeovers == 0 || stats.Retries > 0 {
				t.Errorf("%+v, want it within %v", stats, c.most)
			}
			if sent := w.Count().Sent; name != "silent" && sent > size+size/4 {
				t.Errorf("%d bytes were sent of %d", sent, size)
			}
			t.Logf("%v, %d takeovers, %d wasted", stats.Elapsed, stats.Takeovers, stats.Wasted)
		})
	}
}

// TestTooManyRequests: a server that serves four at once is not asked by many more, whatever it says of when to come back.
// How many it settles at is shown in virtual time (TestConverges): on a busy machine some of the four may not be under way yet.
func TestTooManyRequests(t *testing.T) {
	for _, after := range []string{"", "0", "1", "date", "-7", "99999999999999999999", "soon"} {
		t.Run(after, func(t *testing.T) {
			t.Parallel()
			shape := faultserver.Shape{MaxRequests: 4, RetryAfter: after, PerConn: 3e6, FirstByte: 15 * time.Millisecond}
			if after == "date" {
				shape.RetryAfter = time.Now().Add(time.Second).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
			}
			w := newWild(t, 9<<20, faultserver.Options{Shape: shape}, nil)
			e := transfer.New(transfer.Limits{ChunkSize: 256 << 10})
			stats := w.mustRun(t, e, nowait())
			if limit := e.Limit(w.Server.Host()); limit > 6 {
				t.Errorf("it ends with %d connections, want about 4", limit)
			}
			if stats.Elapsed > 20*time.Second || stats.Causes["429"] > 80 {
				t.Errorf("%+v", stats)
			}
			t.Logf("%v, %v", stats.Elapsed, stats.Causes)
		})
	}
}

// TestTotalLimit: more connections bring nothing, and cost nothing.
func TestTotalLimit(t *testing.T) {
	t.Parallel()
	const size = 12 << 20
	w := newWild(t, size, faultserver.Options{Shape: faultserver.Shape{Total: 12e6, FirstByte: 12 * time.Millisecond}}, nil)
	stats := w.mustRun(t, transfer.New(transfer.Limits{}), nowait())
	if sent := w.Count().Sent; stats.Elapsed > 10*time.Second || sent > size+size/4 {
		t.Errorf("%d bytes were sent: %+v", sent, stats)
	}
}

// TestCutConnections: of what was sent before a connection was cut, nothing is asked for again.
func TestCutConnections(t *testing.T) {
	const size = 20 << 20
	for _, connections := range []int{1, 8, 0} {
		w := newWild(t, size, faultserver.Options{Shape: faultserver.Shape{CutAfter: 777_777}}, nil)
		stats := w.mustRun(t, transfer.New(transfer.Limits{Connections: connections}), nowait())
		if sent := w.Count().Sent; sent > size+size/100 || stats.Retries < 10 {
			t.Errorf("%d connections: %d bytes were sent of %d: %+v", connections, sent, size, stats)
		}
	}
}

// TestConnectionsAreBounded: never more at once than the caller said, and as many as that.
func TestConnectionsAreBounded(t *testing.T) {
	for _, n := range []int{1, 3, 8} {
		shape := faultserver.Shape{FirstByte: 3 * time.Millisecond}
		w := newWild(t, wildSize*2, faultserver.Options{Shape: shape}, nil)
		o := &counted{Origin: w.Link}
		w.mustRun(t, transfer.New(transfer.Limits{Connections: n, ChunkSize: 64 << 10}), nowait(), o)
		if got := w.Count().MostConnections; o.most != n || got < n {
			t.Errorf("%d connections: %d requests at once, %d connections at the server", n, o.most, got)
		}
	}
}

// TestMemory: where there is little, there are fewer connections, and the blob comes all the same.
func TestMemory(t *testing.T) {
	for _, memory := range []int64{64 << 10, 256 << 10, 1 << 20} {
		w := newWild(t, wildSize, faultserver.Options{}, nil)
		stats := w.mustRun(t, transfer.New(transfer.Limits{Connections: 32, Memory: memory, ChunkSize: 32 << 10}), nowait())
		if stats.Memory > memory || stats.Memory == 0 {
			t.Errorf("%d bytes of buffers, where %d are allowed", stats.Memory, memory)
		}
	}
}

// TestWeights: two transfers share the connections as their weights say.
func TestWeights(t *testing.T) {
	t.Parallel()
	shape := faultserver.Shape{PerConn: 1e6, FirstByte: time.Millisecond}
	w := newWild(t, 6<<20, faultserver.Options{Shape: shape}, nil)
	e := transfer.New(transfer.Limits{Connections: 10, ChunkSize: 64 << 10})
	var mu sync.Mutex
	var held [2]int
	var sum [2]float64
	last := time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	for i, weight := range []int{4, 1} {
		o := &counted{Origin: w.Link, seen: func(now int) {
			mu.Lock()
			defer mu.Unlock()
			if held[0]+held[1] > 8 { // both have begun, and neither has ended
				took := time.Since(last).Seconds()
				sum[0], sum[1] = sum[0]+took*float64(held[0]), sum[1]+took*float64(held[1])
			}
			held[i], last = now, time.Now()
		}}
		all.Go(func() {
			opts := nowait()
			opts.Weight = weight
			_, err := e.Run(ctx, memsink.New(len(w.data), nil), []transfer.Origin{o}, opts)
			cancel() // the first that ends ends the other
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if ratio := sum[0] / sum[1]; ratio < 1.7 || ratio > 9 {
		t.Errorf("they shared %.1f to 1, want 4 to 1", ratio)
	}
}
