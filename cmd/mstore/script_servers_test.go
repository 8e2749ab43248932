package main

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mstore/mstore/internal/registrytest"
)

// registry [basic|token|read-only] starts a registry, whose host and port is $REGISTRY then.
func startRegistry(binary string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		var opts registrytest.Options
		for _, arg := range args {
			switch arg {
			case "basic":
				opts.Basic = true
			case "token":
				opts.Token = true
			case "read-only":
				opts.ReadOnly = true
			default:
				ts.Fatalf("no such kind of registry: %s", arg)
			}
		}
		conf, err := os.MkdirTemp(ts.Getenv("WORK"), ".registry-")
		ts.Check(err)
		r, err := registrytest.Serve(context.Background(), binary, conf, opts)
		ts.Check(err)
		ts.Defer(r.Stop)
		ts.Setenv("REGISTRY", r.Host)
	}
}

// server html|hostile starts a server that is no registry, or a bad one; its host and port is $SERVER then.
func startServer(ts *testscript.TestScript, _ bool, args []string) {
	var h http.HandlerFunc
	switch args[0] {
	case "html":
		h = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html><body>Welcome to nginx!</body></html>")
		}
	case "hostile": // an error that would paint the terminal
		h = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if r.URL.Path == "/v2/" {
				return
			}
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"errors":[{"code":"DENIED","message":"\u001b[31mred\u001b]0;title\u0007 \u202egpj.exe \u009b2J\nsecond line"}]}`)
		}
	default:
		ts.Fatalf("no such kind of server: %s", args[0])
	}
	s := httptest.NewServer(h)
	ts.Defer(s.Close)
	ts.Setenv("SERVER", strings.TrimPrefix(s.URL, "http://"))
}

// slowServer stands before a registry, and while it is stuck lets only the first part of large blobs through.
type slowServer struct {
	stalled  chan struct{} // closed when a blob has stalled
	released chan struct{} // closed by release
	once     sync.Once

	mu    sync.Mutex
	stuck bool
	left  int // of large blobs, as long as it is stuck
}

// slowKey finds the slowServer of a script.
type slowKey struct{}

func newSlow() *slowServer {
	return &slowServer{stalled: make(chan struct{}), released: make(chan struct{}), stuck: true, left: enough}
}

// slow start|wait|release [DURATION]: $SLOW is a way to $REGISTRY on which large blobs stop halfway, which wait waits for,
// until release, at once or a while later.
func slow(ts *testscript.TestScript, _ bool, args []string) {
	s, _ := ts.Value(slowKey{}).(*slowServer)
	switch args[0] {
	case "start":
		server := httptest.NewServer(s.before(ts.Getenv("REGISTRY")))
		ts.Defer(server.Close)
		ts.Setenv("SLOW", strings.TrimPrefix(server.URL, "http://"))
	case "wait":
		<-s.stalled
	case "release":
		var later time.Duration
		if len(args) > 1 {
			var err error
			later, err = time.ParseDuration(args[1])
			ts.Check(err)
		}
		if later == 0 {
			s.release()
		} else {
			time.AfterFunc(later, s.release)
		}
	}
}

func (s *slowServer) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stuck = false
	close(s.released)
}

// enough is how much of large blobs comes before they stop: more than any store keeps in memory.
const enough = 24 << 20

func (s *slowServer) before(registry string) http.Handler {
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: registry})
	proxy.FlushInterval = -1
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	proxy.ModifyResponse = func(r *http.Response) error {
		const large = 1 << 20 // what a range has of one
		if strings.Contains(r.Request.URL.Path, "/blobs/") && r.ContentLength >= large {
			r.Body = &stalling{ReadCloser: r.Body, server: s, ctx: r.Request.Context()}
		}
		return nil
	}
	return proxy
}

// pass is how many of n bytes may come: none when it stalls.
func (s *slowServer) pass(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stuck {
		n = min(n, s.left)
		s.left -= n
	}
	return n
}

// stalling is a body that stops.
type stalling struct {
	io.ReadCloser
	server *slowServer
	ctx    context.Context
}

func (b *stalling) Read(p []byte) (int, error) {
	n := b.server.pass(len(p))
	if n == 0 && len(p) > 0 {
		b.server.once.Do(func() { close(b.server.stalled) })
		select {
		case <-b.server.released:
			n = len(p)
		case <-b.ctx.Done():
			return 0, b.ctx.Err()
		}
	}
	return b.ReadCloser.Read(p[:n])
}
