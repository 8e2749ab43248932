package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/internal/clone"
	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/manifest"
)

// Mode is how the files of a model get their bytes.
type Mode string

const (
	// Auto is the cheapest way that gives the user files of their own: Reflink, else Hardlink, else Copy. Root is not
	// held back by modes, and some loaders refuse hard links (see alone): there it is Reflink, else Copy.
	Auto Mode = "auto"
	// Reflink shares the blocks, not the file. It fails with errors.ErrUnsupported where that cannot be done.
	Reflink Mode = "reflink"
	// Hardlink shares the file with the store, read-only.
	Hardlink Mode = "hardlink"
	// Copy copies the bytes.
	Copy Mode = "copy"
	// Symlink points into the store; the links dangle when the model is removed.
	Symlink Mode = "symlink"
)

const (
	ownMode  fs.FileMode = 0o644 // of files that are the user's, narrowed by the umask
	viewMode fs.FileMode = 0o444 // of files in views
)

// terms are what a file must be like, whichever way it is made.
type terms struct {
	perm     fs.FileMode
	stamp    bool          // give a copy the blob's time, which tells later of which bytes it is a copy
	sync     bool          // make the bytes durable
	progress func(n int64) // never nil
}

// way makes p, which must not be there, the bytes of a blob.
type way func(ctx context.Context, b *blobstore.Blob, to folder, p string, t terms) error

// waysOf is what to try for a file, in order.
func waysOf(mode Mode, asRoot, alone bool) ([]way, error) {
	switch mode {
	case Auto, "":
		if asRoot || alone {
			return []way{reflink, copyBytes}, nil
		}
		return []way{reflink, link, copyBytes}, nil
	case Reflink:
		return []way{reflink}, nil
	case Hardlink:
		return []way{link}, nil
	case Copy:
		return []way{copyBytes}, nil
	case Symlink:
		return []way{symlink}, nil
	}
	return nil, fmt.Errorf("%w: %q", ErrMode, mode)
}

// viewWays is waysOf for a view: it is the store's own, and meant to cost nothing.
func viewWays(alone bool) []way {
	if alone {
		return []way{reflink, copyBytes}
	}
	return []way{link, reflink, copyBytes}
}

// alone are the paths of the files whose loaders refuse a file with more than one name: ONNX external data, and
// because a graph may name any file so, all that lie beside one.
func alone(files []manifest.File) map[string]bool {
	beside := make(map[string]bool)
	for _, f := range files {
		if hasSuffix(f.Path, ".onnx") {
			beside[path.Dir(f.Path)] = true
		}
	}
	paths := make(map[string]bool)
	for _, f := range files {
		if hasSuffix(f.Path, ".onnx_data") || hasSuffix(f.Path, ".onnx.data") ||
			beside[path.Dir(f.Path)] && !hasSuffix(f.Path, ".onnx") {
			paths[f.Path] = true
		}
	}
	return paths
}

func hasSuffix(p, lower string) bool { return strings.HasSuffix(strings.ToLower(p), lower) }

// place makes p the bytes of a blob by the first of the ways that works. The error is that of the last one.
func place(ctx context.Context, b *blobstore.Blob, to folder, p string, ways []way, t terms) (err error) {
	for _, try := range ways {
		if err = try(ctx, b, to, p, t); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// errPacked reports a blob that has no file to share: see [blobstore.Lease.Unpack].
var errPacked = fmt.Errorf("the blob is packed: %w", errors.ErrUnsupported)

func reflink(_ context.Context, b *blobstore.Blob, to folder, p string, t terms) error {
	if b.Packed() {
		return errPacked
	}
	err := write(to, p, b, t, func(f *os.File) error {
		return durable.Call("clone", f.Name(), func() error { return clone.File(f, b.File()) })
	})
	if err == nil {
		t.progress(b.Size())
	}
	return err
}

func copyBytes(ctx context.Context, b *blobstore.Blob, to folder, p string, t terms) error {
	return write(to, p, b, t, func(f *os.File) error {
		var src io.Reader = b.File()
		if b.Packed() {
			src = b
		}
		n, err := clone.Copy(ctx, durable.Writer(f), src, t.progress)
		if err == nil && n != b.Size() {
			err = fmt.Errorf("copied %d of %d bytes", n, b.Size())
		}
		return err
	})
}

// write makes the file p by fill; on an error there is no file.
func write(to folder, p string, b *blobstore.Blob, t terms, fill func(f *os.File) error) (err error) {
	const writable = 0o200
	f, err := to.create(p, t.perm|writable)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, to.remove(p))
		}
	}()
	if err = fill(f); err == nil {
		err = durable.CheckSize(f, b.Size())
	}
	if err == nil && t.perm&writable == 0 {
		err = durable.Chmod(f, t.perm)
	}
	if err == nil && t.sync {
		err = durable.SyncFile(f)
	}
	if err := errors.Join(err, f.Close()); err != nil || !t.stamp {
		return err
	}
	info, err := b.File().Stat()
	if err != nil {
		return err
	}
	return to.root.Chtimes(p, info.ModTime())
}

// link gives the blob's file another name. The name it links is looked at again, so that what was opened is what was
// linked.
func link(_ context.Context, b *blobstore.Blob, to folder, p string, t terms) error {
	if b.Packed() {
		return errPacked
	}
	if err := durable.Link(b.File().Name(), to.path(p)); err != nil {
		return err
	}
	same, err := isBlob(b, to, p)
	if err == nil && !same {
		err = fmt.Errorf("the blob %s was replaced while it was linked", b.Digest())
	}
	if err != nil {
		return errors.Join(err, to.remove(p))
	}
	t.progress(b.Size())
	return nil
}

func symlink(_ context.Context, b *blobstore.Blob, to folder, p string, t terms) error {
	if b.Packed() {
		return errPacked
	}
	err := to.root.Symlink(b.File().Name(), p)
	if err == nil {
		t.progress(b.Size())
	}
	return err
}

// isBlob tells whether p is another name of the blob's file.
func isBlob(b *blobstore.Blob, in folder, p string) (bool, error) {
	have, err := in.lookup(p)
	if err != nil {
		return false, err
	}
	blob, err := b.File().Stat()
	return err == nil && os.SameFile(have, blob), err
}
