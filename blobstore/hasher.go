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
	hash hash.Hash
	done chan struct{} // closed when all is hashed, the file could not be read, or the ingest ended
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
	for at := int64(0); ; {
		front, last := h.in.awaitFront(at)
		for at < front {
			n, err := h.in.folder.data.ReadAt((*buf)[:min(front-at, bufferSize)], at)
			h.hash.Write((*buf)[:n])
			at += int64(n)
			if err != nil && at < front {
				h.err = fmt.Errorf("%w: %w", errReadBack, err)
				return
			}
		}
		if last {
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

// wait gives the digest of the whole.
func (h *hasher) wait(ctx context.Context) (digest.Digest, error) {
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case <-h.done:
	}
	h.in.mu.Lock()
	ended := h.in.ended
	h.in.mu.Unlock()
	switch {
	case h.err != nil:
		return "", h.err
	case ended:
		return "", os.ErrClosed
	}
	return digest.NewDigest(digest.SHA256, h.hash), nil
}

// stop waits for the goroutine of an ended ingest.
func (h *hasher) stop() { <-h.done }
