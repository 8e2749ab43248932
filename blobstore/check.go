package blobstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/internal/flock"
	"github.com/mstore/mstore/internal/key"
)

// Check reads a blob in full and compares it with its digest. progress, when not nil, is told of each piece read, in
// bytes. It fails with a [MismatchError], or as Open does; it changes nothing.
func (s *Store) Check(ctx context.Context, d digest.Digest, progress func(n int64)) error {
	b, err := s.Open(d)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	return rehash(b, func(n int64) error {
		if progress != nil {
			progress(n)
		}
		return ctx.Err()
	})
}

// Expel takes a bad blob out of the store: it is checked again while no ingest of its digest runs, and take gets the
// path of its file, which it must move elsewhere on the same file system. What is no regular file is moved into trash/
// for a person to look at, and take is not called. A blob that is right is left alone, and that is an error.
func (s *Store) Expel(ctx context.Context, d digest.Digest, take func(path string) error) error {
	k, err := key.Parse(d)
	if err != nil {
		return err
	}
	unlock, err := flock.Lock(ctx, s.ingestLock(k))
	if err != nil {
		return err
	}
	defer func() { _ = unlock() }()
	switch err := s.Check(ctx, d, nil); {
	case err == nil:
		return fmt.Errorf("blob %s is right: it stays", d)
	case errors.Is(err, ErrCorrupt):
		return s.setAside(k)
	case !errors.Is(err, ErrMismatch):
		return err
	}
	return take(k.In(s.blobs()))
}

// setAside moves what lies under a blob's name and is no blob out of the way.
func (s *Store) setAside(k key.Key) error {
	path := k.In(s.blobs())
	if info, err := os.Lstat(path); err != nil || info.Mode().IsRegular() {
		return ignoreMissing(err)
	}
	to := s.trashPath(k) + ".planted"
	s.log.Warn("something that is no blob lay under a blob's name: moved aside", "digest", k, "to", to)
	err := durable.Move(path, to)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// rehash reads b from its start and compares. step is told of each piece, and ends the reading with its error.
func rehash(b *Blob, step func(n int64) error) error {
	hash := sha256.New()
	buf := buffers.Get()
	defer buffers.Put(buf)
	var size int64
	for {
		n, err := b.ReadAt(*buf, size)
		hash.Write((*buf)[:n])
		size += int64(n)
		if stop := step(int64(n)); stop != nil {
			return stop
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", b.info.Digest, err)
		}
	}
	if got := digest.NewDigest(digest.SHA256, hash); got != b.info.Digest {
		return &MismatchError{Want: b.info.Digest, Got: got, WantSize: -1, GotSize: size}
	}
	return nil
}
