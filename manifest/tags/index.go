package tags

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/internal/flock"
)

// RebuildIndex makes index.json what the tags say at a moment after the call: one entry a tag, in the order of the
// names, each with the whole name as org.opencontainers.image.ref.name. Tags that cannot be read are left out, and
// logged; so are, without a word, those that are Unlisted. A file that says that already is not written again.
func (t *Tags) RebuildIndex(ctx context.Context) (err error) {
	unlock, err := flock.Lock(ctx, filepath.Join(t.lockDir(), "index"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	want, err := t.index()
	if err != nil {
		return err
	}
	if have, _, err := readFile(t.indexPath(), len(want), nil); err == nil && bytes.Equal(have, want) {
		return nil
	}
	return durable.WriteFile(t.indexPath(), want, t.perm())
}

// CheckIndex tells whether index.json is what the tags say. The error is ErrStaleIndex when it is not, which is no
// fault while another process is between setting a tag and rebuilding the index.
func (t *Tags) CheckIndex() error {
	want, err := t.index()
	if err != nil {
		return err
	}
	have, _, err := readFile(t.indexPath(), len(want), nil)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: it is not there", ErrStaleIndex)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrStaleIndex, err)
	case !bytes.Equal(have, want):
		return ErrStaleIndex
	}
	return nil
}

// index is what index.json should hold.
func (t *Tags) index() ([]byte, error) {
	tags, err := t.List()
	if err != nil {
		if !errors.Is(err, ErrUnreadable) {
			return nil, err
		}
		t.opts.Log.Warn("tags left out of index.json", "error", err)
	}
	index := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: make([]ocispec.Descriptor, 0, len(tags)),
	}
	if t.opts.Unlisted != nil {
		unlisted, err := t.opts.Unlisted()
		if err != nil {
			return nil, err
		}
		tags = slices.DeleteFunc(tags, unlisted)
	}
	for _, tag := range tags {
		index.Manifests = append(index.Manifests, ocispec.Descriptor{
			MediaType: tag.Descriptor.MediaType, Digest: tag.Descriptor.Digest, Size: tag.Descriptor.Size,
			Annotations: map[string]string{ocispec.AnnotationRefName: tag.Name},
		})
	}
	data, err := json.Marshal(index)
	return append(data, '\n'), err
}
