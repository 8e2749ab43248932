package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/mstore/mstore/internal/clone"
	"github.com/mstore/mstore/internal/durable"
)

// CopyFrom fills the ingest from a regular file on this machine: by sharing its blocks where the file system can, else
// by copying. It sets the size. progress, when not nil, is told of each piece, in bytes. The file is the caller's, and
// only read; one that changes meanwhile is an error.
func (in *Ingest) CopyFrom(ctx context.Context, src *os.File, progress func(n int64)) error {
	before, err := src.Stat()
	if err != nil {
		return err
	}
	if !before.Mode().IsRegular() {
		return fmt.Errorf("copy %s: not a regular file", src.Name())
	}
	in.SetSize(before.Size())
	if size := in.knownSize(); size != before.Size() {
		return &MismatchError{Want: in.digestOrNone(), WantSize: size, GotSize: before.Size()}
	}
	if !in.clone(src, before.Size()) {
		if err := in.copyMissing(ctx, src, progress); err != nil {
			return err
		}
	} else if progress != nil {
		progress(before.Size())
	}
	after, err := src.Stat()
	if err == nil && (after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime())) {
		err = fmt.Errorf("copy %s: the file changed while it was read", src.Name())
	}
	return err
}

// clone shares the blocks of src, when nothing was written yet and the file system can.
func (in *Ingest) clone(src *os.File, size int64) bool {
	whole := extent{0, size}
	todo, err := in.claim(whole.start, whole.end)
	if err != nil {
		return false
	}
	defer in.writers.Done()
	if !slices.Equal(todo, []extent{whole}) || cloned(in.folder.data, src) != nil || in.folder.record(whole) != nil {
		in.unclaim(todo)
		return false
	}
	in.wrote(whole)
	return true
}

func cloned(dst, src *os.File) error {
	return durable.Call("clone", dst.Name(), func() error { return clone.File(dst, src) })
}

// copyMissing reads what is missing, and only that, from the same offsets of src.
func (in *Ingest) copyMissing(ctx context.Context, src io.ReaderAt, progress func(n int64)) error {
	buf := make([]byte, copySize)
	for {
		off, n := in.Missing()
		if n == 0 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		got, err := src.ReadAt(buf[:min(n, copySize)], off)
		if got > 0 {
			if _, err := in.WriteAt(buf[:got], off); err != nil {
				return err
			}
			if progress != nil {
				progress(int64(got))
			}
		}
		switch {
		case errors.Is(err, io.EOF) && int64(got) < min(n, copySize):
			return fmt.Errorf("the file became shorter while it was read: %w", io.ErrUnexpectedEOF)
		case err != nil && !errors.Is(err, io.EOF):
			return err
		}
	}
}

// copySize is one piece of a copy: 1 MiB, from which on larger pieces are no faster.
const copySize = 1 << 20
