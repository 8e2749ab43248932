package faultserver_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"github.com/mstore/mstore/internal/faultserver"
)

// TestMain fails when a server leaves a goroutine behind.
func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // what net/http says of servers that misbehave
	goleak.VerifyTestMain(m)
}

const path = "/models/blob.bin"

// blobSize is more than one write and no multiple of anything.
const blobSize = 300<<10 + 77

func content() *faultserver.Generated { return faultserver.Content(1, blobSize) }

// serve runs a server with one blob.
func serve(t *testing.T, opts faultserver.Options) *faultserver.Server {
	t.Helper()
	if opts.Blobs == nil {
		opts.Blobs = []faultserver.Blob{{Path: path, Data: content(), Size: blobSize}}
	}
	s, err := faultserver.Serve(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// client is the server's client, which has no connection left at the end.
func client(t *testing.T, s *faultserver.Server) *http.Client {
	t.Helper()
	c := s.Client()
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// got is an answer and its whole body.
type got struct {
	*http.Response

	body []byte
	err  error // of the body
}

// ask sends a GET with header lines, each a name and a value. A request that gets no answer has a nil Response.
func ask(t *testing.T, c *http.Client, url string, header ...string) got {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return got{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	return got{resp, body, err}
}

func rangeOf(from, to int64) string { return fmt.Sprintf("bytes=%d-%d", from, to-1) }

// want fails unless the body is the bytes [from, to) of the blob.
func (g got) want(t *testing.T, status int, from, to int64) {
	t.Helper()
	if g.Response == nil || g.err != nil {
		t.Fatalf("no whole answer: %v", g.err)
	}
	if g.StatusCode != status || !bytes.Equal(g.body, content().Bytes()[from:to]) {
		t.Errorf("%s with %d bytes, want %d with the %d at %d", g.Status, len(g.body), status, to-from, from)
	}
}
