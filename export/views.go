package export

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/internal/key"
	"github.com/mstore/mstore/manifest"
)

// races is how often a view is made again that another process takes away while it is made.
const races = 5

// doubtfulGrace is how long what was begun is left alone where locks do nothing: longer than a view takes to make.
const doubtfulGrace = 24 * time.Hour

// Views are the models of a store as folders: <root>/views/<hex of the manifest's digest>, with the model's files in
// it under their own names. A file is a hard link to its blob, read-only; where the file system or the file's loader
// does not want a link it is a reflink or a copy; archives are unpacked. All of it is derived: losing a view loses
// nothing.
//
// Any number of processes may make, list and remove views at once. What else lies in the folder is left alone, unless
// it has the name of a view that is made.
type Views struct {
	store *blobstore.Store
	in    folder
}

// OpenViews opens the views of a store.
func OpenViews(store *blobstore.Store) (*Views, error) {
	dir := store.Dir("views")
	if err := durable.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	root, err := durable.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	// The folders below get the mode of this one, so that in a shared store every user can repair and remove them.
	in := folder{root: root, perm: info.Mode() & (fs.ModePerm | fs.ModeSetgid)}
	if store.Doubtful() {
		in.grace = doubtfulGrace
	}
	return &Views{store, in}, nil
}

// Close gives the folder back.
func (v *Views) Close() error { return v.in.root.Close() }

// Make makes the view of m, or looks at the one that is there, and returns the path of its folder. Files of a view
// that are missing, or are not what the blob is now, are replaced one by one; a view of another shape is made anew.
// The error is ErrUnsafe for an archive, else as of [blobstore.Store.Open].
//
// The caller holds m and its blobs in a lease for as long as the view is used.
func (v *Views) Make(ctx context.Context, m *manifest.Manifest) (string, error) {
	k, err := key.Parse(m.Descriptor.Digest)
	if err != nil {
		return "", err
	}
	w := &view{views: v, m: m, name: k.Hex(), alone: alone(m.Files)}
	if err := w.make(ctx); err != nil {
		return "", fmt.Errorf("view of %s: %w", k, err)
	}
	return k.In(v.in.root.Name()), nil
}

// List is the manifests that have a view. It removes what processes that died left half made or half removed.
func (v *Views) List() ([]digest.Digest, error) {
	if err := sweep(v.in); err != nil {
		return nil, err
	}
	entries, err := v.in.names(".")
	if err != nil {
		return nil, err
	}
	var ds []digest.Digest
	for _, e := range entries {
		if k, err := key.ParseHex(e.Name()); err == nil && e.IsDir() {
			ds = append(ds, k.Digest())
		}
	}
	return ds, nil
}

// Remove removes the view of a manifest: it is gone at once, its files a little later. No view is no error.
func (v *Views) Remove(d digest.Digest) (err error) {
	k, err := key.Parse(d)
	if err != nil {
		return err
	}
	s, err := newStage(v.in)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	return v.aside(s, k.Hex())
}

// aside moves what has the name of a view into a stage, where it is removed with it.
func (v *Views) aside(s *stage, name string) error {
	err := durable.Move(v.in.path(name), v.in.path(s.fresh()))
	if missing(err) {
		return nil
	}
	return err
}

// view is one Make.
type view struct {
	views *Views
	m     *manifest.Manifest
	name  string // in the folder of views
	alone map[string]bool
}

func (w *view) make(ctx context.Context) error {
	whole, err := w.mend(ctx)
	if err != nil || whole {
		return err
	}
	return w.build(ctx)
}

// build makes the view beside its place and publishes it. A view that another process published meanwhile is taken
// when it is whole, and anything else in the place is moved away.
func (w *view) build(ctx context.Context) (err error) {
	s, err := newStage(w.views.in)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := w.fill(ctx, s); err != nil {
		return err
	}
	in := w.views.in
	for range races {
		err = durable.PublishDir(in.path(path.Join(s.name, treeName)), in.path(w.name))
		if !errors.Is(err, fs.ErrExist) && !isNotDir(err) {
			return err
		}
		if whole, err := w.mend(ctx); err != nil || whole {
			return err
		}
		if err := w.views.aside(s, w.name); err != nil {
			return err
		}
	}
	return err
}

// fill makes the whole view in the stage's tree.
func (w *view) fill(ctx context.Context, s *stage) error {
	tree, err := s.tree()
	if err != nil {
		return err
	}
	defer func() { _ = tree.root.Close() }()
	if err := w.unpack(ctx, tree); err != nil {
		return err
	}
	return each(ctx, filesOf(w.m), func(ctx context.Context, f manifest.File) error {
		return w.place(ctx, f, tree, f.Path)
	})
}

func (w *view) unpack(ctx context.Context, tree folder) error {
	if len(archivesOf(w.m)) == 0 {
		return nil
	}
	if err := unpackAll(ctx, w.views.store, w.m, tree, func(int64) {}); err != nil {
		return err
	}
	if err := checkClashes(tree, filesOf(w.m)); err != nil {
		return err
	}
	return w.record(tree)
}

// place makes p in a folder a file of the view.
func (w *view) place(ctx context.Context, f manifest.File, to folder, p string) error {
	b, err := w.views.store.Open(f.Descriptor.Digest)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	defer func() { _ = b.Close() }()
	if err := to.parents(p); err != nil {
		return err
	}
	t := terms{perm: viewMode, stamp: true, progress: func(int64) {}}
	if err := place(ctx, b, to, p, viewWays(w.alone[f.Path]), t); err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	return nil
}

// mend looks at the view that is there and replaces the files that are not right. whole is false when there is none,
// or one that mending does not help.
func (w *view) mend(ctx context.Context) (whole bool, err error) {
	if info, err := w.views.in.lookup(w.name); missing(err) || err == nil && !info.IsDir() {
		return false, nil
	} else if err != nil {
		return false, err
	}
	have, err := w.views.in.sub(w.name)
	if err != nil {
		return false, ignoreMissing(err)
	}
	defer func() { _ = have.root.Close() }()
	if same, err := w.asRecorded(have); err != nil || !same {
		return false, err
	}
	wrong, err := w.wrong(ctx, have)
	if err != nil || len(wrong) == 0 {
		return err == nil, err
	}
	return w.replace(ctx, have, wrong)
}

// replace makes files of the view anew. whole is false when the view has another shape than the model, or is moved
// away meanwhile.
func (w *view) replace(ctx context.Context, have folder, wrong []manifest.File) (whole bool, err error) {
	s, err := newStage(w.views.in)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	in := w.views.in
	for _, f := range wrong {
		private := s.fresh()
		if err := w.place(ctx, f, in, private); err != nil {
			return false, err
		}
		err := have.parents(f.Path)
		if err == nil {
			err = in.root.Rename(private, filepath.Join(w.name, filepath.FromSlash(f.Path)))
		}
		if errors.Is(err, errBlocked) || errors.Is(err, fs.ErrExist) || isNotDir(err) || missing(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}
