package blobstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

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

// hasher follows the front of an ingest and hashes what lies in its file. Now and then it leaves a mark, from which an
// heir goes on.
type hasher struct {
	in     *Ingest
	folder *partial
	from   int64         // where it began
	done   chan struct{} // closed when all is hashed, the file could not be read, or the ingest ended

	marked  int64 // offset of the last checkpoint
	secured int64 // and of the last watermark
	at      time.Time

	hash hash.Hash // this and what follows is read when done is closed
	size int64     // bytes that were hashed, or were when a mark was made
	err  error
}

func startHasher(in *Ingest, from mark) *hasher {
	h := &hasher{in: in, folder: in.folder, hash: sha256.New(), done: make(chan struct{}), at: time.Now()}
	if hash, ok := from.resume(); ok {
		h.hash, h.from = hash, from.offset
	}
	h.size, h.marked, h.secured = h.from, h.from, h.from
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
		n, err := h.folder.data.ReadAt((*buf)[:want], h.size)
		h.hash.Write((*buf)[:n])
		h.size += int64(n)
		if errors.Is(err, io.EOF) { // a write said that it wrote more than it did
			err = &fs.PathError{Op: "read", Path: h.folder.data.Name(), Err: io.ErrUnexpectedEOF}
		}
		if err != nil {
			h.err = fmt.Errorf("%w: %w", errReadBack, err)
			return
		}
		h.mark(last)
	}
}

// mark leaves a checkpoint and starts a watermark, when it is time for them. When all is written there is no watermark
// any more: Commit makes it durable whole.
func (h *hasher) mark(last bool) {
	pace := h.in.store.pace
	check := h.size-h.marked >= pace.checkpoint
	secure := h.size-h.secured >= pace.watermark || h.size > h.secured && time.Since(h.at) >= pace.every
	if check {
		h.leave()
	}
	if !secure || last {
		return
	}
	if m, ok := markOf(h.hash, h.size); ok && h.folder.startSecuring(m) {
		h.secured, h.at = h.size, time.Now()
	}
}

// leave writes a checkpoint. When that fails, an heir hashes more than it had to.
func (h *hasher) leave() {
	m, ok := markOf(h.hash, h.size)
	if !ok || h.err != nil {
		return
	}
	h.marked = h.size
	if err := h.folder.checkpoint(m); err != nil {
		h.in.store.log.Debug("no checkpoint of a hash", "partial", h.folder.path, "error", err)
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
