package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/internal/flock"
	"github.com/mstore/mstore/internal/key"
	"github.com/mstore/mstore/manifest"
)

// annotationWholeName is where containerd and docker keep the whole name of an image beside its tag.
const annotationWholeName = "io.containerd.image.name"

const emptyIndex = `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[]}`

// OCI adds m, which has this name, to the OCI image layout in dir, made when it is missing: blobs/sha256, and an entry
// of index.json whose org.opencontainers.image.ref.name is the name's tag, what follows its last colon. A name with a
// digest in the place of a tag gets an entry without one. Several exports into one layout do not lose each other's
// entries.
//
// An entry of the same tag is replaced, unless it says that it is a model of another name (io.containerd.image.name):
// that is ErrExists, and so is a file in the layout that has the name of a blob and not its bytes. Else it fails as
// Files does, and with ErrLayout for a name that is none.
func OCI(ctx context.Context, store *blobstore.Store, m *manifest.Manifest, dir, name string, opts Options) error {
	entry := &ociEntry{name: name, desc: m.Descriptor}
	if at := strings.LastIndexByte(name, ':'); !strings.Contains(name, "@") && at > strings.LastIndexByte(name, '/') {
		entry.tag = name[at+1:]
	}
	if name == "" {
		return fmt.Errorf("%w: a model without a name", ErrLayout)
	}
	p := &plan{mark: text{ocispec.ImageLayoutFile, []byte(`{"imageLayoutVersion":"` + ocispec.ImageLayoutVersion + `"}`)}}
	for _, d := range append([]ocispec.Descriptor{m.Descriptor}, m.Blobs()...) {
		k, err := key.Parse(d.Digest)
		if err != nil {
			return err
		}
		p.blobs = append(p.blobs, manifest.File{Path: filepath.ToSlash(k.In("blobs/sha256")), Descriptor: d})
	}
	p.check, p.finish = entry.check, entry.add
	return lay(ctx, store, LayoutOCI, dir, p, opts)
}

// ociEntry is what an export adds to an index.
type ociEntry struct {
	name, tag string
	desc      ocispec.Descriptor
}

// check finds out before anything is written whether the layout is one, and takes the entry.
func (n *ociEntry) check(e *exporter) error {
	raw, err := e.readName(ocispec.ImageLayoutFile)
	if err != nil {
		return err
	}
	var marker ocispec.ImageLayout
	if raw != nil && (json.Unmarshal(raw, &marker) != nil || marker.Version != ocispec.ImageLayoutVersion) {
		return fmt.Errorf("%w: its file oci-layout is not that of an OCI image layout %s", ErrExists, ocispec.ImageLayoutVersion)
	}
	have, err := e.readName(ocispec.ImageIndexFile)
	if err == nil {
		_, err = n.merge(have)
	}
	return err
}

// add puts the entry into index.json. The lock is that of the file oci-layout, which nobody replaces.
func (n *ociEntry) add(ctx context.Context, e *exporter) (err error) {
	unlock, err := flock.Lock(ctx, e.to.path(ocispec.ImageLayoutFile))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	have, err := e.readName(ocispec.ImageIndexFile)
	if err != nil {
		return err
	}
	want, err := n.merge(have)
	if err != nil {
		return err
	}
	return e.move(ctx, text{path: ocispec.ImageIndexFile, data: want})
}

// merge is an index with the entry in it. What else the index holds stays as it is written.
func (n *ociEntry) merge(have []byte) ([]byte, error) {
	if have == nil {
		have = []byte(emptyIndex)
	}
	index, err := manifest.ParseIndex("", have)
	if err != nil {
		return nil, fmt.Errorf("index.json: %w", err)
	}
	var members map[string]json.RawMessage
	var entries []json.RawMessage
	err = json.Unmarshal(have, &members)
	if err == nil {
		err = json.Unmarshal(members["manifests"], &entries)
	}
	if err != nil || len(entries) != len(index.Manifests) {
		return nil, fmt.Errorf("index.json: %w: its entries cannot be told apart: %w", manifest.ErrMalformed, err)
	}
	kept := []json.RawMessage{}
	for i, d := range index.Manifests {
		replaced, err := n.replaces(d)
		if err != nil {
			return nil, err
		}
		if !replaced {
			kept = append(kept, entries[i])
		}
	}
	own, err := json.Marshal(n.descriptor())
	if err != nil {
		return nil, err
	}
	if members["manifests"], err = json.Marshal(append(kept, own)); err != nil {
		return nil, err
	}
	merged, err := json.Marshal(members)
	if err == nil && len(merged) > manifest.MaxSize {
		err = fmt.Errorf("%w: index.json would have more than %d bytes", ErrExists, manifest.MaxSize)
	}
	return merged, err
}

// replaces tells whether an entry of the index gives way to this one.
func (n *ociEntry) replaces(d ocispec.Descriptor) (bool, error) {
	tag, name := d.Annotations[ocispec.AnnotationRefName], d.Annotations[annotationWholeName]
	switch {
	case n.tag == "":
		return tag == "" && name == n.name, nil
	case tag != n.tag:
		return false, nil
	case name != "" && name != n.name:
		return false, fmt.Errorf("%w: the tag %q is that of the model %q in this layout", ErrExists, tag, name)
	}
	return true, nil
}

func (n *ociEntry) descriptor() ocispec.Descriptor {
	d := ocispec.Descriptor{
		MediaType: n.desc.MediaType, Digest: n.desc.Digest, Size: n.desc.Size,
		Annotations: map[string]string{annotationWholeName: n.name},
	}
	if n.tag != "" {
		d.Annotations[ocispec.AnnotationRefName] = n.tag
	}
	return d
}
