package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore/pack"
	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/internal/flock"
	"github.com/mstore/mstore/internal/key"
)

const (
	// packedDir is the folder of packed blobs, made with the first of them.
	packedDir = "packed/sha256"
	// packedSuffix ends their names, there and in trash.
	packedSuffix = ".zst"
	// worthwhile is what a packed blob may take of the bytes it had: what gains less than a tenth stays raw.
	worthwhile = 0.9
)

func (s *Store) packed() string { return s.Dir(filepath.FromSlash(packedDir)) }

// rawPath and packedPath are where the two forms of a blob are.
func (s *Store) rawPath(k key.Key) string { return k.In(s.blobs()) }

func (s *Store) packedPath(k key.Key) string { return k.In(s.packed()) + packedSuffix }

// formPath is where a blob is that has one form: raw, unless only the packed one is there.
func (s *Store) formPath(k key.Key) string {
	if _, err := os.Lstat(s.rawPath(k)); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(s.packedPath(k)); err == nil {
			return s.packedPath(k)
		}
	}
	return s.rawPath(k)
}

// Pack makes a blob take less of the disk, without loss: it is written anew as [pack] does, read back and compared with
// its digest, and only then does the raw file go. Its digest stays, and every reader finds the same bytes; who needs the
// file itself asks [Lease.Unpack]. saved is the difference in bytes. It is 0 without an error when the blob stays as it
// is: it would gain less than a tenth, its file has other names (a view, a link that a user made), or it is packed.
//
// A packed blob lets go of whatever shared the blocks of its file. Pack is for what nobody is using; it does not ask
// leases. Readers that have the blob open read on. It fails with ErrNotFound, with a [MismatchError] and the blob stays
// where it is, with ctx's error, or with that of the file system; ENOSPC leaves everything as it was.
func (s *Store) Pack(ctx context.Context, d digest.Digest) (saved int64, err error) {
	k, err := key.Parse(d)
	if err != nil {
		return 0, err
	}
	unlock, err := flock.Lock(ctx, s.ingestLock(k))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	b, err := s.Open(d)
	if err != nil {
		return 0, err
	}
	defer func() { _ = b.Close() }()
	info, err := b.file.Stat()
	if err != nil || b.Packed() || links(info) > 1 {
		return 0, err
	}
	size, err := s.writePacked(ctx, b, k)
	if err != nil || size == 0 {
		return 0, err
	}
	gone, err := s.giveUp(k, s.rawPath(k), s.packedPath(k))
	if err != nil || !gone {
		return 0, err
	}
	return b.Size() - size, nil
}

// writePacked publishes the packed form of a raw blob, and is its size in bytes: 0 when it is not worthwhile.
func (s *Store) writePacked(ctx context.Context, b *Blob, k key.Key) (size int64, err error) {
	share, err := pack.Estimate(b, b.Size())
	if err != nil || share > worthwhile {
		return 0, err
	}
	if err := makeFolders(s.root, []string{packedDir}, s.format.Shared); err != nil {
		return 0, err
	}
	in, err := s.openIngest(anonymous, -1) // which a collector removes when this process dies
	if err != nil {
		return 0, err
	}
	in.unlock = func() error { return nil }
	defer func() { err = errors.Join(err, in.Discard()) }()
	f := in.folder.data
	size, err = pack.Encode(ctx, durable.Writer(f), b, b.Size())
	if err == nil {
		err = durable.CheckSize(f, size)
	}
	if err != nil || float64(size) > worthwhile*float64(b.Size()) {
		return 0, err
	}
	if err := readBack(ctx, f, size, b.info.Digest); err != nil {
		return 0, err
	}
	if err := durable.Chmod(f, blobMode); err != nil {
		return 0, err
	}
	return size, durable.Publish(f, s.packedPath(k))
}

// readBack compares what a packed file holds with the digest that it should have.
func readBack(ctx context.Context, f *os.File, size int64, want digest.Digest) error {
	b := &Blob{file: f, info: Info{Digest: want, Stored: size}}
	if err := b.unpack(); err != nil {
		return err
	}
	defer func() { _ = b.packed.Close() }()
	return rehash(b, func(int64) error { return ctx.Err() })
}

// Unpack makes a packed blob raw again, for who needs its file, and holds it. It goes through the same Commit as any
// other blob, which removes the packed form. A blob that is raw costs a look.
//
// It fails as Open and Commit do; then the packed form stays.
func (l *Lease) Unpack(ctx context.Context, d digest.Digest) (err error) {
	k, err := key.Parse(d)
	if err != nil {
		return err
	}
	if info, err := l.Stat(d); err != nil || !info.Packed() {
		return err
	}
	unlock, err := l.store.lockIngest(ctx, l.store.ingestLock(k), k.Hex(), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	b, err := l.store.Open(d)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	if !b.Packed() { // whoever held the lock has unpacked it
		return nil
	}
	return l.writeRaw(ctx, b, k)
}

func (l *Lease) writeRaw(ctx context.Context, b *Blob, k key.Key) error {
	in, err := l.store.openIngest(anonymous, b.Size())
	if err != nil {
		return err
	}
	in.lease, in.want, in.unlock = l, k, func() error { return nil }
	err = damaged(b.info.Digest, fill(ctx, in, b))
	if err == nil {
		_, err = in.Commit(ctx)
	}
	return errors.Join(err, in.Discard())
}

// giveUp removes one form of a blob because the other one is there. It goes aside first, and the other one is looked at
// after that. So of two processes that each give up another form one at least puts back what it took, and a collector
// that takes the other form after the look reads leases and tags after this one was gone: neither needs a lock to lose
// nothing. It is false when the form stays, or somebody else removed it.
func (s *Store) giveUp(k key.Key, form, other string) (gone bool, err error) {
	t := Trashed{store: s, key: k, path: s.trashPath(k) + suffixOf(form), home: form}
	if err := durable.Move(form, t.path); err != nil {
		return false, ignoreMissing(err)
	}
	if _, err := os.Lstat(other); err != nil {
		return false, errors.Join(ignoreMissing(err), t.Restore())
	}
	return t.Delete()
}

// reapForms removes the packed form of blobs that have both, which somebody was killed over.
func (s *Store) reapForms() (freed int64, err error) {
	var errs []error
	_, err = list(s.packed(), true, func(e entry, _ error) bool {
		if k, ok := e.key(); ok && s.formPath(k) == s.rawPath(k) {
			n, err := s.reapForm(k)
			freed += n
			errs = append(errs, err)
		}
		return true
	})
	return freed, errors.Join(append(errs, ignoreMissing(err))...)
}

func (s *Store) reapForm(k key.Key) (freed int64, err error) {
	unlock, ok, err := flock.TryLock(s.ingestLock(k))
	if err != nil || !ok { // somebody is at it
		return 0, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	info, err := os.Lstat(s.packedPath(k))
	if err != nil {
		return 0, ignoreMissing(err)
	}
	if gone, err := s.giveUp(k, s.packedPath(k), s.rawPath(k)); err != nil || !gone {
		return 0, err
	}
	return info.Size(), nil
}

func suffixOf(form string) string {
	if filepath.Ext(form) == packedSuffix {
		return packedSuffix
	}
	return ""
}

// unpack makes a blob whose file is packed read what is in it.
func (b *Blob) unpack() error {
	r, err := pack.NewReader(b.file, b.info.Stored)
	if err != nil {
		return damaged(b.info.Digest, err)
	}
	b.packed, b.info.Size = r, r.Size()
	b.body = io.NewSectionReader(r, 0, r.Size())
	return nil
}

// damaged makes of what a packed file that is none says what any wrong blob is: a mismatch.
func damaged(d digest.Digest, err error) error {
	if errors.Is(err, pack.ErrFormat) {
		return fmt.Errorf("%w: the packed form of %s: %w", ErrMismatch, d, err)
	}
	return err
}
