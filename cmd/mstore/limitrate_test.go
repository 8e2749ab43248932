package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// rated serves a file of some size at every URL, each another, and notes when a request came and how much it got.
type rated struct {
	size int

	mu     sync.Mutex
	came   []time.Time
	served []int64
}

// content is the file at a path.
func (s *rated) content(path string) []byte {
	b := make([]byte, s.size)
	copy(b, path)
	return b
}

// ServeHTTP notes only what has a body.
func (s *rated) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	came := time.Now()
	counted := &countedBody{ResponseWriter: w}
	http.ServeContent(counted, r, "", time.Time{}, bytes.NewReader(s.content(r.URL.Path)))
	if counted.n == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.came, s.served = append(s.came, came), append(s.served, counted.n)
}

type countedBody struct {
	http.ResponseWriter
	n int64
}

func (w *countedBody) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.n += int64(n)
	return n, err
}

// speed is bytes a second by the server's clock: of all requests, till the last one came.
func (s *rated) speed() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	first, last := s.came[0], s.came[0]
	var all, final int64
	for i, came := range s.came {
		if came.Before(first) {
			first = came
		}
		if came.After(last) {
			last, final = came, s.served[i]
		}
		all += s.served[i]
	}
	return float64(all-final) / last.Sub(first).Seconds()
}

// TestTheRateHolds pulls one large file in ranges, and many small ones that are one piece each.
func TestTheRateHolds(t *testing.T) {
	for _, c := range []struct {
		name       string
		size       int
		models     int
		rate, flag string
		least      float64
		most       float64
	}{
		{"one large file", 10_000_000, 1, "2MB/s", "--chunk-size=16KiB", 1e6, 2.04e6}, // less where the machine is busy
		{"many small files", 40_000, 100, "1MB/s", "--retries=0", 0.4e6, 1.02e6},      // which wait for the disk, too
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := &rated{size: c.size}
			srv := httptest.NewServer(server)
			defer srv.Close()
			words := []string{
				"pull", "--store", filepath.Join(t.TempDir(), "store"), "--limit-rate", c.rate, "--connections=1", "--quiet", c.flag,
			}
			for i := range c.models {
				path := fmt.Sprintf("/%d.bin", i)
				words = append(words, fmt.Sprintf("%s%s#sha256=%x", srv.URL, path, sha256.Sum256(server.content(path))))
			}
			errs := new(strings.Builder)
			if code := newProgram(strings.NewReader(""), io.Discard, errs).run(t.Context(), words); code != 0 {
				t.Fatalf("exit code %d: %s", code, errs)
			}
			if got := server.speed(); got > c.most || got < c.least {
				t.Errorf("%.0f bytes a second in %d requests, want %.0f to %.0f", got, len(server.came), c.least, c.most)
			}
		})
	}
}
