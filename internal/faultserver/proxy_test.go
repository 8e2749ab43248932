package faultserver_test

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/mstore/mstore/internal/faultserver"
)

func urlOf(host string) *url.URL { return &url.URL{Scheme: "http", Host: host} }

func proxy(t *testing.T, to string, opts faultserver.ProxyOptions) *faultserver.Proxied {
	t.Helper()
	p, err := faultserver.Proxy(to, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestProxyPassesOn(t *testing.T) {
	s := serve(t, faultserver.Options{})
	p := proxy(t, s.Host(), faultserver.ProxyOptions{})
	c := client(t, s)
	for range 2 {
		ask(t, c, "http://"+p.Host()+path).want(t, 200, 0, blobSize)
	}
	if p.Connections() != 1 || p.Down() < 2*blobSize {
		t.Errorf("%d connections carried %d bytes", p.Connections(), p.Down())
	}
}

func TestProxyCuts(t *testing.T) {
	for _, reset := range []bool{false, true} {
		s := serve(t, faultserver.Options{})
		p := proxy(t, s.Host(), faultserver.ProxyOptions{CutAfter: 100_000, CutReset: reset})
		if g := ask(t, client(t, s), "http://"+p.Host()+path); g.err == nil || len(g.body) >= 100_000 {
			t.Errorf("%d bytes, %v; want them cut", len(g.body), g.err)
		}
		if p.Down() != 100_000 {
			t.Errorf("%d bytes went down, want 100000", p.Down())
		}
	}
}

func TestProxyIsLate(t *testing.T) {
	s := serve(t, faultserver.Options{})
	p := proxy(t, s.Host(), faultserver.ProxyOptions{Latency: 50 * time.Millisecond})
	start := time.Now()
	ask(t, client(t, s), "http://"+p.Host()+path).want(t, 200, 0, blobSize)
	if took := time.Since(start); took < 100*time.Millisecond || took > 2*time.Second {
		t.Errorf("there and back took %v, want 100ms: the latency is not of each piece", took)
	}
}

func TestProxyPausesAndResets(t *testing.T) {
	s := serve(t, faultserver.Options{})
	p := proxy(t, s.Host(), faultserver.ProxyOptions{})
	p.Pause()
	conn, err := net.Dial("tcp", p.Host())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\nRange: bytes=0-0\r\n\r\n")
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil || s.Count().Requests > 0 {
		t.Errorf("%d bytes came through a pause", n)
	}
	p.Resume()
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Errorf("nothing came after a pause: %v", err)
	}
	p.Reset()
	if _, err := io.Copy(io.Discard, conn); err == nil {
		t.Error("the connection ended well, want it reset")
	}
}

func TestProxyRefusesWhatIsNoCONNECT(t *testing.T) {
	s := serve(t, faultserver.Options{})
	p := proxy(t, s.Host(), faultserver.ProxyOptions{Connect: true})
	c := client(t, s)
	c.Transport.(*http.Transport).Proxy = http.ProxyURL(urlOf(p.Host()))
	if g := ask(t, c, s.URL(path)); g.StatusCode != http.StatusMethodNotAllowed || s.Count().Requests != 0 {
		t.Errorf("%s, want 405", g.Status)
	}
}
