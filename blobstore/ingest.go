package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/internal/flock"
	"github.com/mstore/mstore/internal/key"
)

// Want says what an ingest is to become.
type Want struct {
	// Digest of the blob; empty when it is not known before the bytes are here.
	Digest digest.Digest
	// Size in bytes; negative when not known. It is part of what Commit verifies.
	Size int64
	// Name identifies a partial blob of unknown digest, so that a later ingest of the same name resumes it. A blob of
	// unknown digest and no name starts at zero.
	Name string
	// Waiting, when not nil, is called once when another process (or goroutine) is fetching the blob and the ingest
	// waits for it.
	Waiting func()
}

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
	store   *Store
	lease   *Lease
	want    key.Key // zero when not known
	folder  *partial
	unlock  func() error
	resumed int64

	mu      sync.Mutex
	moved   *sync.Cond // the front moved, the size became known, or the ingest ended
	size    int64      // negative when not known
	claimed extents    // being written, or written
	written extents
	hasher  *hasher
	ended   bool
}

// Ingest begins to write a blob, or goes on where a dead process stopped. The digest is held from here on.
//
// One ingest a digest runs at a time, in all processes: the others wait until it ends, or ctx does, and look again.
// It fails with ErrExists when the blob is here, then or after the wait, and with ErrWithheld.
func (l *Lease) Ingest(ctx context.Context, want Want) (*Ingest, error) {
	if want.Digest == "" {
		return l.ingestUnknown(ctx, want)
	}
	k, err := key.Parse(want.Digest)
	if err != nil {
		return nil, err
	}
	if err := l.lookFor(k, want); err != nil {
		return nil, err
	}
	unlock, err := l.store.lockIngest(ctx, l.store.ingestLock(k), want.Waiting)
	if err != nil {
		return nil, err
	}
	err = l.lookFor(k, want) // whoever held the lock may have committed it
	var in *Ingest
	if err == nil {
		in, err = l.store.openIngest(k.Hex(), want.Size)
	}
	if err != nil {
		return nil, errors.Join(err, unlock())
	}
	in.lease, in.want, in.unlock = l, k, unlock
	return in, nil
}

// lookFor holds the digest and fails with ErrExists when its blob is here. What is no blob is moved out of the way;
// a blob with wrong bytes, as far as a cheap look can tell, is replaced by the ingest.
func (l *Lease) lookFor(k key.Key, want Want) error {
	info, err := l.Stat(k.Digest())
	switch {
	case err == nil && want.Size >= 0 && info.Size != want.Size:
		return l.store.checkSize(k, want.Size)
	case err == nil:
		return fmt.Errorf("%w: %s", ErrExists, k)
	case errors.Is(err, ErrCorrupt):
		return l.store.setAside(k)
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrMismatch):
		return nil
	}
	return err
}

// checkSize decides who is wrong when a blob has another size than was asked for: the one who asks, when the blob is
// true to its digest, else the blob, which may then be replaced.
func (s *Store) checkSize(k key.Key, want int64) error {
	b, err := s.Open(k.Digest())
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	if rehash(b, func(int64) error { return nil }) != nil {
		return nil
	}
	return &MismatchError{Want: k.Digest(), Got: k.Digest(), WantSize: want, GotSize: b.Size()}
}

func (l *Lease) ingestUnknown(ctx context.Context, want Want) (*Ingest, error) {
	id, unlock := anonymous, func() error { return nil }
	if want.Name != "" {
		k, err := key.Parse(digest.FromString(want.Name))
		if err != nil {
			return nil, err
		}
		id = byName + k.Hex()
		if unlock, err = l.store.lockIngest(ctx, l.store.ingestLock(k), want.Waiting); err != nil {
			return nil, err
		}
	}
	in, err := l.store.openIngest(id, want.Size)
	if err != nil {
		return nil, errors.Join(err, unlock())
	}
	in.lease, in.unlock = l, unlock
	return in, nil
}

// lockIngest takes the lock of single flight.
func (s *Store) lockIngest(ctx context.Context, path string, waiting func()) (unlock func() error, err error) {
	unlock, ok, err := flock.TryLock(path)
	if ok || err != nil {
		return unlock, err
	}
	if waiting != nil {
		waiting()
	}
	return flock.Lock(ctx, path)
}

func (s *Store) ingestLock(k key.Key) string { return k.In(s.Dir("locks")) }

// openIngest makes an ingest over a folder of its own, adopted or new.
func (s *Store) openIngest(id string, size int64) (*Ingest, error) {
	p, have, err := s.openPartial(id, size)
	if err != nil {
		return nil, fmt.Errorf("begin an ingest: %w", err)
	}
	in := &Ingest{
		store: s, folder: p, size: size,
		resumed: have.total(), written: have, claimed: append(extents(nil), have...),
	}
	in.moved = sync.NewCond(&in.mu)
	in.hasher = startHasher(in)
	return in, nil
}

// Resumed is how many bytes were here when the ingest began, written by a process that did not finish.
func (in *Ingest) Resumed() int64 { return in.resumed }

// Missing is the lowest range that is still to be written: n bytes from off on. n is 0 when nothing is missing, and
// negative when everything from off on is and the size is not known.
func (in *Ingest) Missing() (off, n int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.size < 0 {
		return in.written.front(), -1
	}
	if gaps := in.written.gaps(0, in.size); len(gaps) > 0 {
		return gaps[0].start, gaps[0].end - gaps[0].start
	}
	return in.size, 0
}

// SetSize tells the size of an ingest that began without one, in bytes.
func (in *Ingest) SetSize(n int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.size = n
	in.moved.Broadcast()
}

// WriteAt writes p at off. Bytes that are here already, or are being written by another call, are skipped; bytes
// beyond the size are an error. It returns len(p) unless it fails.
func (in *Ingest) WriteAt(p []byte, off int64) (int, error) {
	end := off + int64(len(p))
	todo, err := in.claim(off, end)
	if err != nil {
		return 0, err
	}
	for i, gap := range todo {
		if err := in.folder.write(p[gap.start-off:gap.end-off], gap.start); err != nil {
			in.unclaim(todo[i:])
			return int(gap.start - off), err
		}
		in.wrote(gap)
	}
	return len(p), nil
}

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
	in.claimed.add(off, end)
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
	if off, n := in.Missing(); n != 0 {
		return "", fmt.Errorf("%w: from byte %d on", ErrIncomplete, off)
	}
	return in.hasher.wait(ctx)
}

// Close ends the ingest and keeps what was written, where a later ingest can find it. A second call does nothing.
func (in *Ingest) Close() error {
	if !in.end() {
		return nil
	}
	return errors.Join(in.folder.keep(), in.unlock())
}

// Discard ends the ingest and removes what was written.
func (in *Ingest) Discard() error {
	if !in.end() {
		return nil
	}
	return errors.Join(in.folder.remove(), in.unlock())
}

// end stops the hasher; it is true for the first caller only.
func (in *Ingest) end() bool {
	in.mu.Lock()
	ended := in.ended
	in.ended = true
	in.moved.Broadcast()
	in.mu.Unlock()
	if !ended {
		in.hasher.stop()
	}
	return !ended
}

var _ io.WriterAt = (*Ingest)(nil)
