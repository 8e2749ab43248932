package export

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/manifest"
)

// parallel is how many files are worked on at once: enough to hide the waiting of one disk, few enough to keep the
// reads of a spinning one long.
const parallel = 4

// Options of Files. The zero value is the default.
type Options struct {
	// Mode is how files get their bytes; "" is Auto. Archives are unpacked in every mode.
	Mode Mode
	// Begin, if not nil, is told once, before any Progress, how many files there are to be and the bytes of them.
	Begin func(bytes int64, files int)
	// Progress, if not nil, is told the bytes that are done since the last call: their sum is what Begin was told. It
	// is called from several goroutines and must be quick.
	Progress func(n int64)
}

// begin fills in what is not set, and tells how much there is to do.
func (o *Options) begin(files []manifest.File) {
	if o.Progress == nil {
		o.Progress = func(int64) {}
	}
	if o.Begin == nil {
		return
	}
	var total int64
	for _, f := range files {
		total += f.Descriptor.Size
	}
	o.Begin(total, len(files))
}

// Files makes the files of m in dir, which is made when it is missing, as are folders below. Archives are unpacked
// first, in the order of the manifest.
//
// A file that is there with the right content is kept, so that an export that was interrupted is finished by the same
// call. Anything else in the place of a file is ErrExists, found before anything is written: another content, a link,
// a folder. Files that are not the model's are left alone. Each file appears whole or not at all; when ctx ends no
// other remains. It fails with ErrUnsafe for an archive, and as [blobstore.Store.Open] does. Nothing is synced: after
// a power cut the same call finds out what is missing.
func Files(ctx context.Context, store *blobstore.Store, m *manifest.Manifest, dir string, opts Options) error {
	if _, err := waysOf(opts.Mode, false, false); err != nil {
		return err
	}
	if err := checkBlobs(store, m.Files); err != nil {
		return err
	}
	opts.begin(m.Files)
	to, err := target(dir)
	if err != nil {
		return err
	}
	defer func() { _ = to.root.Close() }()
	e := &exporter{store: store, m: m, to: to, opts: opts, alone: alone(m.Files)}
	if err := e.run(ctx); err != nil {
		return fmt.Errorf("export to %s: %w", dir, err)
	}
	return nil
}

// checkBlobs finds out that a blob is missing before anything is written.
func checkBlobs(store *blobstore.Store, files []manifest.File) error {
	for _, f := range files {
		if _, err := store.Stat(f.Descriptor.Digest); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	return nil
}

// target opens the folder that the user named, making it. It may be a link to a folder: the user said so.
func target(dir string) (folder, error) {
	dir = filepath.Clean(dir)
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return folder{}, fmt.Errorf("export to %s: %w", dir, ErrExists)
	}
	if err := durable.MkdirAll(dir, 0o777); err != nil {
		return folder{}, err
	}
	root, err := durable.OpenRoot(dir)
	return folder{root: root}, err
}

// exporter is one export.
type exporter struct {
	store   *blobstore.Store
	m       *manifest.Manifest
	to      folder
	opts    Options
	alone   map[string]bool
	durable bool // files are synced before they get their names
	stage   *stage
}

func (e *exporter) run(ctx context.Context) (err error) {
	todo, err := e.check(ctx, filesOf(e.m))
	if err != nil {
		return err
	}
	if len(todo) == 0 && len(archivesOf(e.m)) == 0 {
		return sweep(e.to)
	}
	if e.stage, err = newStage(e.to); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.stage.close()) }()
	if err := e.unpack(ctx); err != nil {
		return err
	}
	return each(ctx, todo, e.file)
}

// check looks at the place of each of the files and returns those that are missing.
func (e *exporter) check(ctx context.Context, files []manifest.File) ([]manifest.File, error) {
	missing := make([]bool, len(files))
	numbers := make([]int, len(files))
	for i := range numbers {
		numbers[i] = i
	}
	err := each(ctx, numbers, func(ctx context.Context, i int) error {
		there, err := e.there(ctx, files[i])
		missing[i] = !there
		return err
	})
	var todo []manifest.File
	for i, f := range files {
		if missing[i] {
			todo = append(todo, f)
		}
	}
	return todo, err
}

// file makes one file of the model.
func (e *exporter) file(ctx context.Context, f manifest.File) error {
	b, err := e.store.Open(f.Descriptor.Digest)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	ways, err := waysOf(e.opts.Mode, os.Geteuid() == 0, e.alone[f.Path])
	if err != nil {
		return err
	}
	private := e.stage.fresh()
	if err := place(ctx, b, e.to, private, ways, terms{perm: ownMode, sync: e.durable, progress: e.opts.Progress}); err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	return e.publish(ctx, private, f.Path, func(ctx context.Context) (bool, error) { return e.there(ctx, f) })
}

// filesOf is the files of m that are a blob each, every path once.
func filesOf(m *manifest.Manifest) []manifest.File {
	var files []manifest.File
	seen := make(map[string]struct{}, len(m.Files))
	for _, f := range m.Files {
		if _, again := seen[f.Path]; again || f.Archive != manifest.NotArchive {
			continue
		}
		seen[f.Path] = struct{}{}
		files = append(files, f)
	}
	return files
}

// each does the work on all items, several at once, until one fails.
func each[T any](ctx context.Context, items []T, work func(ctx context.Context, item T) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, item := range items {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return work(ctx, item)
		})
	}
	return g.Wait()
}
