package mstore_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// proxy stands before a registry, counts what passes, and can hold blobs back.
type proxy struct {
	Host string
	fail func(r *http.Request) (status int) // asked of every request, when set before the first; 0 lets it pass

	mu    sync.Mutex
	asked map[string]int // by method and path
	sent  int64          // bytes of blobs
	gate  func(path string, next int) (wait bool)
	open  chan struct{}
}

func newProxy(t *testing.T, host string) *proxy {
	t.Helper()
	p := &proxy{asked: make(map[string]int), open: make(chan struct{})}
	reverse := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: host})
			r.Out.Host = r.In.Host // the registry makes links of it
		},
		ErrorLog:     log.New(io.Discard, "", 0),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked[r.Method+" "+r.URL.Path]++
		p.mu.Unlock()
		if p.fail != nil {
			if status := p.fail(r); status != 0 {
				w.WriteHeader(status)
				return
			}
		}
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			w = &gated{w, p, r.URL.Path, 0, r.Context().Done()}
		}
		defer func() { _ = recover() }() // the client is gone, and ReverseProxy panics
		reverse.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	t.Cleanup(srv.CloseClientConnections)
	p.Host = strings.TrimPrefix(srv.URL, "http://")
	return p
}

// gated is the answer to a request for a blob.
type gated struct {
	http.ResponseWriter
	p    *proxy
	path string
	sent int64
	gone <-chan struct{}
}

func (g *gated) Write(b []byte) (n int, err error) {
	g.p.mu.Lock()
	wait, open := g.p.gate != nil && g.p.gate(g.path, len(b)), g.p.open
	g.p.mu.Unlock()
	if wait {
		_ = http.NewResponseController(g.ResponseWriter).Flush()
		select {
		case <-open:
		case <-g.gone:
			return 0, io.ErrClosedPipe
		}
	}
	n, err = g.ResponseWriter.Write(b)
	g.sent += int64(n)
	g.p.mu.Lock()
	g.p.sent += int64(n)
	g.p.mu.Unlock()
	return n, err
}

// stopAfter holds every blob back after n bytes of it, in whatever ranges, until release.
func (p *proxy) stopAfter(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sent := make(map[string]int64)
	p.gate = func(path string, next int) bool {
		sent[path] += int64(next)
		return sent[path] > n
	}
}

func (p *proxy) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate = nil
	close(p.open)
	p.open = make(chan struct{})
}

// blobBytes is how many bytes of blobs were sent since the last count.
func (p *proxy) blobBytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent
}

// count is how often each request was made that contains part, and how many bytes of blobs were sent, since the last
// count.
func (p *proxy) count(part string) (asked map[string]int, sent int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.asked
	sent, p.sent, p.asked = p.sent, 0, make(map[string]int)
	asked = make(map[string]int)
	for what, n := range all {
		if strings.Contains(what, part) {
			asked[what] = n
		}
	}
	return asked, sent
}

// eventually waits until is, for as long as a busy machine may need.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !is() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			t.Fatalf("never: %s", what)
		}
	}
}
