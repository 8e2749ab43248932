package blobstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore/pack"
	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/internal/key"
)

// blobMode is the mode of every blob. Another one means that something else than this package touched the file.
const blobMode fs.FileMode = 0o444

// Info is what the store knows of a blob without reading it.
type Info struct {
	Digest  digest.Digest
	Size    int64 // bytes
	Stored  int64 // bytes of its file: fewer than Size when it is packed
	ModTime time.Time
}

// Packed tells whether the blob's file holds it packed.
func (i Info) Packed() bool { return i.Stored < i.Size }

// Blob is an open blob: a read-only file that no sweep takes away while it is open. Close it.
// ReadAt is safe for concurrent use.
type Blob struct {
	file   *os.File
	info   Info
	body   body         // the file, or what is packed in it
	packed *pack.Reader // nil of a raw blob
}

type body interface {
	io.ReadSeeker
	io.ReaderAt
}

// Digest is the digest of the blob.
func (b *Blob) Digest() digest.Digest { return b.info.Digest }

// Size is the length of the blob in bytes.
func (b *Blob) Size() int64 { return b.info.Size }

// Packed tells whether the blob's file holds it packed: then its bytes are not those of the file.
func (b *Blob) Packed() bool { return b.packed != nil }

// File is the blob's file, open for reading, for those who map, link or clone it: unless it is Packed, which
// [Lease.Unpack] ends. It is closed with the blob.
func (b *Blob) File() *os.File { return b.file }

func (b *Blob) Read(p []byte) (int, error) { return b.body.Read(p) }

// ReadAt reads at an offset, as io.ReaderAt asks.
func (b *Blob) ReadAt(p []byte, off int64) (int, error) { return b.body.ReadAt(p, off) }

// Seek sets the offset of the next Read.
func (b *Blob) Seek(off int64, whence int) (int64, error) { return b.body.Seek(off, whence) }

// Close gives the file back.
func (b *Blob) Close() error {
	var err error
	if b.packed != nil {
		err = b.packed.Close()
	}
	return errors.Join(err, b.file.Close())
}

// Stat tells whether a blob is here, cheaply: a regular file with the mode of a blob. One whose mode was changed is
// read again in full, and gets its mode back when its bytes are right.
//
// It fails with ErrNotFound, ErrWithheld, ErrCorrupt or ErrMismatch. Whoever goes on to rely on the blob asks
// [Lease.Stat] instead.
func (s *Store) Stat(d digest.Digest) (Info, error) {
	b, err := s.Open(d)
	if err != nil {
		return Info{}, err
	}
	return b.info, b.Close()
}

// Open opens a blob for reading; it fails as Stat does.
func (s *Store) Open(d digest.Digest) (*Blob, error) {
	k, err := key.Parse(d)
	if err != nil {
		return nil, err
	}
	if s.withheld(d) {
		return nil, fmt.Errorf("%w: %s", ErrWithheld, d)
	}
	f, err := s.openOrRestore(k)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, d)
	}
	if err != nil {
		return nil, err
	}
	b, err := s.newBlob(k, f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return b, nil
}

// looks is how often a reader looks in blobs/ and in trash/ before it believes a miss, and mostLooks while sweeps are at
// work: what one puts back between two looks, another may move.
const (
	looks     = 2
	mostLooks = 64
	// atWork is how long after the last move to or from trash/ a sweep is taken to be at work.
	atWork = time.Second
)

// openOrRestore opens a blob's file: raw where it is, else packed. It looks where blobs are, in trash, and where blobs are
// again: a sweep moves a blob aside before it knows that nobody needs it, and may have put it back between our two looks,
// and who packs or unpacks moves one form aside when the other one is there.
func (s *Store) openOrRestore(k key.Key) (*os.File, error) {
	for look := 1; ; look++ {
		f, err := openRegular(s.rawPath(k))
		if errors.Is(err, fs.ErrNotExist) {
			f, err = openRegular(s.packedPath(k))
		}
		if !errors.Is(err, fs.ErrNotExist) || look > looks && (look > mostLooks || !s.sweeping()) {
			return f, err
		}
		if err := s.restore(k); err != nil {
			return nil, err
		}
	}
}

// sweeping tells whether something was moved to or from trash/ of late. A clock that is wrong costs looks, or saves some.
func (s *Store) sweeping() bool {
	info, err := os.Stat(s.Dir("trash"))
	return err == nil && time.Since(info.ModTime()).Abs() < atWork
}

func (s *Store) newBlob(k key.Key, f *os.File) (*Blob, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size()
	b := &Blob{file: f, body: f, info: Info{Digest: k.Digest(), Size: size, Stored: size, ModTime: info.ModTime()}}
	if f.Name() == s.packedPath(k) {
		if err := b.unpack(); err != nil {
			return nil, err
		}
	}
	if info.Mode().Perm() == blobMode {
		return b, nil
	}
	s.log.Warn("a blob's mode was changed: it is read again", "digest", k.Digest(), "mode", info.Mode())
	if err := rehash(b, func(int64) error { return nil }); err != nil {
		return nil, err
	}
	if err := durable.Chmod(f, blobMode); err != nil && !errors.Is(err, fs.ErrPermission) {
		return nil, err
	}
	_, err = b.Seek(0, io.SeekStart)
	return b, err
}

// ReadAll reads a small blob and verifies what it read. A blob of more than limit bytes is an error that says so.
func (s *Store) ReadAll(d digest.Digest, limit int64) ([]byte, error) {
	b, err := s.Open(d)
	if err != nil {
		return nil, err
	}
	defer func() { _ = b.Close() }()
	raw, err := readLimited(b, limit)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", d, err)
	}
	if got := digest.FromBytes(raw); got != d {
		return nil, &MismatchError{Want: d, Got: got, WantSize: -1, GotSize: int64(len(raw))}
	}
	return raw, nil
}

// freshen makes a blob young, for collectors that keep what is younger than their grace period. Another user's blob
// cannot be made younger; there the lease alone speaks.
func (s *Store) freshen(d digest.Digest) error {
	k, err := key.Parse(d)
	if err != nil {
		return err
	}
	now := time.Now()
	err = durable.Chtimes(s.formPath(k), now)
	if errors.Is(err, fs.ErrPermission) {
		s.log.Debug("a blob could not be made young", "digest", d, "error", err)
		return nil
	}
	return err
}

// readLimited reads r to its end, which must come within limit bytes.
func readLimited(r io.Reader, limit int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, min(limit, math.MaxInt64-1)+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	return raw, err
}
