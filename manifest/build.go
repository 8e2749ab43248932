package manifest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Draft is what a ModelPack is built from.
type Draft struct {
	// Files need a Path, and the Digest and Size of their Descriptor. A Role of "" is guessed from the path.
	Files []File
	// Model is what the config says of the model; all of it may be empty.
	Model Facts
	// Annotations of the manifest. They are part of what is digested.
	Annotations map[string]string
}

// Build makes the ModelPack manifest of a draft, and its config blob: raw layers, one a file, in the order of their
// paths, without a time or anything else of the moment. The same draft gives the same bytes, in whatever order its
// files stand. The same file twice counts once. The error is [ErrMalformed], with [ErrUnsafePath] where a path is it.
func Build(d Draft) (m *Manifest, config []byte, err error) {
	layers, err := d.layers()
	if err != nil {
		return nil, nil, err
	}
	config, err = json.Marshal(d.Model.modelPack(layers))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	raw, err := json.Marshal(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: schemaVersion},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: ArtifactTypeModelPack,
		Config: ocispec.Descriptor{
			MediaType: MediaTypeModelPackConf, Digest: digest.FromBytes(config), Size: int64(len(config)),
		},
		Layers:      layers,
		Annotations: d.Annotations,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	m, err = Parse(ocispec.MediaTypeImageManifest, raw)
	return m, config, err
}

// layers makes the descriptors of the draft's files.
func (d Draft) layers() ([]ocispec.Descriptor, error) {
	if len(d.Files) == 0 {
		return nil, fmt.Errorf("%w: a model without files", ErrMalformed)
	}
	files := slices.Clone(d.Files)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	tree := newTree(len(files))
	layers := make([]ocispec.Descriptor, 0, len(files))
	for i := range files {
		f := &files[i]
		again, err := tree.addNamed(f)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		if again {
			continue
		}
		l, err := f.modelPack()
		if err != nil {
			return nil, err
		}
		layers = append(layers, l)
	}
	return layers, nil
}

// modelPack is the descriptor of f as a raw layer.
func (f *File) modelPack() (ocispec.Descriptor, error) {
	role := f.Role
	if role == "" {
		role = guessRole(f.Path)
	}
	sort, known := modelPackSort(role)
	switch {
	case f.Archive != NotArchive:
		return ocispec.Descriptor{}, fmt.Errorf("%w: %q is an archive; a file is wanted", ErrMalformed, clip(f.Path))
	case !known:
		return ocispec.Descriptor{}, fmt.Errorf("%w: %q has the role %q", ErrMalformed, clip(f.Path), clip(string(role)))
	case !isDigest(string(f.Descriptor.Digest)):
		return ocispec.Descriptor{}, fmt.Errorf("%w: %q has the digest %q", ErrMalformed, clip(f.Path), clip(string(f.Descriptor.Digest)))
	case f.Descriptor.Size < 0:
		return ocispec.Descriptor{}, fmt.Errorf("%w: %q has %d bytes", ErrMalformed, clip(f.Path), f.Descriptor.Size)
	}
	return ocispec.Descriptor{
		MediaType: modelPackPrefix + sort + ".v1.raw",
		Digest:    f.Descriptor.Digest,
		Size:      f.Descriptor.Size,
		Annotations: map[string]string{
			AnnotationModelPackPath: f.Path,
			ocispec.AnnotationTitle: f.Path,
		},
	}, nil
}
