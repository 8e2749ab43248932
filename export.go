package mstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/export"
	"github.com/mstore/mstore/fetch"
	"github.com/mstore/mstore/manifest"
	"github.com/mstore/mstore/manifest/tags"
)

// ExportOptions say how an export goes. The zero value is the default.
type ExportOptions struct {
	Mode   export.Mode   // empty: reflink, else hard link (not as root), else copy
	Layout export.Layout // empty: export.LayoutFiles
}

// Exported is what an export made.
type Exported struct {
	Model
	Dir string // absolute
}

// Export writes the files of a model into the folder dir, which is made when it is missing; or with a layout, adds the
// model to a folder of another tool: see the layouts of package export for what each has. Each file appears whole or
// not at all; one that is there with the same bytes stays; one with others is ErrUsage, before anything is written. No
// file that may be written shares its bytes with the store.
//
// In a layout the model has the name that its name in the store, or the hub that it came from, gives it. ErrUsage says
// so where a layout can have no such name, or no such model.
func (s *Store) Export(ctx context.Context, name, dir string, o ExportOptions) (_ *Exported, err error) {
	defer classify(&err)
	use, err := s.hold(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, use.Release()) }()
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if s.holds(abs) {
		return nil, usagef("%s is in the store: export to a folder of its own", abs)
	}
	if err := s.unpack(ctx, use); err != nil {
		return nil, err
	}
	if err := s.export(ctx, use, abs, o); err != nil {
		return nil, err
	}
	return &Exported{use.Model, abs}, nil
}

// holds tells whether path is the store's folder or below it, through whatever links.
func (s *Store) holds(path string) bool {
	root, err := filepath.EvalSymlinks(s.Dir())
	for err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			rel, err := filepath.Rel(root, real)
			return err == nil && filepath.IsLocal(rel)
		}
		if parent := filepath.Dir(path); parent != path {
			path = parent // it is to be made
			continue
		}
		break
	}
	return false
}

// exporting are the options of an export that tells of itself: one count for the whole model, as its files may share
// blobs.
func (s *Store) exporting(use *Use, mode export.Mode) export.Options {
	e := Event{Model: use.Name, Digest: use.Digest}
	var done atomic.Int64
	return export.Options{
		Mode: mode,
		Begin: func(bytes int64, files int) {
			e.Kind, e.Size, e.Files = fetch.Resolved, bytes, files
			s.emit(e)
		},
		Progress: func(n int64) {
			e := e
			e.Kind, e.Done = fetch.Progress, done.Add(n)
			s.emit(e)
		},
	}
}

// Path is a folder on disk that has the model's files under their names, for a runtime that maps them; or with file,
// that file in it. Nothing is copied where the file system has hard links. The folder is the store's: it is read-only,
// and goes with the model. Whoever needs it beside a collector that may drop the tag asks [Store.Use].
func (s *Store) Path(ctx context.Context, name, file string) (_ string, err error) {
	defer classify(&err)
	use, err := s.Use(ctx, name)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, use.Release()) }()
	if file == "" {
		return use.Dir, nil
	}
	clean, err := manifest.SafePath(file)
	if err != nil {
		return "", err
	}
	path := filepath.Join(use.Dir, filepath.FromSlash(clean))
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return "", &NotFoundError{Name: name + "/" + clean}
	} else if err != nil {
		return "", err
	}
	return path, nil
}

// Use is a model in use: no sweep takes it away before Release, or the death of the process.
type Use struct {
	Model
	Dir string // as Path gives it

	tag      tags.Tag
	manifest *manifest.Manifest
	lease    *blobstore.Lease
}

// Use takes a model into use, and records it. It fails as Show does, and with ErrVerification when a blob is missing
// or damaged as far as a cheap look can tell.
func (s *Store) Use(ctx context.Context, name string) (_ *Use, err error) {
	defer classify(&err)
	use, err := s.hold(name)
	if err != nil {
		return nil, err
	}
	if err = s.unpack(ctx, use); err == nil {
		use.Dir, err = s.views.Make(ctx, use.manifest)
	}
	if err != nil {
		return nil, errors.Join(err, use.Release())
	}
	return use, nil
}

// Keep gives a descriptor that keeps the model in use across exec(2), for as long as the program that runs then.
func (u *Use) Keep() (_ *os.File, err error) {
	defer classify(&err)
	return u.lease.Keep()
}

// Release ends the use.
func (u *Use) Release() error { return u.lease.Release() }

// hold takes a lease on all that the model's tag names, and looks at it.
func (s *Store) hold(name string) (*Use, error) {
	if _, err := s.lookup(name); err != nil { // a lease is a write, and not needed to say so
		return nil, err
	}
	lease, err := s.blobs.Lease()
	if err != nil {
		return nil, err
	}
	use := &Use{lease: lease}
	err = s.reading(name, func(tag tags.Tag) (err error) {
		use.tag = tag
		use.manifest, err = fetch.LoadHeld(s.blobs, lease, tag)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, lease.Release())
	}
	if err := s.tags.Touch(use.tag.Name); err != nil {
		s.log.Debug("the use of a model could not be recorded", "model", use.tag.Name, "error", err)
	}
	use.Model = *s.model(use.tag, use.manifest)
	return use, nil
}
