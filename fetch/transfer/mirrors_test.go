package transfer_test

import (
	"testing"
	"time"

	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/internal/faultserver"
)

func mustName(t *testing.T, name string) faultserver.Fault {
	t.Helper()
	f, ok := faultserver.Named(name)
	if !ok {
		t.Fatalf("there is no fault %q", name)
	}
	return f
}

// TestMirrors has a good one, of 8 MB/s a connection, and one that is not: what the good one could do alone is done.
func TestMirrors(t *testing.T) {
	const size = 6<<20 + 1
	fault := func(name string) faultserver.Options {
		return faultserver.Options{Faults: []faultserver.Injection{{Fault: mustName(t, name)}}}
	}
	for name, c := range map[string]struct {
		other faultserver.Options
		most  int64 // bytes of the other one
		asked int   // at most
	}{
		"as good":         {faultserver.Options{Shape: faultserver.Shape{PerConn: 8e6}}, size, 100},
		"slow":            {faultserver.Options{Shape: faultserver.Shape{PerConn: 100_000}}, size / 4, 30},
		"gone":            {fault("16 404 after the manifest"), 0, 8},
		"broken":          {fault("15 500"), 0, 8},
		"busy":            {fault("14 429"), 0, 8},
		"cut":             {fault("26 RST without data"), 0, 8},
		"silent":          {faultserver.Options{Shape: faultserver.Shape{SlowEvery: 1, SlowStall: 1000, PerConn: 8e6}}, size / 4, 30},
		"wrong of ranges": {fault("2 206 with another total"), 4 * size, 30},
		"without ranges":  {fault("1 range answered with the whole"), 4 * size, 30},
	} {
		for _, first := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				good := newWild(t, size, faultserver.Options{Shape: faultserver.Shape{PerConn: 8e6}}, nil)
				bad := newWild(t, size, c.other, nil)
				origins := []transfer.Origin{good.Link, bad.Link}
				if first {
					origins = []transfer.Origin{bad.Link, good.Link}
				}
				opts := nowait()
				opts.Stall = time.Minute
				stats := good.mustRun(t, transfer.New(transfer.Limits{Connections: 6, ChunkSize: 512 << 10}), opts, origins...)
				most := 10 * time.Second
				if name == "silent" {
					most = 20 * time.Second
				}
				got := bad.Count().Paths[wildPath]
				if stats.Elapsed > most || got.Requests > c.asked {
					t.Errorf("the bad one was asked %d times: %+v", got.Requests, stats)
				}
				if sent := got.Sent; sent > c.most && name != "gone" && name != "broken" && name != "busy" {
					t.Errorf("the bad one has sent %d bytes", sent)
				}
				t.Logf("%v, %d requests, %d bytes", stats.Elapsed, got.Requests, got.Sent)
			})
		}
	}
}

// TestSignedLinks: the origin is asked once, and once more each time that its link has run out.
func TestSignedLinks(t *testing.T) {
	for name, c := range map[string]struct {
		redirect    faultserver.Redirect
		connections int
		most        int // requests to the origin
	}{
		"one connection":        {faultserver.Redirect{}, 1, 1},
		"many":                  {faultserver.Redirect{}, 8, 8},
		"good for three ranges": {faultserver.Redirect{Uses: 3}, 1, 4},
		"by a 302":              {faultserver.Redirect{Status: 302, Uses: 5}, 1, 2},
		"many, good for three":  {faultserver.Redirect{Uses: 3}, 8, 16},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWild(t, wildSize, faultserver.Options{Redirect: &c.redirect}, nil)
			stats := w.mustRun(t, transfer.New(transfer.Limits{Connections: c.connections, ChunkSize: wildChunk}), nowait())
			count := w.Count()
			first, second := count.Hosts[w.Server.Host()], count.Hosts[w.SecondHost()]
			if first.Requests > c.most || stats.Retries > 0 {
				t.Errorf("the origin was asked %d times, want at most %d: %+v", first.Requests, c.most, stats)
			}
			if second.Secrets > 0 || second.Sent > wildSize+10_000 {
				t.Errorf("%d secrets and %d bytes went to the second host", second.Secrets, second.Sent)
			}
		})
	}
}
