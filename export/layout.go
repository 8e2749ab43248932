package export

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/manifest"
)

// plan is a model as it is to be in a layout of another tool, in the order in which it appears there: what never
// changes under its name, made durable, and then the names that lead to it. So whatever ends an export, nothing that
// the other tool finds leads to something that is missing or half written.
//
// What marks the folder as one of the layout comes before all of it, so that an export that was cut short is finished by
// the same call.
//
// Marks, blobs, texts and links are made where they are missing; other content in their place is ErrExists. A name is moved, as the
// tools do with theirs, but nothing else than a regular file is replaced.
type plan struct {
	folder string          // that marks the layout, or ""
	mark   text            // likewise, when it has a path; whatever regular file is there already is right
	blobs  []manifest.File // by their place in the layout
	texts  []text
	links  []pointer
	names  []text
	// check, when not nil, is called before anything is written, and finish after all the rest.
	check  func(e *exporter) error
	finish func(ctx context.Context, e *exporter) error
}

// text is a small file.
type text struct {
	path string
	data []byte
}

// pointer is a symbolic link to a place in the same layout.
type pointer struct {
	path, to string
}

// lay adds what the plan says to the folder dir, which is made when it is missing.
func lay(ctx context.Context, store *blobstore.Store, l Layout, dir string, p *plan, opts Options) (err error) {
	if _, err := waysOf(opts.Mode, false, false); err != nil {
		return err
	}
	if opts.Mode == Symlink {
		return fmt.Errorf("%w: %q makes folders of plain files only; in the layout %q other tools look after the files", ErrMode, opts.Mode, l)
	}
	if err := checkBlobs(store, p.blobs); err != nil {
		return err
	}
	opts.begin(p.blobs)
	to, err := target(dir)
	if err != nil {
		return err
	}
	defer func() { _ = to.root.Close() }()
	e := &exporter{store: store, to: to, opts: opts, durable: true}
	if err = checkForeign(to, l); err == nil {
		err = e.lay(ctx, p)
	}
	if err != nil {
		return fmt.Errorf("export to %s: %w", dir, err)
	}
	return nil
}

func (e *exporter) lay(ctx context.Context, p *plan) (err error) {
	todo, err := e.checkPlan(ctx, p)
	if err != nil {
		return err
	}
	if e.stage, err = newStage(e.to); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.stage.close()) }()
	if err := e.mark(ctx, p); err != nil {
		return err
	}
	if err := each(ctx, todo, e.file); err != nil {
		return err
	}
	for _, t := range p.texts {
		if err := e.text(ctx, t); err != nil {
			return err
		}
	}
	for _, l := range p.links {
		if err := e.pointer(ctx, l); err != nil {
			return err
		}
	}
	if err := e.settle(p); err != nil {
		return err
	}
	for _, t := range p.names {
		if err := e.move(ctx, t); err != nil {
			return err
		}
	}
	if p.finish != nil {
		return p.finish(ctx, e)
	}
	return nil
}

// checkPlan looks at every place that the plan needs and returns the blobs that are missing.
func (e *exporter) checkPlan(ctx context.Context, p *plan) ([]manifest.File, error) {
	if p.check != nil {
		if err := p.check(e); err != nil {
			return nil, err
		}
	}
	if _, _, err := e.read(p.mark.path, 0); p.mark.path != "" && err != nil {
		return nil, err
	}
	for _, t := range p.texts {
		if _, err := e.hasText(t); err != nil {
			return nil, err
		}
	}
	for _, l := range p.links {
		if _, err := e.hasPointer(l); err != nil {
			return nil, err
		}
	}
	for _, t := range p.names {
		if _, err := e.readName(t.path); err != nil {
			return nil, err
		}
	}
	return e.check(ctx, p.blobs)
}

// settle makes all that has its name by now durable.
func (e *exporter) settle(p *plan) error {
	var paths []string
	for _, b := range p.blobs {
		paths = append(paths, b.Path)
	}
	for _, t := range p.texts {
		paths = append(paths, t.path)
	}
	for _, l := range p.links {
		paths = append(paths, l.path)
	}
	return e.syncFolders(paths)
}

// syncFolders makes the names durable that lead to paths, the deepest first.
func (e *exporter) syncFolders(paths []string) error {
	folders := make(map[string]int)
	for _, p := range paths {
		for dir := path.Dir(p); ; dir = path.Dir(dir) {
			folders[dir] = strings.Count(dir, "/")
			if dir == "." {
				folders[dir] = -1
				break
			}
		}
	}
	deepest := slices.SortedFunc(maps.Keys(folders), func(a, b string) int { return folders[b] - folders[a] })
	for _, dir := range deepest {
		if err := durable.SyncDir(e.to.path(dir)); err != nil {
			return err
		}
	}
	return nil
}
