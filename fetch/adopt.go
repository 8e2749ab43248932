package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mstore/mstore/blobstore"
)

// LocalMode is how the bytes of a file on this machine get into the store.
type LocalMode string

const (
	// Auto is Reflink, else Copy.
	Auto LocalMode = "auto"
	// Reflink shares the blocks, not the file. It fails with errors.ErrUnsupported where that cannot be done.
	Reflink LocalMode = "reflink"
	// Hardlink makes the very file a blob: one file of two names, read-only for both. See [blobstore.Lease.Adopt].
	Hardlink LocalMode = "hardlink"
	// Copy copies the bytes.
	Copy LocalMode = "copy"
)

// ErrLocalMode: it is none of the LocalModes.
var ErrLocalMode = errors.New("not a mode of import")

func (m LocalMode) check() error {
	switch m {
	case "", Auto, Reflink, Hardlink, Copy:
		return nil
	}
	return fmt.Errorf("%w: %q", ErrLocalMode, string(m))
}

// link makes a file of this machine the blob that is wanted.
func (j *job) link(ctx context.Context, file *progress, want blobstore.Want, path string) (blobstore.Info, error) {
	src, err := os.Open(path)
	if err != nil {
		return blobstore.Info{}, err
	}
	file.start(0)
	info, err := j.lease.Adopt(ctx, src, want)
	err = errors.Join(err, src.Close())
	switch {
	case errors.Is(err, blobstore.ErrExists):
		info, err = j.lease.Stat(want.Digest)
		file.reusedWhole(info.Size)
	case err == nil:
		file.reusedWhole(info.Size) // no byte of it moved
	}
	return info, err
}

// take brings the bytes of a file on this machine into the ingest.
func (m LocalMode) take(ctx context.Context, in *blobstore.Ingest, src *os.File, file *progress) error {
	switch m {
	case Reflink:
		return in.CloneFrom(src, file.moved)
	case Copy:
		info, err := src.Stat()
		if err != nil {
			return err
		}
		in.SetSize(info.Size())
		_, err = io.Copy(&front{ctx: ctx, to: counted{in, file}}, src)
		return err
	case Auto, Hardlink:
	}
	return in.CopyFrom(ctx, src, file.moved)
}

// front writes at offsets what comes in order.
type front struct {
	ctx context.Context //nolint:containedctx // an io.Writer has no other place for it; it lives as long as one copy
	to  io.WriterAt
	at  int64
}

func (f *front) Write(p []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := f.to.WriteAt(p, f.at)
	f.at += int64(n)
	return n, err
}
