package local_test

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/manifest"
)

// layout is an OCI layout that a test writes.
type layout struct {
	t     *testing.T
	dir   string
	index ocispec.Index
}

func newLayout(t *testing.T) *layout {
	t.Helper()
	return newLayoutAt(t, filepath.Join(t.TempDir(), "layout"))
}

func newLayoutAt(t *testing.T, dir string) *layout {
	t.Helper()
	write(t, dir, map[string]string{"oci-layout": `{"imageLayoutVersion":"1.0.0"}`})
	return &layout{t, dir, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}}}
}

func (l *layout) blob(d digest.Digest) string {
	return filepath.Join(l.dir, "blobs", "sha256", d.Encoded())
}

// put writes a blob.
func (l *layout) put(mediaType string, raw []byte) ocispec.Descriptor {
	l.t.Helper()
	d := digest.FromBytes(raw)
	write(l.t, l.dir, map[string]string{"blobs/sha256/" + d.Encoded(): string(raw)})
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(raw))}
}

// model writes a model and lists it in the index under a tag.
func (l *layout) model(tag string, files map[string]string) ocispec.Descriptor {
	l.t.Helper()
	desc := l.unlisted(files)
	l.list(tag, desc)
	return desc
}

func (l *layout) unlisted(files map[string]string) ocispec.Descriptor {
	l.t.Helper()
	var draft manifest.Draft
	for path, content := range files {
		draft.Files = append(draft.Files, manifest.File{Path: path, Descriptor: l.put("", []byte(content))})
	}
	m, config, err := manifest.Build(draft)
	if err != nil {
		l.t.Fatal(err)
	}
	l.put("", config)
	l.put("", m.Raw)
	return m.Descriptor
}

func (l *layout) list(tag string, desc ocispec.Descriptor) {
	if tag != "" {
		desc.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
	}
	l.index.Manifests = append(l.index.Manifests, desc)
}

// nested writes an index and returns its descriptor.
func (l *layout) nested(manifests ...ocispec.Descriptor) ocispec.Descriptor {
	l.t.Helper()
	raw, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: manifests,
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return l.put(ocispec.MediaTypeImageIndex, raw)
}

// save writes the index.
func (l *layout) save() {
	l.t.Helper()
	raw, err := json.Marshal(l.index)
	if err != nil {
		l.t.Fatal(err)
	}
	write(l.t, l.dir, map[string]string{"index.json": string(raw)})
}
