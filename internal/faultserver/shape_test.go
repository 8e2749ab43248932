package faultserver_test

import (
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mstore/mstore/internal/faultserver"
)

// took is how long it takes to read n bodies at once, each on a connection of its own.
func took(t *testing.T, s *faultserver.Server, n int) time.Duration {
	t.Helper()
	c := client(t, s)
	start := time.Now()
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			resp, err := c.Get(s.URL(path))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	return time.Since(start)
}

// TestRates: never more than 2 % too fast, and not too slow in the best of some tries: others use the machine.
func TestRates(t *testing.T) {
	const size = 10e6
	blobs := []faultserver.Blob{{Path: path, Data: faultserver.Content(3, size), Size: size}}
	for name, c := range map[string]struct {
		shape faultserver.Shape
		n     int
		tls   bool
		want  float64 // seconds
	}{
		"a connection":         {faultserver.Shape{PerConn: 25e6}, 1, false, 0.4},
		"four connections":     {faultserver.Shape{PerConn: 25e6}, 4, false, 0.4},
		"a connection of TLS":  {faultserver.Shape{PerConn: 25e6}, 1, true, 0.4},
		"in total":             {faultserver.Shape{Total: 100e6}, 4, false, 0.4},
		"in total, and each":   {faultserver.Shape{Total: 1e9, PerConn: 25e6}, 2, false, 0.4},
		"one in four is slow":  {faultserver.Shape{PerConn: 100e6, SlowEvery: 4, SlowBy: 4}, 4, false, 0.4},
		"late on a connection": {faultserver.Shape{PerConn: 100e6, Connect: 300 * time.Millisecond}, 1, false, 0.4},
		"late with each byte":  {faultserver.Shape{PerConn: 100e6, FirstByte: 300 * time.Millisecond}, 1, false, 0.4},
	} {
		t.Run(name, func(t *testing.T) {
			var off float64
			for range 8 {
				s := serve(t, faultserver.Options{Blobs: blobs, Shape: c.shape, TLS: c.tls})
				off = took(t, s, c.n).Seconds()/c.want - 1
				if off < -0.02 {
					t.Errorf("%.1f %% too fast", -100*off)
				}
				if off < 0.05 {
					return
				}
			}
			t.Errorf("%.1f %% too slow each time", 100*off)
		})
	}
}

func TestSilentConnection(t *testing.T) {
	s := serve(t, faultserver.Options{Shape: faultserver.Shape{SlowEvery: 2, SlowStall: 100_000}})
	c := client(t, s)
	resp, err := c.Get(s.URL(path))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 99_000)); err != nil {
		t.Fatal(err)
	}
	ask(t, c, s.URL(path)).want(t, 200, 0, blobSize) // the second connection
	if n := s.Count().Wire; n > blobSize+101_000 {
		t.Errorf("%d bytes were written, more than the silent connection may", n)
	}
}

func TestCutAfter(t *testing.T) {
	for _, reset := range []bool{false, true} {
		s := serve(t, faultserver.Options{Shape: faultserver.Shape{CutAfter: 100_000, CutReset: reset}})
		c := client(t, s)
		c.Transport.(*http.Transport).MaxConnsPerHost = 1
		ask(t, c, s.URL(path), "Range", "bytes=0-89999").want(t, 206, 0, 90_000)
		if g := ask(t, c, s.URL(path), "Range", "bytes=0-89999"); g.err == nil || len(g.body) > 10_000 {
			t.Errorf("%d bytes more, and %v; want a cut", len(g.body), g.err)
		}
		ask(t, c, s.URL(path), "Range", "bytes=0-89999").want(t, 206, 0, 90_000) // on a new connection
		if got := s.Count(); got.Connections != 2 || got.Wire >= 200_000 {
			t.Errorf("%d connections carried %d bytes", got.Connections, got.Wire)
		}
	}
}

func TestBusy(t *testing.T) {
	for name, shape := range map[string]faultserver.Shape{
		"requests":    {MaxRequests: 2, RetryAfter: "7"},
		"connections": {MaxConns: 2, Busy: 503, RetryAfter: "7"},
	} {
		t.Run(name, func(t *testing.T) {
			shape.SlowEvery, shape.SlowStall = 1, 1000 // all requests stay under way
			s := serve(t, faultserver.Options{Shape: shape})
			c := client(t, s)
			for range 2 {
				resp, err := c.Get(s.URL(path))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
			}
			g := ask(t, c, s.URL(path))
			if want := max(429, shape.Busy); g.Response == nil || g.StatusCode != want || g.Header.Get("Retry-After") != "7" {
				t.Errorf("the third is answered %+v, want %d", g, want)
			}
			if got := s.Count(); got.MostRequests != 3 || got.MostConnections != 3 {
				t.Errorf("counted %d requests and %d connections at once, want 3", got.MostRequests, got.MostConnections)
			}
		})
	}
}

func TestContent(t *testing.T) {
	const size = 3<<20 + 5
	g := faultserver.Content(9, size)
	all := g.Bytes()
	if faultserver.Content(9, size).Digest() != g.Digest() || faultserver.Content(8, size).Digest() == g.Digest() {
		t.Error("the content is not that of its seed")
	}
	if want := faultserver.DigestOf(strings.NewReader(string(all)), size); g.Digest() != want {
		t.Errorf("Digest = %s, want %s", g.Digest(), want)
	}
	for _, off := range []int64{0, 1, 7, 4095, 4096, 4097, 1<<20 - 1, 1 << 20, size - 9, size - 1} {
		p := make([]byte, 9)
		n, err := g.ReadAt(p, off)
		if want := min(9, size-off); int64(n) != want || errors.Is(err, io.EOF) != (n < 9) || string(p[:n]) != string(all[off:off+want]) {
			t.Errorf("ReadAt(%d) = %d, %v: not what ReadAt(0) has there", off, n, err)
		}
	}
	if string(all[:4096]) == string(all[1<<20:1<<20+4096]) {
		t.Error("two pages are alike")
	}
	huge := faultserver.Content(1, math.MaxInt64)
	if n, err := huge.ReadAt(make([]byte, 9000), math.MaxInt64-9000); n != 9000 || err != nil {
		t.Errorf("at the end of the largest: %d, %v", n, err)
	}
	if _, err := g.ReadAt(make([]byte, 1), size); !errors.Is(err, io.EOF) {
		t.Errorf("past the end: %v", err)
	}
}

// BenchmarkServe says how fast a server is with a client of net/http beside it, and at a given rate how much is left of
// the machine: its time of CPU is that of both.
func BenchmarkServe(b *testing.B) {
	const size = 25e6
	for name, c := range map[string]struct {
		opts  faultserver.Options
		conns int
	}{
		"far, 32 connections": {faultserver.Options{Shape: faultserver.Shape{PerConn: 25e6}}, 32},
		"near":                {faultserver.Options{}, 1},
		"near, TLS":           {faultserver.Options{TLS: true}, 1},
		"near, HTTP2":         {faultserver.Options{HTTP2: true}, 1},
	} {
		b.Run(name, func(b *testing.B) {
			c.opts.Blobs = []faultserver.Blob{{Path: path, Data: faultserver.Content(1, size), Size: size}}
			s, err := faultserver.Serve(c.opts)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			client := s.Client()
			defer client.CloseIdleConnections()
			b.SetBytes(int64(c.conns) * size)
			for b.Loop() {
				var all sync.WaitGroup
				for range c.conns {
					all.Go(func() {
						resp, err := client.Get(s.URL(path))
						if err != nil {
							b.Error(err)
							return
						}
						defer resp.Body.Close()
						_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, make([]byte, 256<<10))
					})
				}
				all.Wait()
			}
		})
	}
}
