package export

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"

	"github.com/mstore/mstore/manifest"
)

// unpack unpacks the archives into the stage and puts what came out into place, file by file, when all of it can be.
func (e *exporter) unpack(ctx context.Context) error {
	if len(archivesOf(e.m)) == 0 {
		return nil
	}
	tree, err := e.stage.tree()
	if err != nil {
		return err
	}
	defer func() { _ = tree.root.Close() }()
	if err := unpackAll(ctx, e.store, e.m, tree, e.opts.Progress); err != nil {
		return err
	}
	if err := checkClashes(tree, filesOf(e.m)); err != nil {
		return err
	}
	if err := tree.walk(func(p string, d fs.DirEntry) error { return e.checkMerge(ctx, tree, p, d) }); err != nil {
		return err
	}
	return tree.walk(func(p string, d fs.DirEntry) error { return e.merge(ctx, tree, p, d) })
}

// checkClashes refuses a tree that has something where a file of the model belongs.
func checkClashes(tree folder, files []manifest.File) error {
	for _, f := range files {
		_, err := tree.lookup(f.Path)
		if missing(err) {
			continue
		}
		if err == nil || errors.Is(err, errBlocked) {
			return fmt.Errorf("%w: it unpacks to the place of the model's file %q", ErrUnsafe, f.Path)
		}
		return err
	}
	return nil
}

// checkMerge tells whether what was unpacked to p can have its place: ErrExists when something else has it.
func (e *exporter) checkMerge(ctx context.Context, tree folder, p string, d fs.DirEntry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := e.merged(ctx, tree, p, d)
	return err
}

// merged tells whether p is in its place as it was unpacked.
func (e *exporter) merged(ctx context.Context, tree folder, p string, d fs.DirEntry) (bool, error) {
	have, err := e.to.lookup(p)
	switch {
	case missing(err):
		return false, nil
	case errors.Is(err, errBlocked):
		return false, existsBlocked(err)
	case err != nil:
		return false, err
	}
	same := have.Mode().Type() == d.Type()
	switch {
	case same && d.Type() == fs.ModeSymlink:
		same, err = e.sameLink(tree, p)
	case same && d.Type().IsRegular():
		same, err = e.sameFile(ctx, tree, p, have)
	}
	if err == nil && !same {
		err = fmt.Errorf("%w: %s", ErrExists, e.to.path(p))
	}
	return same, err
}

func (e *exporter) sameLink(tree folder, p string) (bool, error) {
	want, err := tree.root.Readlink(filepath.FromSlash(p))
	if err != nil {
		return false, err
	}
	have, err := e.to.root.Readlink(filepath.FromSlash(p))
	return have == want, err
}

func (e *exporter) sameFile(ctx context.Context, tree folder, p string, have fs.FileInfo) (bool, error) {
	info, err := tree.lookup(p)
	if err != nil || info.Size() != have.Size() {
		return false, err
	}
	want, err := sum(ctx, tree, p, info)
	if err != nil {
		return false, err
	}
	got, err := sum(ctx, e.to, p, have)
	return got == want, err
}

// merge puts what was unpacked to p into its place.
func (e *exporter) merge(ctx context.Context, tree folder, p string, d fs.DirEntry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.IsDir() {
		return existsBlocked(e.to.mkdir(p))
	}
	return e.publish(ctx, path.Join(e.stage.name, treeName, p), p, func(ctx context.Context) (bool, error) {
		return e.merged(ctx, tree, p, d)
	})
}
