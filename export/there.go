package export

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/internal/clone"
	"github.com/mstore/mstore/manifest"
)

// there tells whether f is in its place with the right content. What else is there is ErrExists.
func (e *exporter) there(ctx context.Context, f manifest.File) (bool, error) {
	b, err := e.store.Open(f.Descriptor.Digest)
	if err != nil {
		return false, err
	}
	defer func() { _ = b.Close() }()
	right, err := e.holds(ctx, f.Path, b)
	switch {
	case missing(err):
		return false, nil
	case errors.Is(err, errBlocked), err == nil && !right:
		return false, fmt.Errorf("%w: %s", ErrExists, e.to.path(f.Path))
	case err != nil:
		return false, err
	}
	e.opts.Progress(b.Size())
	return true, nil
}

// holds tells whether p has the content of the blob, or is the link to it that Symlink makes.
func (e *exporter) holds(ctx context.Context, p string, b *blobstore.Blob) (bool, error) {
	info, err := e.to.lookup(p)
	if err != nil {
		return false, err
	}
	if info.Mode().Type() == fs.ModeSymlink && e.opts.Mode == Symlink {
		to, err := e.to.root.Readlink(filepath.FromSlash(p))
		return err == nil && to == b.File().Name(), err
	}
	if !info.Mode().IsRegular() || info.Size() != b.Size() {
		return false, nil
	}
	if same, err := isBlob(b, e.to, p); err != nil || same {
		return same, err
	}
	got, err := sum(ctx, e.to, p, info)
	return got == b.Digest(), err
}

// sum is the digest of the file at p that info describes.
func sum(ctx context.Context, in folder, p string, info fs.FileInfo) (digest.Digest, error) {
	f, err := in.open(p, info)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := clone.Copy(ctx, h, f, nil); err != nil {
		return "", err
	}
	return digest.NewDigest(digest.SHA256, h), nil
}

// publish gives the private file its name p, unless something is there by now: then that must be the right content,
// which there tells.
func (e *exporter) publish(ctx context.Context, private, p string, there func(ctx context.Context) (bool, error)) error {
	if err := e.to.parents(p); err != nil {
		return existsBlocked(err)
	}
	err := e.name(private, p)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if same, err := there(ctx); err != nil || same {
		return err
	}
	return fmt.Errorf("%w: %s", ErrExists, e.to.path(p))
}

// name gives a private file its name and replaces nothing: a second name is only had where there is none, and the
// first is dropped then. Links and file systems without hard links are renamed after a look.
func (e *exporter) name(private, p string) error {
	from, to := filepath.FromSlash(private), filepath.FromSlash(p)
	info, err := e.to.root.Lstat(from)
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() {
		err := e.to.root.Link(from, to)
		if err == nil {
			return e.to.root.Remove(from)
		}
		if errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if _, err := e.to.root.Lstat(to); err == nil {
		return &os.LinkError{Op: "rename", Old: private, New: p, Err: fs.ErrExist}
	} else if !missing(err) {
		return err
	}
	return e.to.root.Rename(from, to)
}

func existsBlocked(err error) error {
	if errors.Is(err, errBlocked) {
		return fmt.Errorf("%w: %w", ErrExists, err)
	}
	return err
}
