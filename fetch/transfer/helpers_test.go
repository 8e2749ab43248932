package transfer_test

import (
	"context"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/internal/memsink"
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

// sink is a blob in memory.
type sink struct{ *memsink.Sink }

// newSink is a sink of size bytes that has the first had of them.
func newSink(size, had int) sink { return sink{memsink.New(size, blob(size)[:had])} }

// newUnknown is a sink whose size is not known.
func newUnknown(had int) sink { return sink{memsink.NewUnknown(blob(had))} }

// wantBlob fails unless the sink is whole and right.
func (s sink) wantBlob(t *testing.T, size int) {
	t.Helper()
	data, whole := s.Bytes()
	if !whole || len(data) != size || sha256.Sum256(data) != sha256.Sum256(blob(size)) {
		t.Errorf("the sink has %d bytes of %d, is whole: %v, or has wrong ones", len(data), size, whole)
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
