package faultserver_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/mstore/mstore/internal/faultserver"
)

func named(t *testing.T, name string) faultserver.Fault {
	t.Helper()
	f, ok := faultserver.Named(name)
	if !ok {
		t.Fatalf("there is no fault %q", name)
	}
	return f
}

// handshakes are what a client says of the faults of TLS.
var handshakes = map[string]func(error) bool{
	"25 certificate expired":         invalid(x509.Expired),
	"25 certificate of another host": func(err error) bool { _, ok := errors.AsType[x509.HostnameError](err); return ok },
	"25 certificate signed by itself": func(err error) bool {
		_, ok := errors.AsType[x509.UnknownAuthorityError](err)
		return ok
	},
	"25 handshake stalled": func(err error) bool { return errors.Is(err, context.DeadlineExceeded) },
	"25 handshake cut":     func(err error) bool { return !errors.Is(err, context.DeadlineExceeded) },
}

func invalid(reason x509.InvalidReason) func(error) bool {
	return func(err error) bool {
		e, ok := errors.AsType[x509.CertificateInvalidError](err)
		return ok && e.Reason == reason
	}
}

func TestHandshakes(t *testing.T) {
	for name, want := range handshakes {
		t.Run(name, func(t *testing.T) {
			f := named(t, name)
			s := serve(t, faultserver.Options{Faults: []faultserver.Injection{{Fault: f, Times: 1}}})
			c := client(t, s)
			timeout := 5 * time.Second
			if f.Slow {
				timeout = 100 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, s.URL(path), http.NoBody)
			resp, err := c.Do(req)
			if err == nil {
				resp.Body.Close()
			}
			if err == nil || !want(err) {
				t.Errorf("the client says %v", err)
			}
			ask(t, c, s.URL(path)).want(t, 200, 0, blobSize)
		})
	}
}

// frames are what a client of HTTP/2 that knows nothing of retries says of its faults.
var frames = map[string]func(error) bool{
	"27 GOAWAY, and the streams go on": func(err error) bool { return err == nil },
	"27 GOAWAY, and nothing goes on": func(err error) bool {
		return strings.Contains(fmt.Sprint(err), "GOAWAY") && strings.Contains(fmt.Sprint(err), "ENHANCE_YOUR_CALM")
	},
	"27 RST_STREAM midway": func(err error) bool {
		e, ok := errors.AsType[http2.StreamError](err)
		return ok && e.Code == http2.ErrCodeInternal
	},
	"27 RST_STREAM that refuses": func(err error) bool {
		e, ok := errors.AsType[http2.StreamError](err)
		return ok && e.Code == http2.ErrCodeRefusedStream
	},
	"27 no flow-control window": func(err error) bool { return errors.Is(err, context.DeadlineExceeded) },
	"27 frames of no size":      func(err error) bool { return err != nil }, // what it says depends on who is first
}

func TestFrames(t *testing.T) {
	for name, want := range frames {
		t.Run(name, func(t *testing.T) {
			f := named(t, name)
			s := serve(t, faultserver.Options{Faults: []faultserver.Injection{{Fault: f, Times: 1, Offset: 1000}}})
			transport := &http2.Transport{TLSClientConfig: client(t, s).Transport.(*http.Transport).TLSClientConfig}
			defer transport.CloseIdleConnections()
			timeout := 5 * time.Second
			if f.Slow {
				timeout = 100 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, s.URL(path), http.NoBody)
			resp, err := transport.RoundTrip(req)
			var body []byte
			if err == nil {
				body, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if !want(err) {
				t.Errorf("the client says %v", err)
			}
			if len(body) > 1000 && err != nil || !strings.HasPrefix(blob(0, blobSize), string(body)) {
				t.Errorf("%d bytes came before it, or wrong ones", len(body))
			}
			ask(t, client(t, s), s.URL(path)).want(t, 200, 0, blobSize)
		})
	}
}

// TestHTTP2: 16 ranges share one connection, and each waits for its window.
func TestHTTP2(t *testing.T) {
	s := serve(t, faultserver.Options{HTTP2: true})
	c := client(t, s)
	ask(t, c, s.URL(path)).want(t, 200, 0, blobSize)
	var all sync.WaitGroup
	for i := range int64(16) {
		all.Go(func() { ask(t, c, s.URL(path), "Range", rangeOf(i, blobSize-i)).want(t, 206, i, blobSize-i) })
	}
	all.Wait()
	got := s.Count()
	if got.Connections != 1 || got.Requests != 17 || slices.ContainsFunc(s.Requests(), func(r faultserver.Request) bool { return r.Proto != "HTTP/2.0" }) {
		t.Errorf("counted %d connections and %d requests", got.Connections, got.Requests)
	}
	head, err := c.Head(s.URL(path))
	if err != nil || head.ContentLength != blobSize {
		t.Errorf("HEAD: %v", err)
	}
	if g := ask(t, c, s.URL("/no")); g.StatusCode != 404 {
		t.Errorf("%s, want 404", g.Status)
	}
}

// TestHTTP2IsAChoice: who does not ask for it gets HTTP/1.1.
func TestHTTP2IsAChoice(t *testing.T) {
	s := serve(t, faultserver.Options{HTTP2: true})
	c := client(t, s)
	c.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	ask(t, c, s.URL(path)).want(t, 200, 0, blobSize)
	if got := s.Requests()[0].Proto; got != "HTTP/1.1" {
		t.Errorf("spoken to in %s", got)
	}
}

// tunnels are what comes out of a proxy that is asked to CONNECT.
var tunnels = map[string]string{
	"25 CONNECT answered 407":             "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"\x1b[31mproxy\"\r\nContent-Length: 0\r\n\r\n",
	"25 CONNECT answered 502":             "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
	"25 CONNECT cut short":                "HTTP/1.1 200 Conn",
	"25 CONNECT and the tunnel is closed": "HTTP/1.1 200 OK\r\n\r\n",
	"25 CONNECT not answered":             "",
}

func TestTunnels(t *testing.T) {
	for name, want := range tunnels {
		t.Run(name, func(t *testing.T) {
			f := named(t, name)
			s := serve(t, faultserver.Options{TLS: true})
			p := proxy(t, s.Host(), faultserver.ProxyOptions{Connect: true, Faults: []faultserver.Injection{{Fault: f, Times: 1}}})
			conn, err := net.Dial("tcp", p.Host())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "CONNECT registry.example:443 HTTP/1.1\r\nHost: registry.example:443\r\n\r\n")
			_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
			if f.Slow {
				_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			}
			all, err := io.ReadAll(conn)
			if string(all) != want || (err != nil) != f.Slow {
				t.Errorf("said %q, %v, want %q", all, err, want)
			}
			c := client(t, s) // the second CONNECT is good
			c.Transport.(*http.Transport).Proxy = http.ProxyURL(urlOf(p.Host()))
			ask(t, c, "https://registry.example:443"+path).want(t, 200, 0, blobSize)
			if got := p.Asked(); !slices.Equal(got, []string{"registry.example:443", "registry.example:443"}) {
				t.Errorf("asked for %q", got)
			}
		})
	}
}
