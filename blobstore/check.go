package blobstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/internal/flock"
	"github.com/mstore/mstore/internal/key"
)

// Check reads a blob in full and compares it with its digest. progress, when not nil, is told of each piece read, in
// bytes. It fails with a [MismatchError], or as Open does.
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
	b, err := s.Open(d)
	if errors.Is(err, ErrCorrupt) {
		return s.setAside(k)
	}
	if err != nil && !errors.Is(err, ErrMismatch) {
		return err
	}
	if err == nil {
		defer func() { _ = b.Close() }()
		if err := s.stillBad(ctx, b, k); err != nil {
			return err
		}
	}
	return take(s.formPath(k))
}

// stillBad fails unless b has wrong bytes, and is what its name still leads to.
func (s *Store) stillBad(ctx context.Context, b *Blob, k key.Key) error {
	err := rehash(b, func(int64) error { return ctx.Err() })
	if err == nil {
		return fmt.Errorf("blob %s is right: it stays", k)
	}
	if !errors.Is(err, ErrMismatch) {
		return err
	}
	checked, err := b.file.Stat()
	if err != nil {
		return err
	}
	if now, err := os.Lstat(b.file.Name()); err != nil || !os.SameFile(checked, now) {
		return errors.Join(fmt.Errorf("blob %s was replaced while it was checked", k), err)
	}
	return nil
}

// setAside moves what lies under a blob's name and is no blob out of the way, into trash/. A blob that was published
// there between the look and the move is put back.
func (s *Store) setAside(k key.Key) error {
	path := s.rawPath(k)
	if info, err := os.Lstat(path); err != nil || info.Mode().IsRegular() {
		return ignoreMissing(err)
	}
	to := s.trashPath(k)
	s.log.Warn("something that is no blob lay under a blob's name: it is moved aside", "digest", k.Digest(), "to", to)
	if err := durable.Move(path, to); err != nil {
		return ignoreMissing(err)
	}
	if info, err := os.Lstat(to); err == nil && info.Mode().IsRegular() {
		return ignoreMissing(durable.Move(to, path))
	}
	return nil
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
			return fmt.Errorf("read %s: %w", b.info.Digest, damaged(b.info.Digest, err))
		}
	}
	if got := digest.NewDigest(digest.SHA256, hash); got != b.info.Digest {
		return &MismatchError{Want: b.info.Digest, Got: got, WantSize: -1, GotSize: size}
	}
	return nil
}
