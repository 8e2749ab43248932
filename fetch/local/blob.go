package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/internal/key"
	"github.com/mstore/mstore/manifest"
)

// Blob is a blob of a folder of another tool, as a transfer.Origin.
type Blob struct {
	path func(digest.Digest) (string, error) // where the folder has it
	desc ocispec.Descriptor
}

// Path is the path of the blob's file, for an ingest that can share its blocks. Whether it is a regular file was
// looked at just now, and its bytes were not looked at: ErrPath, manifest.ErrMalformed for another size, ErrNotFound.
func (b *Blob) Path() (string, error) {
	f, err := b.open()
	if err != nil {
		return "", err
	}
	return f.Name(), f.Close()
}

// Fetch is transfer.Origin's. It fails as Path does.
func (b *Blob) Fetch(ctx context.Context, off, n int64) (*transfer.Answer, error) {
	f, err := b.open()
	if err != nil {
		return nil, err
	}
	if n < 0 {
		n = max(0, b.desc.Size-off)
	}
	return &transfer.Answer{Body: &span{ctx, io.NewSectionReader(f, off, n), f}, At: off}, nil
}

func (b *Blob) open() (*os.File, error) {
	path, err := b.path(b.desc.Digest)
	if err != nil {
		return nil, err
	}
	f, info, err := openRegular(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", b.desc.Digest, ErrNotFound)
	case err != nil:
		return nil, err
	case info.Size() != b.desc.Size:
		err := fmt.Errorf("%w: %s is listed with %d bytes and has %d", manifest.ErrMalformed, b.desc.Digest, b.desc.Size, info.Size())
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// span is a part of a file that is read within a context.
type span struct {
	ctx context.Context //nolint:containedctx // transfer.Origin: reading the body ends when the context of Fetch does
	*io.SectionReader
	f *os.File
}

func (s *span) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.SectionReader.Read(p)
}

func (s *span) Close() error { return s.f.Close() }

// blobPath is where a layout has a blob.
func (l layout) blobPath(d digest.Digest) (string, error) {
	k, err := key.Parse(d)
	if err != nil {
		return "", err
	}
	return k.In(filepath.Join(l.dir, ocispec.ImageBlobsDir, digest.SHA256.String())), nil
}

// openRegular opens a regular file. What else has the name is ErrPath: a link is not followed and a pipe not waited
// at.
func openRegular(path string) (*os.File, fs.FileInfo, error) {
	named, err := os.Lstat(path)
	if err != nil {
		return nil, nil, notThere(err)
	}
	if !named.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s: %w: it is no regular file", path, ErrPath)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	opened, err := f.Stat()
	if err == nil && !os.SameFile(named, opened) {
		err = fmt.Errorf("%s: %w: it was replaced while it was opened", path, ErrPath)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, opened, nil
}

// readSmall reads a regular file of at most limit bytes.
func readSmall(path string, limit int64) ([]byte, error) {
	f, info, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if info.Size() > limit {
		return nil, fmt.Errorf("%s: %w: more than %d bytes", path, manifest.ErrMalformed, limit)
	}
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("%s: %w: more than %d bytes", path, manifest.ErrMalformed, limit)
	}
	return raw, err
}
