package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/manifest"
)

// layout is a model in an OCI layout of its own, from which every server and every push is fed. Its tag is v1.
type layout struct {
	dir      string
	manifest digest.Digest
	files    []ocispec.Descriptor
}

// layout makes a model of n files that have size bytes together, once for all contests. The files of a sparse one are
// holes.
func (b *bench) layout(ctx context.Context, n int, size int64, sparse bool) (layout, error) {
	name := fmt.Sprintf("layout-%d-%d-%t", n, size>>20, sparse)
	dir := filepath.Join(b.dir, name)
	if _, err := os.Stat(dir); err != nil {
		if dir, err = b.fresh(name); err != nil {
			return layout{}, err
		}
		make := chore("layout", dir, strconv.Itoa(n), strconv.FormatInt(size/int64(n), 10), strconv.FormatBool(sparse))
		if _, err := (contender{args: make}).run(ctx); err != nil {
			return layout{}, err
		}
	}
	return openLayout(dir)
}

func openLayout(dir string) (layout, error) {
	raw, err := os.ReadFile(filepath.Join(dir, ocispec.ImageIndexFile))
	if err != nil {
		return layout{}, err
	}
	var index ocispec.Index
	if err := json.Unmarshal(raw, &index); err != nil {
		return layout{}, err
	}
	l := layout{dir: dir, manifest: index.Manifests[0].Digest}
	if raw, err = os.ReadFile(l.blob(l.manifest)); err != nil {
		return layout{}, err
	}
	var m ocispec.Manifest
	err = json.Unmarshal(raw, &m)
	l.files = m.Layers
	return l, err
}

func (l layout) blob(d digest.Digest) string {
	return filepath.Join(l.dir, ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

func (l layout) bytes() (sum int64) {
	for _, f := range l.files {
		sum += f.Size
	}
	return sum
}

// makeLayout is the chore of layout: DIR N SIZE SPARSE, where SIZE is that of one file. The bytes are random, and the
// same on every run.
func makeLayout(_ context.Context, args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	size, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return err
	}
	l := layout{dir: args[0]}
	if err := os.MkdirAll(filepath.Dir(l.blob(digest.FromBytes(nil))), 0o755); err != nil {
		return err
	}
	var draft manifest.Draft
	for i := range n {
		desc, err := l.addFile(i, size, args[3] == "true")
		if err != nil {
			return err
		}
		path := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, n)
		draft.Files = append(draft.Files, manifest.File{Path: path, Descriptor: desc})
	}
	m, config, err := manifest.Build(draft)
	if err != nil {
		return err
	}
	desc := m.Descriptor
	desc.Annotations = map[string]string{ocispec.AnnotationRefName: "v1"}
	index, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{desc},
	})
	if err != nil {
		return err
	}
	for path, raw := range map[string][]byte{
		l.blob(digest.FromBytes(config)):              config,
		l.blob(m.Descriptor.Digest):                   m.Raw,
		filepath.Join(l.dir, ocispec.ImageLayoutFile): []byte(`{"imageLayoutVersion":"1.0.0"}`),
		filepath.Join(l.dir, ocispec.ImageIndexFile):  index,
	} {
		if err := os.WriteFile(path, raw, 0o644); err != nil { //nolint:forbidigo // nobody reads it meanwhile
			return err
		}
	}
	return nil
}

// addFile makes file i and puts it to the blobs.
func (l layout) addFile(i int, size int64, sparse bool) (desc ocispec.Descriptor, err error) {
	path := filepath.Join(l.dir, fmt.Sprintf("file-%d", i))
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return desc, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	hash := sha256.New()
	if sparse {
		if err := file.Truncate(size); err != nil {
			return desc, err
		}
		if _, err := io.CopyBuffer(hash, io.LimitReader(holes{}, size), make([]byte, piece)); err != nil {
			return desc, err
		}
	} else {
		random := rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "layout %d", i)))
		both := struct{ io.Writer }{io.MultiWriter(file, hash)}
		if _, err := io.CopyBuffer(both, io.LimitReader(random, size), make([]byte, piece)); err != nil {
			return desc, err
		}
	}
	desc = ocispec.Descriptor{Digest: digest.NewDigestFromEncoded(digest.SHA256, hex.EncodeToString(hash.Sum(nil))), Size: size}
	return desc, os.Rename(path, l.blob(desc.Digest)) //nolint:forbidigo // nobody reads it meanwhile
}

// holes reads as what a sparse file has in it.
type holes struct{}

func (holes) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// check is a chore, DIR DIGEST..., that fails unless for each digest there is a file with these bytes somewhere below
// the folder. No contender wins by doing nothing.
func check(_ context.Context, args []string) error {
	want := make(map[string]bool)
	for _, d := range args[1:] {
		want[d] = true
	}
	err := filepath.WalkDir(args[0], func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		file, err := os.Open(path) //nolint:gosec // nobody else writes there
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		found, err := digest.FromReader(file)
		delete(want, found.String())
		return err
	})
	if err == nil && len(want) > 0 {
		err = fmt.Errorf("%d files are missing or have other bytes", len(want))
	}
	return err
}
