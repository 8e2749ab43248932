package blobstore

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"os"
	"sync"

	"github.com/opencontainers/go-digest"
)

// bufferSize is one read of a hash: large enough that the system call costs nothing beside the hash, small enough to
// stay in a core's cache.
const bufferSize = 256 << 10

var buffers bufferPool

type bufferPool struct{ pool sync.Pool }

// Get gives a buffer of bufferSize bytes.
func (p *bufferPool) Get() *[]byte {
	if buf, ok := p.pool.Get().(*[]byte); ok {
		return buf
	}
	buf := make([]byte, bufferSize)
	return &buf
}

// Put takes it back.
func (p *bufferPool) Put(buf *[]byte) { p.pool.Put(buf) }

// hasher follows the front of an ingest and hashes what lies in its file.
type hasher struct {
	in   *Ingest
	done chan struct{} // closed when all is hashed, the file could not be read, or the ingest ended

	hash hash.Hash // this and what follows is read when done is closed
	size int64     // bytes that were hashed
	err  error
}

func startHasher(in *Ingest) *hasher {
	h := &hasher{in: in, hash: sha256.New(), done: make(chan struct{})}
	go h.run()
	return h
}

func (h *hasher) run() {
	defer close(h.done)
	buf := buffers.Get()
	defer buffers.Put(buf)
	for {
		front, last := h.in.awaitFront(h.size)
		want := min(front-h.size, bufferSize)
		if want <= 0 && last {
			return
		}
		n, err := h.in.folder.data.ReadAt((*buf)[:want], h.size)
		h.hash.Write((*buf)[:n])
		h.size += int64(n)
		if err != nil {
			h.err = fmt.Errorf("%w: %w", errReadBack, err)
			return
		}
	}
}

// awaitFront waits until the front is beyond at; last is true when it will not move any more.
func (in *Ingest) awaitFront(at int64) (front int64, last bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for {
		front := in.written.front()
		switch {
		case in.ended:
			return at, true
		case in.size >= 0 && front >= in.size:
			return in.size, true
		case front > at:
			return front, false
		}
		in.moved.Wait()
	}
}

// wait gives the digest of the whole, and its size.
func (h *hasher) wait(ctx context.Context) (digest.Digest, int64, error) {
	select {
	case <-ctx.Done():
		return "", 0, ctx.Err()
	case <-h.done:
	}
	h.in.mu.Lock()
	ended := h.in.ended
	h.in.mu.Unlock()
	switch {
	case ended:
		return "", 0, os.ErrClosed
	case h.err != nil:
		return "", 0, h.err
	}
	return digest.NewDigest(digest.SHA256, h.hash), h.size, nil
}

// stop waits for the goroutine of an ended ingest.
func (h *hasher) stop() { <-h.done }
