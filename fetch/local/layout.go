package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/internal/key"
	"github.com/mstore/mstore/manifest"
)

// ErrNotFound: the folder of another tool has no such model, tag or blob. It is also fs.ErrNotExist.
var ErrNotFound error = notFoundError{}

type notFoundError struct{}

func (notFoundError) Error() string        { return "it is not in the folder" }
func (notFoundError) Is(target error) bool { return target == fs.ErrNotExist }

const (
	maxMarker = 4 << 10 // bytes of the file oci-layout
	maxListed = 10      // tags that an error lists
)

// Layout is the source of references oci-layout:DIR, oci-layout:DIR:TAG and oci-layout:DIR@DIGEST. DIR may have
// colons: the longest folder that exists is meant. Without a tag the only manifest is meant, else "latest".
//
// Resolve fails with ErrPath when DIR is no layout, ErrNotFound, manifest.ErrMalformed (also for a manifest that has
// not the bytes of its digest), manifest.ErrNoPlatform, or as the file system does.
type Layout struct{}

// Resolve is [source.Source]. The model is named by its whole name where the layout has one (as a store's index does),
// else by the base name of DIR and the tag.
func (Layout) Resolve(ctx context.Context, ref string, opts source.Options) (*source.Model, error) {
	at, err := parseLayout(ref)
	if err != nil {
		return nil, err
	}
	m, err := at.resolve(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("oci-layout %s: %w", at.dir, err)
	}
	return m, nil
}

// layout is a reference to something in an OCI layout.
type layout struct {
	dir    string // absolute
	tag    string
	digest digest.Digest
}

// parseLayout finds out which part of a reference is the folder.
func parseLayout(ref string) (layout, error) {
	dir, rest := ref, ""
	for end := len(ref); ; {
		if info, err := os.Stat(ref[:end]); err == nil && info.IsDir() {
			dir, rest = ref[:end], ref[end:]
			break
		}
		if end = strings.LastIndexAny(ref[:end], ":@"); end <= 0 {
			return layout{}, fmt.Errorf("oci-layout %s: no such folder: %w", ref, fs.ErrNotExist)
		}
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return layout{}, err
	}
	at := layout{dir: abs}
	switch {
	case rest == "":
		return at, nil
	case rest[0] == '@':
		k, err := key.Parse(digest.Digest(rest[1:]))
		if err != nil {
			return layout{}, fmt.Errorf("oci-layout %s: %w", ref, err)
		}
		at.digest = k.Digest()
	default:
		if at.tag = rest[1:]; at.tag == "" {
			return layout{}, fmt.Errorf("oci-layout %s: %w: the tag is empty", ref, ErrPath)
		}
	}
	return at, nil
}

func (l layout) resolve(ctx context.Context, opts source.Options) (*source.Model, error) {
	index, err := l.index()
	if err != nil {
		return nil, err
	}
	top, err := l.pick(index, opts)
	if err != nil {
		return nil, err
	}
	m := &source.Model{Digest: top.Digest}
	m.Name, m.Reference = l.names(top)
	if top.Digest == opts.Have {
		m.Unchanged = true
		return m, nil
	}
	if m.Manifest, err = l.follow(ctx, top, opts); err != nil {
		return nil, err
	}
	m.Origins = func(desc ocispec.Descriptor) []transfer.Origin { return []transfer.Origin{&Blob{l.blobPath, desc}} }
	return m, nil
}

// index reads the marker and the index of the layout.
func (l layout) index() (*manifest.Index, error) {
	raw, err := readSmall(filepath.Join(l.dir, ocispec.ImageLayoutFile), maxMarker)
	if err != nil {
		return nil, notLayout(err)
	}
	var marker ocispec.ImageLayout
	if err := json.Unmarshal(raw, &marker); err != nil {
		return nil, fmt.Errorf("%w: its file oci-layout is not readable: %w", ErrPath, err)
	}
	if marker.Version != ocispec.ImageLayoutVersion {
		return nil, fmt.Errorf("%w: it is an OCI layout of version %.20q, not %s", ErrPath, marker.Version, ocispec.ImageLayoutVersion)
	}
	if raw, err = readSmall(filepath.Join(l.dir, ocispec.ImageIndexFile), manifest.MaxSize); err != nil {
		return nil, notLayout(err)
	}
	index, err := manifest.ParseIndex("", raw)
	if err != nil {
		return nil, fmt.Errorf("index.json: %w", err)
	}
	return index, nil
}

func notLayout(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: it is no OCI layout (%w)", ErrPath, err)
	}
	return err
}

// pick is what the reference names in the index: an entry of it, or for a digest whatever the layout has by it.
func (l layout) pick(index *manifest.Index, opts source.Options) (ocispec.Descriptor, error) {
	if l.digest != "" {
		for _, d := range index.Manifests {
			if d.Digest == l.digest {
				return d, nil
			}
		}
		return ocispec.Descriptor{Digest: l.digest, Size: -1}, nil
	}
	tag := l.tag
	if tag == "" {
		if len(index.Manifests) == 1 {
			return index.Manifests[0], nil
		}
		tag = defaultTag
	}
	var found []ocispec.Descriptor
	for _, d := range index.Manifests {
		if d.Annotations[ocispec.AnnotationRefName] == tag {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 0:
		return ocispec.Descriptor{}, fmt.Errorf("tag %q: %w; there are %s", tag, ErrNotFound, listed(index))
	case 1:
		return found[0], nil
	}
	return (&manifest.Index{Manifests: found}).Select(opts.Platform)
}

// listed is the tags of a layout, for an error.
func listed(index *manifest.Index) string {
	var tags []string
	for _, d := range index.Manifests {
		if tag := d.Annotations[ocispec.AnnotationRefName]; tag != "" {
			tags = append(tags, fmt.Sprintf("%q", tag))
		}
	}
	slices.Sort(tags)
	tags = slices.Compact(tags)
	switch n := len(tags); {
	case n == 0:
		return "no tags"
	case n > maxListed:
		return strings.Join(tags[:maxListed], ", ") + fmt.Sprintf(" and %d more", n-maxListed)
	}
	return strings.Join(tags, ", ")
}

// names is the name in the store of what was picked, and the reference that asks for it again.
func (l layout) names(top ocispec.Descriptor) (name, reference string) {
	base, reference := filepath.Base(l.dir), "oci-layout:"+l.dir
	if l.digest != "" {
		return base + "@" + l.digest.String(), reference + "@" + l.digest.String()
	}
	if l.tag != "" {
		reference += ":" + l.tag
	}
	tag := top.Annotations[ocispec.AnnotationRefName]
	switch {
	case strings.ContainsAny(tag, "/:@"):
		return tag, reference
	case tag == "":
		return nameOf(base), reference
	}
	return base + ":" + tag, reference
}

// follow reads the manifest that desc names, through the indexes before it.
func (l layout) follow(ctx context.Context, desc ocispec.Descriptor, opts source.Options) (*manifest.Manifest, error) {
	for depth := 0; ; depth++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		raw, err := l.read(desc)
		if err != nil {
			return nil, err
		}
		if !manifest.IsIndex(desc.MediaType, raw) {
			m, err := manifest.Parse(desc.MediaType, raw)
			return m, naming(desc, err)
		}
		index, err := manifest.ParseIndex(desc.MediaType, raw)
		if err == nil && depth == manifest.MaxDepth {
			err = fmt.Errorf("%w: more than %d indexes lead from one to the next", manifest.ErrMalformed, manifest.MaxDepth)
		}
		if err != nil {
			return nil, naming(desc, err)
		}
		of := desc
		if desc, err = index.Select(opts.Platform); err != nil {
			return nil, naming(of, err)
		}
	}
}

// read reads a manifest or index and checks it against its descriptor, whose size may be unknown (negative).
func (l layout) read(desc ocispec.Descriptor) ([]byte, error) {
	path, err := l.blobPath(desc.Digest)
	if err != nil {
		return nil, err
	}
	raw, err := readSmall(path, manifest.MaxSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", desc.Digest, ErrNotFound)
	case err != nil:
		return nil, err
	case digest.FromBytes(raw) != desc.Digest:
		err = fmt.Errorf("%w: its bytes are not those of its digest", manifest.ErrMalformed)
	case desc.Size >= 0 && desc.Size != int64(len(raw)):
		err = fmt.Errorf("%w: it is listed with %d bytes and has %d", manifest.ErrMalformed, desc.Size, len(raw))
	}
	return raw, naming(desc, err)
}

// naming says of an error which manifest it is about.
func naming(desc ocispec.Descriptor, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("manifest %s: %w", desc.Digest, err)
}
