package web_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/sourcetest"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/fetch/web"
)

// site serves files by path, well, with what is said of them.
type site struct {
	URL, Host string

	mu    sync.Mutex
	files map[string]page
	asked []string // method, path and conditions of each request
}

// page is one file, or what is answered in its place.
type page struct {
	content string
	header  map[string]string
	noHead  int // status for HEAD; 0: as for GET
	handler http.HandlerFunc
}

var longAgo = time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)

func newSite(t *testing.T, files map[string]page) *site {
	t.Helper()
	s := &site{files: files}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	s.URL, s.Host = srv.URL, srv.Listener.Addr().String()
	return s
}

func (s *site) set(path string, p page) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[path] = p
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	line := r.Method + " " + r.URL.Path
	for _, name := range []string{"Range", "If-Range", "If-None-Match", "If-Modified-Since"} {
		if v := r.Header.Get(name); v != "" {
			line += " " + name + ": " + v
		}
	}
	s.asked = append(s.asked, line)
	p, ok := s.files[r.URL.Path]
	s.mu.Unlock()
	for k, v := range p.header {
		w.Header().Set(k, v)
	}
	switch {
	case !ok:
		http.NotFound(w, r)
	case p.handler != nil:
		p.handler(w, r)
	case r.Method == http.MethodHead && p.noHead != 0:
		w.WriteHeader(p.noHead)
	default:
		if w.Header().Get("Content-Type") == "" {
			w.Header().Set("Content-Type", "application/octet-stream")
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(p.content))
	}
}

// requests are those so far, and are forgotten.
func (s *site) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

func tagged(content, tag string) page {
	return page{content: content, header: map[string]string{"ETag": tag}}
}

func resolve(t *testing.T, ref string, opts source.Options) (*source.Model, error) {
	t.Helper()
	opts.Transfer = sourcetest.Quick()
	return web.New(web.Options{}).Resolve(t.Context(), ref, opts)
}

func mustResolve(t *testing.T, ref string, opts source.Options) *source.Model {
	t.Helper()
	m, err := resolve(t, ref, opts)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func read(t *testing.T, o transfer.Origin, off, n int64) (string, error) {
	t.Helper()
	answer, err := o.Fetch(t.Context(), off, n)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err == nil && answer.At < off {
		got = got[off-answer.At:]
	}
	return string(got), err
}

func sumOf(content string) digest.Digest { return digest.FromString(content) }

func hexOf(content string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(content))) }

func base64Of(content string) string {
	sum := sha256.Sum256([]byte(content))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// dialer is a client all of whose connections lead to one host.
func dialer(host string) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, host)
	}}}
}

func noise(n int, with string) string {
	return string(bytes.Repeat([]byte("0123456789abcde"+with), n/16+1))
}
