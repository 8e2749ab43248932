package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/manifest"
	"github.com/mstore/mstore/manifest/tags"
)

// job is one pull under way.
type job struct {
	puller  *Puller
	lease   *blobstore.Lease
	opts    Options
	name    string
	fetched atomic.Int64
	reused  atomic.Int64
	retries atomic.Int64

	mu    sync.Mutex
	moved transfer.Stats
}

func (p *Puller) newJob(lease *blobstore.Lease, opts Options) *job {
	return &job{puller: p, lease: lease, opts: opts, name: opts.As}
}

// resolveOptions are the source's, with each retry of a request counted.
func (j *job) resolveOptions() source.Options {
	opts := j.opts.Source
	opts.Transfer = j.transferOptions(j.track("", ocispec.Descriptor{}))
	return opts
}

// pull brings in what was resolved: blobs, manifest, tag, in this order.
func (j *job) pull(ctx context.Context, model *source.Model) (*Result, error) {
	if j.name == "" {
		j.name = model.Name
	}
	if err := tags.CheckName(j.name); err != nil {
		return nil, err
	}
	if model.Manifest != nil { // before its blobs are fetched in vain
		err := checkPin(j.opts.Digest, model.Reference, model.Digest, model.Manifest.Descriptor.Digest)
		if err != nil {
			return nil, err
		}
	}
	m, err := j.blobs(ctx, model)
	if err == nil {
		err = checkPin(j.opts.Digest, model.Reference, append([]digest.Digest{model.Digest}, digests(m)...)...)
	}
	if err != nil {
		return nil, err
	}
	if err := j.put(ctx, m.Descriptor, m.Raw); err != nil {
		return nil, err
	}
	tag, err := j.tag(ctx, m, model)
	if err == nil {
		m, err = Load(j.puller.Store, tag)
	}
	if err != nil {
		return nil, err
	}
	return &Result{
		Tag: tag, Manifest: m, Cached: j.fetched.Load() == 0,
		Fetched: j.fetched.Load(), Reused: j.reused.Load(), Retries: int(j.retries.Load()),
		Transfer: j.moved,
	}, nil
}

// blobs brings in all that the manifest of the model names, building the manifest where the source has none.
func (j *job) blobs(ctx context.Context, model *source.Model) (*manifest.Manifest, error) {
	if model.Manifest == nil {
		return j.build(ctx, model)
	}
	m := model.Manifest
	j.emit(Event{Kind: Resolved, Digest: m.Descriptor.Digest, Size: m.Size(), Files: len(m.Files)})
	blobs := m.Blobs()
	for _, desc := range blobs { // all of them, before any is looked at
		if err := j.lease.Hold(desc.Digest); err != nil {
			return nil, err
		}
	}
	if err := j.reserve(ctx, blobs); err != nil {
		return nil, err
	}
	paths := make(map[string]string)
	for _, f := range m.Files {
		paths[f.Descriptor.Digest.String()] = f.Path
	}
	slices.SortStableFunc(blobs, func(a, b ocispec.Descriptor) int { return cmp.Compare(a.Size, b.Size) })
	crew, ctx := NewCrew(ctx, j.opts.Jobs)
	for _, desc := range blobs {
		crew.Move(ctx, desc.Size, func() error {
			file := j.track(paths[desc.Digest.String()], desc)
			_, err := j.ingest(ctx, file, blobstore.Want{Digest: desc.Digest, Size: desc.Size}, from{origins: model.Origins(desc)})
			return file.wrap(err)
		})
	}
	return m, crew.Wait()
}

// reserve makes sure that what has to be fetched fits on the disk.
func (j *job) reserve(ctx context.Context, blobs []ocispec.Descriptor) error {
	wants := make([]blobstore.Want, len(blobs))
	for i, desc := range blobs {
		wants[i] = blobstore.Want{Digest: desc.Digest, Size: desc.Size}
	}
	return j.lease.Reserve(ctx, wants...)
}

// put brings in a few bytes that are in memory.
func (j *job) put(ctx context.Context, desc ocispec.Descriptor, raw []byte) error {
	_, err := j.ingest(ctx, j.track("", desc), blobstore.Want{Digest: desc.Digest, Size: desc.Size},
		from{memory: raw})
	return err
}

// ingest brings one blob through the store's door. Wrong bytes are fetched once more, from each origin alone.
func (j *job) ingest(ctx context.Context, file *progress, want blobstore.Want, from from) (blobstore.Info, error) {
	want.Waiting = file.waiting
	if path := from.path(); j.opts.Local == Hardlink && path != "" {
		return j.link(ctx, file, want, path)
	}
	in, err := j.lease.Ingest(ctx, want)
	if errors.Is(err, blobstore.ErrExists) {
		info, err := j.lease.Stat(want.Digest)
		file.reusedWhole(info.Size)
		return info, err
	}
	if err != nil {
		return blobstore.Info{}, err
	}
	defer func() {
		if err := in.Close(); err != nil {
			j.puller.Log.Warn("an ingest could not be closed", "digest", want.Digest, "error", err)
		}
	}()
	file.start(in.Resumed())
	info, err := j.fill(ctx, in, file, from)
	if errors.Is(err, transfer.ErrChanged) { // what is here is of no use to anybody
		return info, errors.Join(err, in.Discard())
	}
	if errors.Is(err, blobstore.ErrMismatch) && (want.Digest != "" || want.Verify != nil) {
		info, err = j.refill(ctx, in, file, from, err)
	}
	if err == nil {
		file.done(info)
	}
	return info, err
}

// tag makes the model exist.
func (j *job) tag(ctx context.Context, m *manifest.Manifest, model *source.Model) (tags.Tag, error) {
	if err := ctx.Err(); err != nil {
		return tags.Tag{}, err
	}
	if err := j.puller.Store.Settle(); err != nil { // what was here may have come a moment ago
		return tags.Tag{}, err
	}
	now := time.Now()
	from := tags.Source{
		Reference: model.Reference, Digest: cmp.Or(model.Digest, m.Descriptor.Digest), PlainHTTP: model.PlainHTTP,
		Revision: model.Revision, Validator: model.Validator, Filter: j.opts.Source.Filter(),
	}
	if from.Digest != m.Descriptor.Digest {
		from.Platform = platformName(j.opts.Source.Platform)
	}
	tag := tags.Tag{
		Name: j.name, Descriptor: m.Descriptor, Bytes: m.Size(), Files: len(m.Files), Kind: string(m.Kind),
		Source:  from,
		Created: now, LastUsed: now,
	}
	if err := j.puller.Tags.Set(ctx, tag); err != nil {
		return tags.Tag{}, err
	}
	set, err := j.puller.Tags.Get(j.name)
	if errors.Is(err, tags.ErrNotFound) { // somebody has deleted it again: it was there
		return tag, nil
	}
	return set, err
}

// platformName is a platform as a person writes it; empty for none.
func platformName(p *ocispec.Platform) string {
	if p == nil {
		return ""
	}
	return path.Join(p.OS, p.Architecture, p.Variant)
}

func (j *job) emit(e Event) {
	if j.puller.Events != nil {
		e.Model = j.name
		j.puller.Events(e)
	}
}

// wrap names the file, for a person who sees one line.
func (f *progress) wrap(err error) error {
	if err == nil || f.path == "" {
		return err
	}
	return fmt.Errorf("%s: %w", f.path, err)
}
