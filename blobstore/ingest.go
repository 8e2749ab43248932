package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/internal/key"
)

// Ingest is a blob that is being written.
//
// It is born by [Lease.Ingest], which may adopt what a dead process had written of the same blob. WriteAt takes bytes
// at any offset from any goroutine, Missing says what is still to come, and a goroutine of the ingest follows the
// contiguous front with the hash, reading what was written back from the file: what is verified is what is there.
// Commit makes it a blob. Close ends the ingest without one and keeps what was written for the next; Discard does not
// keep it. After Commit, Close does nothing, so that it can be deferred.
//
// Bytes that are here already stay: a second write to the same offset is dropped, so that what was hashed cannot
// change. When they are wrong, Commit says so and starts the ingest over.
type Ingest struct {
	store    *Store
	id       string // what its partials are named after
	lease    *Lease
	want     key.Key // zero when not known
	wantSize int64   // negative when not known
	confirm  func(size int64, content io.Reader) error
	folder   *partial
	unlock   func() error

	door    sync.Mutex     // one at a time commits, closes or discards
	writers sync.WaitGroup // calls that are writing what they claimed

	mu      sync.Mutex
	moved   *sync.Cond // the front moved, the size became known, or the ingest ended
	size    int64      // negative when not known
	resumed int64
	claimed extents // being written, or written
	written extents
	hasher  *hasher
	sealed  bool // being committed: nothing more is written
	ended   bool
}

// Resumed is how many bytes were here when the ingest began, written by a process that did not finish. It is 0 once
// they were found to be wrong.
func (in *Ingest) Resumed() int64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.resumed
}

// Missing is the lowest range that is still to be written: n bytes from off on. n is 0 when nothing is missing, and
// negative when everything from off on is and the size is not known.
func (in *Ingest) Missing() (off, n int64) { return in.MissingFrom(0) }

// MissingFrom is Missing for the lowest range that does not lie before at: of a gap that at lies in, what is from at
// on. When n is 0 nothing is missing from at on, and off is the size, or at where at is beyond it. An at below 0 is 0.
func (in *Ingest) MissingFrom(at int64) (off, n int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	end, known := in.size, in.size >= 0
	at = max(at, 0)
	if !known {
		end = math.MaxInt64
	}
	gap, ok := in.written.gap(at, end)
	switch {
	case !ok:
		return max(at, end), 0
	case gap.end == math.MaxInt64 && !known:
		return gap.start, -1
	}
	return gap.start, gap.end - gap.start
}

// SetSize tells the size of an ingest that began without one, in bytes. A size that is known stays.
func (in *Ingest) SetSize(n int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.size < 0 {
		in.size = n
		in.moved.Broadcast()
	}
}

func (in *Ingest) knownSize() int64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.size
}

// WriteAt writes p at off. Bytes that are here already, or are being written by another call, are skipped; bytes
// beyond the size are an error. It returns len(p) unless it fails, and what failed is missing again.
func (in *Ingest) WriteAt(p []byte, off int64) (int, error) {
	todo, err := in.claim(off, off+int64(len(p)))
	if err != nil {
		return 0, err
	}
	defer in.writers.Done()
	for i, gap := range todo {
		if err := in.folder.write(p[gap.start-off:gap.end-off], gap.start); err != nil {
			in.unclaim(todo[i:])
			return int(gap.start - off), err
		}
		in.wrote(gap)
	}
	return len(p), nil
}

// claim gives what of [off, end) nobody has written or is writing, to be written by the caller, who calls writers.Done
// when it is.
func (in *Ingest) claim(off, end int64) ([]extent, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.ended:
		return nil, os.ErrClosed
	case off < 0 || end < off:
		return nil, fmt.Errorf("write at %d: offset out of range", off)
	case in.size >= 0 && end > in.size:
		return nil, &MismatchError{Want: in.digestOrNone(), WantSize: in.size, GotSize: end}
	}
	todo := in.claimed.gaps(off, end)
	if in.sealed && len(todo) > 0 {
		return nil, fmt.Errorf("write at %d: the ingest is being committed", off)
	}
	in.claimed.add(off, end)
	in.writers.Add(1)
	return todo, nil
}

func (in *Ingest) unclaim(gaps []extent) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, gap := range gaps {
		in.claimed.remove(gap.start, gap.end)
	}
}

func (in *Ingest) wrote(gap extent) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.written.add(gap.start, gap.end)
	in.moved.Broadcast()
}

func (in *Ingest) digestOrNone() digest.Digest {
	if in.want == (key.Key{}) {
		return ""
	}
	return in.want.Digest()
}

// Digest waits until all bytes are hashed and returns the digest that they have. The size must be known and nothing
// missing, else it fails with ErrIncomplete.
func (in *Ingest) Digest(ctx context.Context) (digest.Digest, error) {
	got, _, err := in.hashed(ctx)
	return got, err
}

// hashed is Digest, with the number of bytes that it is the digest of.
func (in *Ingest) hashed(ctx context.Context) (digest.Digest, int64, error) {
	if off, n := in.Missing(); n != 0 {
		return "", 0, fmt.Errorf("%w: from byte %d on", ErrIncomplete, off)
	}
	for {
		in.mu.Lock()
		h := in.hasher
		in.mu.Unlock()
		got, n, err := h.wait(ctx)
		if err != nil || !in.doubts(h, got) {
			return got, n, err
		}
	}
}

// doubts tells that h came to a wrong digest and had begun at a mark, which may be the reason. All is then hashed anew,
// from zero, before the bytes are blamed.
func (in *Ingest) doubts(h *hasher, got digest.Digest) bool {
	if h.from == 0 || got == in.digestOrNone() {
		return false
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ended {
		return false
	}
	if in.hasher == h {
		in.folder.distrust()
		in.hasher = startHasher(in, mark{})
	}
	return true
}

// Close ends the ingest and keeps what was written, where a later ingest can find it. It waits for calls under way.
// A second call does nothing.
func (in *Ingest) Close() error {
	in.door.Lock()
	defer in.door.Unlock()
	if !in.end() {
		return nil
	}
	in.hasher.leave()
	return errors.Join(in.folder.keep(), in.unlock())
}

// Discard ends the ingest and removes what was written. It waits for calls under way.
func (in *Ingest) Discard() error {
	in.door.Lock()
	defer in.door.Unlock()
	return in.discard()
}

// discard is Discard for who has the door.
func (in *Ingest) discard() error {
	if !in.end() {
		return nil
	}
	return errors.Join(in.folder.remove(), in.unlock())
}

// end stops the hasher and waits for the writers: when it returns nobody of this process touches the file any more.
// It is true for the first caller only.
func (in *Ingest) end() bool {
	in.mu.Lock()
	ended := in.ended
	in.ended = true
	in.moved.Broadcast()
	in.mu.Unlock()
	if !ended {
		in.writers.Wait()
		in.hasher.stop()
	}
	return !ended
}

var _ io.WriterAt = (*Ingest)(nil)
