package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/manifest"
	"github.com/mstore/mstore/manifest/tags"
)

// DefaultJobs is how many blobs move at once when nobody says: few enough that each large one has a good share of the
// line. Eight small ones, of at most 256 KiB, stand for one large one, because round trips are what they cost.
const DefaultJobs = 4

// ErrPinned reports a reference that names something else than the digest it was pinned to.
var ErrPinned = errors.New("the reference names another digest")

// Puller pulls models into a store. It may be used by several goroutines.
type Puller struct {
	Store  *blobstore.Store
	Tags   *tags.Tags
	Engine *transfer.Engine
	Log    *slog.Logger
	Events func(Event) // told from several goroutines; nil: nobody is told
}

// Options of one pull. The zero value is the default.
type Options struct {
	// As is the name in the store; empty: the source's name for the model.
	As string
	// Digest pins what the reference must name: the manifest, or the index that leads to it.
	Digest digest.Digest
	// Jobs is how many blobs move at once, small ones too; 0 means DefaultJobs.
	Jobs int
	// Local is how the bytes of files on this machine get into the store; "" is Auto.
	Local LocalMode
	// Source narrows what is resolved. Have is set by Pull.
	Source source.Options
}

// Result is what a pull did.
type Result struct {
	Tag      tags.Tag
	Manifest *manifest.Manifest
	Cached   bool  // nothing had to be fetched
	Fetched  int64 // bytes that moved
	Reused   int64 // bytes that were here: whole blobs, and what resumed ingests had
	Retries  int   // tries of transfers that were repeated
	Transfer transfer.Stats
}

// Pull makes the model that ref names in src exist in the store, under a tag. have is the tag that the reference is
// expected to move, or nil: when the source says that nothing changed and all of it is here, nothing is fetched.
//
// Errors of the source, the transfer and the store come as they are; ErrPinned is the package's own. Whatever the
// error, no tag was moved, and what was fetched is resumed by the next pull of it.
func (p *Puller) Pull(ctx context.Context, src source.Source, ref string, have *tags.Tag, opts Options) (*Result, error) {
	if err := opts.Local.check(); err != nil {
		return nil, err
	}
	lease, err := p.Store.Lease()
	if err != nil {
		return nil, err
	}
	defer p.release(lease)
	opts.Source.Digest = opts.Digest
	if have != nil && Fits(*have, opts) {
		opts.Source.Have, opts.Source.HaveRevision, opts.Source.HaveValidator =
			have.Source.Digest, have.Source.Revision, have.Source.Validator
	}
	r, err := p.pull(ctx, lease, src, ref, have, opts)
	if errors.Is(err, errLost) || errors.Is(err, transfer.ErrChanged) { // the source has moved on: from the beginning
		opts.Source.Have, opts.Source.HaveRevision, opts.Source.HaveValidator = "", "", ""
		r, err = p.pull(ctx, lease, src, ref, have, opts)
	}
	if err == nil && have != nil && have.Source.Validator != "" && r.Tag.Descriptor.Digest != have.Descriptor.Digest {
		p.Log.Warn("what lies there has changed", "reference", have.Source.Reference, "was", have.Descriptor.Digest, "is", r.Tag.Descriptor.Digest)
	}
	return r, err
}

// pull resolves ref and brings in what it names.
func (p *Puller) pull(
	ctx context.Context, lease *blobstore.Lease, src source.Source, ref string, have *tags.Tag, opts Options,
) (*Result, error) {
	j := p.newJob(lease, opts)
	model, err := src.Resolve(ctx, ref, j.resolveOptions())
	if err == nil {
		err = narrow(model, opts.Source)
	}
	if err != nil {
		return nil, err
	}
	if !model.Unchanged {
		return j.pull(ctx, model)
	}
	r, err := p.present(lease, *have)
	if err != nil && isLost(err) {
		return nil, fmt.Errorf("%w: %w", errLost, err)
	}
	if err == nil {
		err = checkPin(opts.Digest, have.Source.Reference, append([]digest.Digest{have.Source.Digest}, digests(r.Manifest)...)...)
	}
	return r, err
}

// Fits tells whether a pull with opts would choose what the tag means, where that was chosen from an index or by
// patterns.
func Fits(have tags.Tag, opts Options) bool {
	if have.Source.Filter != opts.Source.Filter() {
		return false
	}
	fromIndex := have.Source.Digest != have.Descriptor.Digest
	return !fromIndex || have.Source.Filter != "" || have.Source.Platform == platformName(opts.Source.Platform)
}

// errLost reports that a tag is right and the store has lost something of it: it is fetched again.
var errLost = errors.New("lost by the store")

// isLost tells of something that a tag names and the store has not, or not right: to be fetched again.
func isLost(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, blobstore.ErrMismatch) || errors.Is(err, blobstore.ErrCorrupt)
}

// Present is a pull without a source: it tells whether all that the tag names is in the store, which fails with
// fs.ErrNotExist when it is not, and records the use.
func (p *Puller) Present(have tags.Tag) (*Result, error) {
	lease, err := p.Store.Lease()
	if err != nil {
		return nil, err
	}
	defer p.release(lease)
	return p.present(lease, have)
}

func (p *Puller) present(lease *blobstore.Lease, have tags.Tag) (*Result, error) {
	m, err := LoadHeld(p.Store, lease, have)
	if err != nil {
		return nil, err
	}
	if err := p.Tags.Touch(have.Name); err != nil { // the model is here all the same: a store may be read-only
		p.Log.Debug("the use of a tag could not be recorded", "tag", have.Name, "error", err)
	}
	have.LastUsed = time.Now()
	return &Result{Tag: have, Manifest: m, Cached: true, Reused: m.Size()}, nil
}

// Restore brings in what the store has lost of a tag's model, and moves no tag. It fails with ErrPinned when ref names
// another manifest by now, and as Pull does.
func (p *Puller) Restore(ctx context.Context, src source.Source, ref string, tag tags.Tag, opts source.Options) error {
	lease, err := p.Store.Lease()
	if err != nil {
		return err
	}
	defer p.release(lease)
	j := p.newJob(lease, Options{As: tag.Name, Source: opts})
	model, err := src.Resolve(ctx, ref, j.resolveOptions())
	if err == nil {
		err = narrow(model, opts)
	}
	if err != nil {
		return err
	}
	m, err := j.blobs(ctx, model)
	if err != nil {
		return err
	}
	if m.Descriptor.Digest != tag.Descriptor.Digest {
		return fmt.Errorf("%w: %s is %s, not %s", ErrPinned, model.Reference, m.Descriptor.Digest, tag.Descriptor.Digest)
	}
	return j.put(ctx, m.Descriptor, m.Raw)
}

// LoadHeld reads the manifest that a tag names, with all it reaches held by the lease and looked at: each blob is
// there, with the size that the manifest says. It fails with fs.ErrNotExist when one is not.
func LoadHeld(store *blobstore.Store, lease *blobstore.Lease, tag tags.Tag) (*manifest.Manifest, error) {
	if err := lease.Hold(tag.Descriptor.Digest); err != nil {
		return nil, err
	}
	m, err := Load(store, tag)
	if err != nil {
		return nil, err
	}
	for _, desc := range m.Blobs() {
		info, err := lease.Stat(desc.Digest)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", tag.Name, err)
		}
		if info.Size != desc.Size {
			return nil, fmt.Errorf("%s: %w", tag.Name, &blobstore.MismatchError{
				Want: desc.Digest, WantSize: desc.Size, GotSize: info.Size,
			})
		}
	}
	return m, nil
}

// Load reads the manifest that a tag names, and the config where that says what the files are called.
func Load(store *blobstore.Store, tag tags.Tag) (*manifest.Manifest, error) {
	raw, err := store.ReadAll(tag.Descriptor.Digest, manifest.MaxSize)
	if err != nil {
		return nil, fmt.Errorf("the manifest of %s: %w", tag.Name, err)
	}
	m, err := manifest.Parse(tag.Descriptor.MediaType, raw)
	if err == nil && m.Kind == manifest.KindModelKit {
		m, err = withConfig(store, m)
	}
	if err != nil {
		return nil, fmt.Errorf("the manifest of %s: %w", tag.Name, err)
	}
	return m, nil
}

// withConfig is m with the names that its config gives; without them while the config is not in the store.
func withConfig(store *blobstore.Store, m *manifest.Manifest) (*manifest.Manifest, error) {
	config, err := store.ReadAll(m.Config.Digest, manifest.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	return m.WithConfig(config)
}

func (p *Puller) release(lease *blobstore.Lease) {
	if err := lease.Release(); err != nil {
		p.Log.Warn("a lease could not be released", "error", err)
	}
}

// checkPin compares what was resolved with what was asked for: what the reference named, or the manifest that this
// led to, or its only file.
func checkPin(want digest.Digest, reference string, is ...digest.Digest) error {
	if want == "" || slices.Contains(is, want) {
		return nil
	}
	return fmt.Errorf("%w: %s is %s, not %s", ErrPinned, reference, cmp.Or(is...), want)
}

// transferOptions tell the job of each retry, for the counters and for whoever watches.
func (j *job) transferOptions(file *progress) transfer.Options {
	opts := j.opts.Source.Transfer
	opts.Log = j.puller.Log.With("digest", file.digest)
	opts.Retry = func(attempt int, wait time.Duration, err error) {
		j.retries.Add(1)
		j.puller.Log.Debug("a transfer is tried again", "digest", file.digest, "path", file.path,
			"attempt", attempt, "wait", wait, "error", err)
		file.retry(attempt, wait, err)
	}
	return opts
}
