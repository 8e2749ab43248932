package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/manifest"
	"github.com/mstore/mstore/manifest/tags"
)

func list(ctx context.Context, b *bench) ([]contender, error) {
	if err := b.largeStore(ctx); err != nil {
		return nil, err
	}
	return []contender{
		{name: "mstore", args: b.store("large", "list")},
		{name: "oras repo tags, of the same folder", args: []string{
			"oras", "repo", "tags", "--oci-layout", filepath.Join(b.dir, "large"),
		}},
		{name: "regctl tag ls, of the same folder", args: []string{"regctl", "tag", "ls", "ocidir://" + filepath.Join(b.dir, "large")}},
	}, nil
}

func collect(ctx context.Context, b *bench) ([]contender, error) {
	if err := b.largeStore(ctx); err != nil {
		return nil, err
	}
	return []contender{
		{name: "mstore", args: b.store("large", "gc")},
		{name: "mstore, dry run", args: b.store("large", "gc", "--dry-run")},
	}, nil
}

// largeStore makes a store of many tags and tiny blobs, once.
func (b *bench) largeStore(ctx context.Context) error {
	root := filepath.Join(b.dir, "large")
	if _, err := os.Stat(root); err == nil {
		return nil
	}
	if _, err := (contender{args: b.store("large", "list")}).run(ctx); err != nil { // makes the store
		return err
	}
	_, err := contender{args: chore("large-store", root, strconv.Itoa(b.tags), strconv.Itoa(b.blobs))}.run(ctx)
	return err
}

// makeLargeStore is the chore of largeStore: ROOT TAGS BLOBS. The blobs are true, and written past the store's door,
// which would sync each of them.
func makeLargeStore(ctx context.Context, args []string) error {
	models, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	blobs, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	files := max(1, blobs/models-2) // beside a manifest and a config
	all := make([]tags.Tag, 0, models)
	for i := range models {
		m, err := smallModel(args[0], i, files)
		if err != nil {
			return err
		}
		all = append(all, tags.Tag{
			Name: fmt.Sprintf("registry.example/bench/model-%05d:v1", i), Descriptor: m.Descriptor,
			Bytes: m.Size(), Files: files, Kind: string(m.Kind),
		})
	}
	t, err := tags.Open(args[0], tags.Options{})
	if err != nil {
		return err
	}
	return t.Set(ctx, all...)
}

func smallModel(root string, i, files int) (*manifest.Manifest, error) {
	var draft manifest.Draft
	for f := range files {
		desc, err := plant(root, binary.BigEndian.AppendUint64(nil, uint64(i*files+f)))
		if err != nil {
			return nil, err
		}
		draft.Files = append(draft.Files, manifest.File{Path: fmt.Sprintf("file-%d.bin", f), Descriptor: desc})
	}
	m, config, err := manifest.Build(draft)
	if err != nil {
		return nil, err
	}
	if _, err := plant(root, config); err != nil {
		return nil, err
	}
	_, err = plant(root, m.Raw)
	return m, err
}

func plant(root string, raw []byte) (ocispec.Descriptor, error) {
	d := digest.FromBytes(raw)
	path := filepath.Join(root, "blobs", "sha256", d.Encoded())
	if err := os.WriteFile(path, raw, 0o444); err != nil && !os.IsExist(err) { //nolint:forbidigo // see largeStore
		return ocispec.Descriptor{}, err
	}
	return ocispec.Descriptor{Digest: d, Size: int64(len(raw))}, nil
}
