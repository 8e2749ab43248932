package fetch

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/manifest"
)

// narrow leaves out of a resolved model what opts do not take. A model of which only some files are taken is another
// one: it gets a manifest of its own.
func narrow(model *source.Model, opts source.Options) error {
	if opts.Filter() == "" || model.Unchanged {
		return nil
	}
	if err := opts.CheckPatterns(); err != nil {
		return err
	}
	if model.Manifest != nil {
		for _, f := range model.Manifest.Files {
			if f.Archive != manifest.NotArchive {
				return fmt.Errorf("%w: %s has archives, of which no single files can be taken", source.ErrReference, model.Reference)
			}
			model.Files = append(model.Files, source.File{Path: f.Path, Descriptor: f.Descriptor, Origins: model.Origins(f.Descriptor)})
		}
		model.Manifest = nil
	}
	var taken []source.File
	for _, f := range model.Files {
		if opts.Takes(f.Path) {
			taken = append(taken, f)
		}
	}
	if len(taken) == 0 {
		paths := make([]string, 0, len(model.Files))
		for _, f := range model.Files {
			paths = append(paths, f.Path)
		}
		return source.NoneTaken(model.Reference, paths)
	}
	model.Files = taken
	return nil
}

// build brings in the files of a model that has no manifest yet, and makes the manifest of them.
func (j *job) build(ctx context.Context, model *source.Model) (*manifest.Manifest, error) {
	total := int64(0)
	for _, f := range model.Files {
		total += max(f.Descriptor.Size, 0)
	}
	j.emit(Event{Kind: Resolved, Size: total, Files: len(model.Files)})
	files := make([]manifest.File, len(model.Files))
	crew, cctx := NewCrew(ctx, j.opts.Jobs)
	for i, f := range model.Files {
		crew.Move(cctx, f.Descriptor.Size, func() error {
			info, err := j.file(cctx, f)
			files[i] = manifest.File{Path: f.Path, Descriptor: ocispec.Descriptor{Digest: info.Digest, Size: info.Size}}
			return err
		})
	}
	if err := crew.Wait(); err != nil {
		return nil, err
	}
	m, config, err := manifest.Build(manifest.Draft{Files: files, Model: model.Facts})
	if err != nil {
		return nil, err
	}
	return m, j.put(ctx, m.Config, config)
}

// file brings in one file of a model without a manifest.
func (j *job) file(ctx context.Context, f source.File) (blobstore.Info, error) {
	file := j.track(f.Path, f.Descriptor)
	want := blobstore.Want{Digest: f.Descriptor.Digest, Size: f.Descriptor.Size, Name: f.Name, Verify: f.Verify}
	info, err := j.ingest(ctx, file, want, from{local: f.Local, origins: f.Origins})
	if err == nil && want.Digest == "" && f.Verify == nil && f.Local == "" {
		j.puller.Log.Warn("nobody says what the file should be: it is trusted on first use", "path", f.Path, "digest", info.Digest)
	}
	return info, file.wrap(err)
}

// digests are those that a person may pin a model to: its manifest's, and that of its file when it has one only.
func digests(m *manifest.Manifest) []digest.Digest {
	all := []digest.Digest{m.Descriptor.Digest}
	if len(m.Files) == 1 {
		all = append(all, m.Files[0].Descriptor.Digest)
	}
	return all
}
