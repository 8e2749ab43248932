package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mstore/mstore/internal/clone"
	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/internal/key"
)

// CloneFrom is CopyFrom that shares the blocks of the file or fails: with errors.ErrUnsupported where the file system
// cannot.
func (in *Ingest) CloneFrom(src *os.File, progress func(n int64)) error {
	info, err := src.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("clone %s: not a regular file", src.Name())
	}
	in.SetSize(info.Size())
	if size := in.knownSize(); size != info.Size() {
		return &MismatchError{Want: in.digestOrNone(), WantSize: size, GotSize: info.Size()}
	}
	if info.Size() > 0 && !in.clone(src, info.Size()) {
		return fmt.Errorf("clone %s: %w", src.Name(), clone.ErrUnsupported)
	}
	if progress != nil {
		progress(info.Size())
	}
	return nil
}

// Adopt makes the file src itself a blob: a second name of the same file, on the same file system, verified and admitted
// by the same Commit as any other. The digest must be known, and the file be this user's. When it is verified it becomes
// read-only, by both its names, and nobody should write to it any more: a program that has it open for writing can, and
// Check finds out.
//
// It fails as Ingest and Commit do; with fs.ErrPermission for another user's file; with an error of the file system
// where it has no hard links to this file. After an error the file is as it was.
func (l *Lease) Adopt(ctx context.Context, src *os.File, want Want) (Info, error) {
	k, err := key.Parse(want.Digest)
	if err != nil {
		return Info{}, err
	}
	info, err := src.Stat()
	switch {
	case err != nil:
		return Info{}, err
	case !info.Mode().IsRegular():
		return Info{}, fmt.Errorf("link %s: not a regular file", src.Name())
	case want.Size >= 0 && info.Size() != want.Size:
		return Info{}, &MismatchError{Want: want.Digest, WantSize: want.Size, GotSize: info.Size()}
	case !isOwn(info):
		return Info{}, fmt.Errorf("link %s: it is another user's file: %w", src.Name(), fs.ErrPermission)
	}
	if err := l.lookFor(ctx, k, want); err != nil {
		return Info{}, err
	}
	unlock, err := l.store.lockIngest(ctx, l.store.ingestLock(k), k.Hex(), want.Waiting)
	if err != nil {
		return Info{}, err
	}
	got, err := l.linkLocked(ctx, src, info, k, want)
	return got, errors.Join(err, unlock())
}

func (l *Lease) linkLocked(ctx context.Context, src *os.File, info fs.FileInfo, k key.Key, want Want) (Info, error) {
	if err := l.lookFor(ctx, k, want); err != nil { // whoever held the lock may have committed it
		return Info{}, err
	}
	in, err := l.store.openIngest(anonymous, info.Size()) // which has no heirs: nobody writes on in the user's file
	if err != nil {
		return Info{}, err
	}
	in.lease, in.want, in.unlock = l, k, func() error { return nil }
	err = in.link(src, info)
	var got Info
	if err == nil {
		got, err = in.Commit(ctx)
	}
	if err != nil {
		return Info{}, errors.Join(err, in.Discard(), durable.Chmod(src, info.Mode().Perm()))
	}
	return got, nil
}

// link puts the user's file in the place of the data. It is opened for reading alone, so that whatever becomes of the
// ingest, nothing is written to it.
func (in *Ingest) link(src *os.File, info fs.FileInfo) error {
	path := filepath.Join(in.folder.path, dataFile)
	if err := durable.Delete(path); err != nil {
		return err
	}
	if err := durable.Link(src.Name(), path); err != nil {
		return err
	}
	linked, err := openRegular(path)
	if err != nil {
		return err
	}
	named, err := linked.Stat()
	if err == nil && !os.SameFile(named, info) {
		err = fmt.Errorf("link %s: it was replaced while it was linked", src.Name())
	}
	if err != nil {
		return errors.Join(err, linked.Close())
	}
	in.mu.Lock()
	empty := in.folder.data
	in.folder.data = linked
	in.mu.Unlock()
	whole := extent{0, info.Size()}
	if _, err := in.claim(whole.start, whole.end); err != nil {
		return errors.Join(err, empty.Close())
	}
	in.writers.Done()
	in.wrote(whole)
	return empty.Close()
}
