package faultserver_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

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

// frames are what comes over HTTP/2 when the whole blob is asked for and it goes wrong at 1000: settings, frames, and how
// it ends.
var frames = map[string]string{
	"27 GOAWAY, and the streams go on": "SETTINGS GOAWAY(1 NO_ERROR) HEADERS DATA(307277) END",
	"27 GOAWAY, and nothing goes on":   "SETTINGS HEADERS DATA(1000) GOAWAY(0 ENHANCE_YOUR_CALM) EOF",
	"27 RST_STREAM midway":             "SETTINGS HEADERS DATA(1000) RST_STREAM(INTERNAL_ERROR)",
	"27 RST_STREAM that refuses":       "SETTINGS HEADERS DATA(1000) RST_STREAM(REFUSED_STREAM)",
	"27 no flow-control window":        "SETTINGS HEADERS DATA(1000) silent",
	"27 frames of no size":             "SETTINGS(MAX_FRAME_SIZE = 0) HEADERS DATA(307277) END",
}

func TestFrames(t *testing.T) {
	for name, want := range frames {
		t.Run(name, func(t *testing.T) {
			f := named(t, name)
			s := serve(t, faultserver.Options{Faults: []faultserver.Injection{{Fault: f, Times: 1, Offset: 1000}}})
			patience := 5 * time.Second
			if f.Slow {
				patience = 100 * time.Millisecond
			}
			if got := talk2(t, s, patience); got != want {
				t.Errorf("heard %s\n want %s", got, want)
			}
			ask(t, client(t, s), s.URL(path)).want(t, 200, 0, blobSize)
		})
	}
}

// talk2 asks for the blob over HTTP/2, frame by frame, and says what came.
func talk2(t *testing.T, s *faultserver.Server, patience time.Duration) string {
	t.Helper()
	conn, err := tls.Dial("tcp", s.Host(), &tls.Config{RootCAs: s.CA(), NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	framer := http2.NewFramer(conn, conn)
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", s.Host()}, {":path", path}} {
		_ = enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	_, _ = io.WriteString(conn, http2.ClientPreface)
	_ = framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	_ = framer.WriteWindowUpdate(0, 1<<20)
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
	heard := &heard{}
	for !heard.done {
		frame, err := framer.ReadFrame()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			heard.say("silent")
			return heard.String()
		case err != nil:
			heard.say("EOF")
			return heard.String()
		}
		heard.frame(frame)
	}
	return heard.String()
}

// heard is what came over HTTP/2, as text.
type heard struct {
	words []string
	data  int
	done  bool
}

func (h *heard) say(word string) {
	if h.data > 0 {
		h.words, h.data = append(h.words, fmt.Sprintf("DATA(%d)", h.data)), 0
	}
	h.words = append(h.words, word)
}

func (h *heard) String() string { return strings.Join(h.words, " ") }

func (h *heard) frame(frame http2.Frame) {
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		switch size, ok := f.Value(http2.SettingMaxFrameSize); {
		case f.IsAck():
		case ok:
			h.say(fmt.Sprintf("SETTINGS(MAX_FRAME_SIZE = %d)", size))
		default:
			h.say("SETTINGS")
		}
	case *http2.HeadersFrame:
		h.say("HEADERS")
	case *http2.DataFrame:
		h.data += len(f.Data())
		if h.done = f.StreamEnded(); h.done {
			h.say("END")
		}
	case *http2.RSTStreamFrame:
		h.say(fmt.Sprintf("RST_STREAM(%v)", f.ErrCode))
		h.done = true
	case *http2.GoAwayFrame:
		h.say(fmt.Sprintf("GOAWAY(%d %v)", f.LastStreamID, f.ErrCode))
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
