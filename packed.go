package mstore

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/manifest"
	"github.com/mstore/mstore/manifest/tags"
)

// unpack makes the files of a model in use raw again: who maps, links or clones them needs files.
func (s *Store) unpack(ctx context.Context, use *Use) error {
	unpacked := false
	for _, blob := range use.manifest.Blobs() {
		info, err := use.lease.Stat(blob.Digest)
		if err != nil || !info.Packed() { // who reads it says what is wrong
			continue
		}
		if err := use.lease.Unpack(ctx, blob.Digest); err != nil {
			return err
		}
		unpacked = true
	}
	if !unpacked {
		return nil
	}
	return s.tags.RebuildIndex(ctx)
}

// unlisted tells which models other tools cannot read in the store as it is: those with a packed file.
func (s *Store) unlisted() (func(tags.Tag) bool, error) {
	packed := make(map[digest.Digest]bool)
	for d, err := range s.blobs.Packed() {
		if err != nil {
			return nil, err
		}
		packed[d] = true
	}
	return func(tag tags.Tag) bool {
		if len(packed) == 0 {
			return false
		}
		raw, err := s.blobs.ReadAll(tag.Descriptor.Digest, manifest.MaxSize)
		if err != nil {
			return false
		}
		m, err := manifest.Parse(tag.Descriptor.MediaType, raw)
		if err != nil {
			return false
		}
		for _, blob := range m.Blobs() {
			if packed[blob.Digest] {
				return true
			}
		}
		return false
	}, nil
}
