package transfer_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mstore/mstore/fetch/transfer"
)

// blobSize is more than one buffer and no multiple of anything.
const blobSize = 1<<20 + 12_345

// blob is what every server of these tests should serve.
func blob(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// run is one transfer of an engine of its own.
func run(ctx context.Context, s transfer.Sink, origins []transfer.Origin, opts transfer.Options) (transfer.Stats, error) {
	return transfer.New(transfer.Limits{}).Run(ctx, s, origins, opts)
}

// sink is a blob in memory that begins with a part it had before. What is written twice is an error.
type sink struct {
	mu      sync.Mutex
	data    []byte
	gaps    [][2]int64
	unknown bool  // its size is not known
	err     error // of the next write
}

func newSink(size, had int) *sink {
	s := &sink{data: make([]byte, size), gaps: [][2]int64{{int64(had), int64(size)}}}
	copy(s.data, blob(size)[:had])
	if had == size {
		s.gaps = nil
	}
	return s
}

// newUnknown is a sink whose size is not known.
func newUnknown(had int) *sink { return &sink{data: blob(had), unknown: true} }

func (s *sink) WriteAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := off + int64(len(p))
	switch {
	case s.err != nil:
		return 0, s.err
	case s.unknown && off == int64(len(s.data)):
		s.data = append(s.data, p...)
		return len(p), nil
	}
	for i, g := range s.gaps {
		if g[0] <= off && end <= g[1] {
			rest := append([][2]int64{{g[0], off}, {end, g[1]}}, s.gaps[i+1:]...)
			s.gaps = slices.DeleteFunc(append(s.gaps[:i:i], rest...), func(g [2]int64) bool { return g[0] == g[1] })
			return copy(s.data[off:], p), nil
		}
	}
	return 0, errors.New("bytes that were there, or past the end")
}

func (s *sink) MissingFrom(at int64) (off, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unknown {
		return max(at, int64(len(s.data))), -1
	}
	for _, g := range s.gaps {
		if at < g[1] {
			at = max(at, g[0])
			return at, g[1] - at
		}
	}
	return int64(len(s.data)), 0
}

// wantBlob fails unless the sink is whole and right.
func (s *sink) wantBlob(t *testing.T, size int) {
	t.Helper()
	if len(s.gaps) != 0 || len(s.data) != size || sha256.Sum256(s.data) != sha256.Sum256(blob(size)) {
		t.Errorf("the sink has %d bytes without %v of %d, or wrong ones", len(s.data), s.gaps, size)
	}
}

// origin is an HTTP origin as a source would make it.
type origin struct{ url string }

func (o origin) Fetch(ctx context.Context, off, n int64) (*transfer.Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.url, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	if off > 0 || n >= 0 {
		req.Header.Set("Range", transfer.Range(off, n))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	return transfer.NewAnswer(resp, off, n)
}

// fake is an origin that is a function.
type fake func(ctx context.Context, off, n int64) (io.ReadCloser, int64, error)

func (f fake) Fetch(ctx context.Context, off, n int64) (*transfer.Answer, error) {
	body, at, err := f(ctx, off, n)
	if err != nil {
		return nil, err
	}
	return &transfer.Answer{Body: body, At: at}, nil
}

// serve runs a server and gives it as an origin.
func serve(t *testing.T, h http.HandlerFunc) origin {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return origin{srv.URL + "/blob?signature=secret"}
}

// good serves the blob as it should be served.
func good(w http.ResponseWriter, r *http.Request) {
	http.ServeContent(w, r, "", time.Time{}, readerAt(blob(blobSize)))
}

func readerAt(b []byte) io.ReadSeeker { return io.NewSectionReader(bytesAt(b), 0, int64(len(b))) }

type bytesAt []byte

func (b bytesAt) ReadAt(p []byte, off int64) (int, error) { return copy(p, b[off:]), nil }

// nowait retries at once.
func nowait() transfer.Options {
	return transfer.Options{
		Stall:  2 * time.Second,
		Jitter: func(time.Duration) time.Duration { return 0 },
	}
}
