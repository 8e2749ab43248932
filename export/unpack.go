package export

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/internal/clone"
	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/manifest"
)

// maxWindow is the memory that a zstd archive may ask for: what `zstd --long` uses, and a reader must be told.
const maxWindow = 128 << 20

// unpackAll unpacks the archives of a model in their order into an empty tree and looks at the links when all is
// there. The error is ErrUnsafe for what is in the archives.
func unpackAll(ctx context.Context, store *blobstore.Store, m *manifest.Manifest, tree folder, progress func(n int64)) error {
	archives := archivesOf(m)
	budget := newBudget(archives)
	for _, a := range archives {
		u := &unpacker{tree: tree, prefix: a.Path, budget: budget}
		if m.Kind == manifest.KindImage {
			u.own = make(map[string]struct{})
		}
		if err := u.blob(ctx, store, a, progress); err != nil {
			return fmt.Errorf("unpack %s: %w", a.Descriptor.Digest, err)
		}
	}
	return checkLinks(tree)
}

func archivesOf(m *manifest.Manifest) []manifest.File {
	var archives []manifest.File
	for _, f := range m.Files {
		if f.Archive != manifest.NotArchive {
			archives = append(archives, f)
		}
	}
	return archives
}

// unpacker unpacks one archive below prefix of a tree.
type unpacker struct {
	tree   folder
	prefix string
	budget *budget
	// own is what this archive made, kept only for layers of images: those delete and replace what lower ones made.
	own map[string]struct{}
}

func (u *unpacker) blob(ctx context.Context, store *blobstore.Store, a manifest.File, progress func(n int64)) error {
	b, err := store.Open(a.Descriptor.Digest)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	raw, err := decompress(&told{b, progress}, a.Archive)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsafe, err)
	}
	defer func() { _ = raw.Close() }()
	return u.all(ctx, tar.NewReader(&metered{ctx, raw, u.budget}))
}

// told tells progress of what is read.
type told struct {
	r        io.Reader
	progress func(n int64)
}

func (t *told) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if n > 0 {
		t.progress(int64(n))
	}
	return n, err
}

func decompress(r io.Reader, a manifest.Archive) (io.ReadCloser, error) {
	switch a {
	case manifest.Tar:
		return io.NopCloser(r), nil
	case manifest.TarGzip:
		return gzip.NewReader(r)
	case manifest.TarZstd:
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return nil, fmt.Errorf("no way to unpack %q", a)
}

func (u *unpacker) all(ctx context.Context, r *tar.Reader) error {
	for {
		h, err := r.Next()
		switch {
		case err == io.EOF:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrUnsafe):
			return err
		case err != nil:
			return fmt.Errorf("%w: %w", ErrUnsafe, err)
		}
		if err := u.entry(ctx, h, r); err != nil {
			return fmt.Errorf("entry %.200q: %w", h.Name, err)
		}
	}
}

func (u *unpacker) entry(ctx context.Context, h *tar.Header, content io.Reader) error {
	if err := u.budget.entry(h.Size); err != nil {
		return err
	}
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	p, err := u.place(h.Name, h.Typeflag == tar.TypeDir)
	if err != nil || p == u.prefix { // "./", the archive's own folder
		return err
	}
	if u.own != nil && strings.HasPrefix(path.Base(p), whiteout) {
		return u.whiteout(p)
	}
	if err := u.clear(p, h.Typeflag == tar.TypeDir); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		err = u.tree.mkdir(p)
	case tar.TypeReg, tar.TypeGNUSparse:
		err = u.file(ctx, p, h, content)
	case tar.TypeSymlink:
		err = u.symlink(p, h.Linkname)
	case tar.TypeLink:
		err = u.hardlink(p, h.Linkname)
	default:
		err = fmt.Errorf("%w: neither file, folder nor link (type %q)", ErrUnsafe, h.Typeflag)
	}
	if err == nil && u.own != nil {
		u.own[p] = struct{}{}
	}
	return err
}

// place is where an entry of this name goes; u.prefix for the archive's own folder.
func (u *unpacker) place(name string, dir bool) (string, error) {
	if dir && !strings.HasPrefix(name, "/") {
		name = strings.TrimRight(name, "/")
		if strings.Trim(name, "./") == "" && path.Clean(name) == "." {
			return u.prefix, nil
		}
	}
	safe, err := manifest.SafePath(name)
	if err == nil && u.prefix != "" {
		safe, err = manifest.SafePath(u.prefix + "/" + safe)
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnsafe, err)
	}
	return safe, nil
}

// clear makes p free for an entry: its parents are folders, and p is not there, or is a folder where a folder comes.
// A later file takes the place of an earlier one, as in tar; only a layer puts one kind in the place of another.
func (u *unpacker) clear(p string, dir bool) error {
	if err := u.tree.parents(p); err != nil {
		return unsafeBlocked(err)
	}
	info, err := u.tree.lookup(p)
	switch {
	case missing(err):
		return nil
	case err != nil:
		return err
	case info.IsDir() && dir:
		return nil
	case u.lower(p):
		return u.tree.removeAll(p)
	case !info.IsDir() && !dir:
		return u.tree.remove(p)
	}
	return fmt.Errorf("%w: it is a folder and something else", ErrUnsafe)
}

// file writes a regular file. Of its mode only the right to execute is kept.
func (u *unpacker) file(ctx context.Context, p string, h *tar.Header, content io.Reader) error {
	perm := ownMode
	if h.Mode&0o100 != 0 {
		perm |= 0o111
	}
	f, err := u.tree.create(p, perm)
	if err != nil {
		return err
	}
	var broken error
	n, err := clone.Copy(ctx, durable.Writer(f), &noting{content, &broken}, nil)
	if err == nil && n != h.Size {
		broken = io.ErrUnexpectedEOF
	}
	if broken != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", ErrUnsafe, broken)
	}
	return errors.Join(err, f.Close())
}

// noting notes the error of a reader, to tell it from one of the writer.
type noting struct {
	r   io.Reader
	err *error
}

func (n *noting) Read(p []byte) (int, error) {
	got, err := n.r.Read(p)
	if err != nil && err != io.EOF {
		*n.err = err
	}
	return got, err
}

// hardlink gives a file of the tree a second name. The target counts from the archive's folder, like every name in it.
func (u *unpacker) hardlink(p, target string) error {
	from, err := u.place(target, false)
	if err != nil {
		return err
	}
	info, err := u.tree.lookup(from)
	switch {
	case errors.Is(err, errBlocked), missing(err), err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("%w: its link's target %.200q is no file of the archive", ErrUnsafe, target)
	case err != nil:
		return err
	}
	return u.tree.root.Link(filepath.FromSlash(from), filepath.FromSlash(p))
}

// symlink makes a link that stays inside the tree, as far as its text tells; checkLinks follows it later.
func (u *unpacker) symlink(p, target string) error {
	target = strings.TrimRight(target, "/") // of "/" nothing is left
	inside := path.Join(path.Dir(p), target)
	if target == "" || path.IsAbs(target) || strings.ContainsAny(target, "\\:\x00") ||
		inside == ".." || strings.HasPrefix(inside, "../") {
		return fmt.Errorf("%w: its link leads out, to %.200q", ErrUnsafe, target)
	}
	return u.tree.root.Symlink(target, filepath.FromSlash(p))
}

// checkLinks refuses a tree in which a link leads out, to nothing or in a circle, by way of whatever other links.
func checkLinks(tree folder) error {
	return tree.walk(func(p string, e fs.DirEntry) error {
		if e.Type() != fs.ModeSymlink {
			return nil
		}
		if _, err := tree.root.Stat(filepath.FromSlash(p)); err != nil {
			return fmt.Errorf("%w: the link %q leads to nothing inside: %w", ErrUnsafe, p, err)
		}
		return nil
	})
}

// unsafeBlocked makes an ErrUnsafe of what an archive blocked for itself.
func unsafeBlocked(err error) error {
	if errors.Is(err, errBlocked) {
		return fmt.Errorf("%w: %w", ErrUnsafe, err)
	}
	return err
}
