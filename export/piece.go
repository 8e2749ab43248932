package export

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/manifest"
)

// mark makes what marks the folder as one of the layout.
func (e *exporter) mark(ctx context.Context, p *plan) error {
	if p.folder != "" {
		if err := e.to.mkdir(p.folder); err != nil {
			return existsBlocked(err)
		}
	}
	if p.mark.path == "" {
		return nil
	}
	if info, _, err := e.read(p.mark.path, 0); err != nil || info != nil {
		return err
	}
	private, err := e.write(p.mark.data)
	if err != nil {
		return err
	}
	return e.publish(ctx, private, p.mark.path, func(context.Context) (bool, error) {
		info, _, err := e.read(p.mark.path, 0)
		return info != nil, err
	})
}

// hasText tells whether a text is in its place. Another content is ErrExists.
func (e *exporter) hasText(t text) (bool, error) {
	info, have, err := e.read(t.path, int64(len(t.data)))
	switch {
	case err != nil:
		return false, err
	case info == nil:
		return false, nil
	case bytes.Equal(have, t.data):
		return true, nil
	}
	return false, fmt.Errorf("%w: %s has another content", ErrExists, e.to.path(t.path))
}

// readName is the text that a name has; nil when there is none.
func (e *exporter) readName(p string) ([]byte, error) {
	info, have, err := e.read(p, manifest.MaxSize)
	if err == nil && info != nil && info.Size() > manifest.MaxSize {
		err = fmt.Errorf("%w: %s has more than %d bytes", ErrExists, e.to.path(p), manifest.MaxSize)
	}
	return have, err
}

// read reads the regular file at p, and of a longer one the first limit+1 bytes. info is nil when nothing is there;
// what is no regular file is ErrExists.
func (e *exporter) read(p string, limit int64) (info fs.FileInfo, data []byte, err error) {
	info, err = e.to.lookup(p)
	switch {
	case missing(err):
		return nil, nil, nil
	case err != nil:
		return nil, nil, existsBlocked(err)
	case !info.Mode().IsRegular():
		return nil, nil, fmt.Errorf("%w: %s is no regular file", ErrExists, e.to.path(p))
	}
	f, err := e.to.open(p, info)
	if err != nil {
		return nil, nil, err
	}
	data, err = io.ReadAll(io.LimitReader(f, limit+1))
	return info, data, errors.Join(err, f.Close())
}

// hasPointer tells whether a link is in its place. Anything else there is ErrExists.
func (e *exporter) hasPointer(l pointer) (bool, error) {
	info, err := e.to.lookup(l.path)
	switch {
	case missing(err):
		return false, nil
	case err != nil:
		return false, existsBlocked(err)
	case info.Mode().Type() == fs.ModeSymlink:
		to, err := e.to.root.Readlink(filepath.FromSlash(l.path))
		if err != nil || filepath.ToSlash(to) == l.to {
			return err == nil, err
		}
	}
	return false, fmt.Errorf("%w: %s does not lead to %s", ErrExists, e.to.path(l.path), l.to)
}

func (e *exporter) text(ctx context.Context, t text) error {
	there, err := e.hasText(t)
	if err != nil || there {
		return err
	}
	private, err := e.write(t.data)
	if err != nil {
		return err
	}
	return e.publish(ctx, private, t.path, func(context.Context) (bool, error) { return e.hasText(t) })
}

func (e *exporter) pointer(ctx context.Context, l pointer) error {
	there, err := e.hasPointer(l)
	if err != nil || there {
		return err
	}
	private := e.stage.fresh()
	if err := e.to.root.Symlink(filepath.FromSlash(l.to), filepath.FromSlash(private)); err != nil {
		return err
	}
	return e.publish(ctx, private, l.path, func(context.Context) (bool, error) { return e.hasPointer(l) })
}

// move makes a name say something else: atomic and durable.
func (e *exporter) move(ctx context.Context, t text) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	have, err := e.readName(t.path)
	if err != nil || have != nil && bytes.Equal(have, t.data) {
		return err
	}
	private, err := e.write(t.data)
	if err != nil {
		return err
	}
	if err := e.to.parents(t.path); err != nil {
		return existsBlocked(err)
	}
	if err := e.to.root.Rename(filepath.FromSlash(private), filepath.FromSlash(t.path)); err != nil {
		return err
	}
	return e.syncFolders([]string{t.path})
}

// write makes a private file that is durable.
func (e *exporter) write(data []byte) (private string, err error) {
	private = e.stage.fresh()
	f, err := e.to.create(private, ownMode)
	if err != nil {
		return "", err
	}
	_, err = durable.Write(f, data)
	if err == nil {
		err = durable.CheckSize(f, int64(len(data)))
	}
	if err == nil {
		err = durable.SyncFile(f)
	}
	return private, errors.Join(err, f.Close())
}
