package transfer_test

import (
	"bytes"
	"crypto/tls"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/mstore/mstore/fetch/guard"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/internal/faultserver"
	"github.com/mstore/mstore/internal/memsink"
)

// through is a client that goes to a server with TLS by way of a proxy.
func through(t *testing.T, s *faultserver.Server, opts faultserver.ProxyOptions) (*http.Client, *faultserver.Proxied) {
	t.Helper()
	p, err := faultserver.Proxy(s.Host(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	proxy := http.ProxyURL(&url.URL{Scheme: "http", Host: p.Host(), User: url.UserPassword("user", "secret")})
	c := guard.New(&http.Client{Transport: &http.Transport{
		Proxy: proxy, TLSClientConfig: &tls.Config{RootCAs: s.CA(), MinVersion: tls.VersionTLS12},
	}}, nil)
	t.Cleanup(c.CloseIdleConnections)
	return c, p
}

// TestProxies (25): what a proxy does wrong with CONNECT.
func TestProxies(t *testing.T) {
	t.Parallel()
	for _, f := range faultserver.On(faultserver.OnProxy) {
		var all sync.WaitGroup
		for _, times := range []int{1, 3, 0} {
			for _, connections := range []int{1, 8} {
				all.Go(func() { tryProxy(t, faultserver.Injection{Fault: f, Times: times}, connections) })
			}
		}
		all.Wait()
	}
}

func tryProxy(t *testing.T, in faultserver.Injection, connections int) {
	t.Helper()
	w := newWild(t, wildSize, faultserver.Options{TLS: true}, nil)
	c, p := through(t, w.Server, faultserver.ProxyOptions{Connect: true, Faults: []faultserver.Injection{in}})
	opts := nowait()
	if in.Fault.Slow {
		opts.Stall = time.Second
	}
	if !in.Overcome() {
		opts.Retries = 1
	}
	sink := memsink.New(wildSize, nil)
	e := transfer.New(transfer.Limits{Connections: connections, ChunkSize: wildChunk})
	stats, err := e.Run(t.Context(), sink, []transfer.Origin{link(w.URL(wildPath), c)}, opts)
	data, _ := sink.Bytes()
	switch {
	case err != nil && in.Overcome(), err == nil && !bytes.Equal(data, w.data), err == nil && in.Times == 0:
		t.Errorf("%s, %d times, %d connections: %v, %+v", in.Fault.Name, in.Times, connections, err, stats)
	case err != nil:
		wantPrintable(t, err.Error())
	}
	if n := len(p.Asked()); n > 60 {
		t.Errorf("%s, %d times: it was asked %d times", in.Fault.Name, in.Times, n)
	}
}

// TestProxyThatCuts: connections through it break, and it resets all there are.
func TestProxyThatCuts(t *testing.T) {
	for _, reset := range []bool{false, true} {
		w := newWild(t, 4<<20, faultserver.Options{TLS: true}, nil)
		c, p := through(t, w.Server, faultserver.ProxyOptions{Connect: true, CutAfter: 500_000, CutReset: reset})
		opts := nowait()
		opts.Retry = func(attempt int, _ time.Duration, _ error) {
			if attempt == 3 {
				p.Reset()
			}
		}
		w.mustRun(t, transfer.New(transfer.Limits{}), opts, link(w.URL(wildPath), c))
	}
}
