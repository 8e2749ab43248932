package gc_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/gc"
	"github.com/mstore/mstore/manifest/tags"
)

// world is a real store. Its methods that can fail end the test.
type world struct {
	testing.TB
	store *blobstore.Store
	tags  *tags.Tags
}

func newWorld(tb testing.TB) *world { tb.Helper(); return openWorld(tb, tb.TempDir()) }

func openWorld(tb testing.TB, root string) *world {
	tb.Helper()
	w := &world{TB: tb}
	var err error
	if w.store, err = blobstore.Open(root, blobstore.Options{}); err != nil {
		tb.Fatal(err)
	}
	if w.tags, err = tags.Open(root, tags.Options{}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { w.must(w.store.Close()) })
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) collector() *gc.Collector { return &gc.Collector{Store: w.store, Tags: w.tags} }

// lease holds digests until the test ends, or earlier.
func (w *world) lease(held ...digest.Digest) *blobstore.Lease {
	w.Helper()
	l, err := w.store.Lease()
	w.must(err)
	w.Cleanup(func() { w.must(l.Release()) })
	w.must(l.Hold(held...))
	return l
}

// blob brings a blob into the store that nothing keeps.
func (w *world) blob(content string) ocispec.Descriptor {
	w.Helper()
	l, err := w.store.Lease()
	w.must(err)
	d, err := bring(context.Background(), l, []byte(content))
	w.must(err)
	w.must(l.Release())
	return d
}

// bring is how a puller gets a blob.
func bring(ctx context.Context, l *blobstore.Lease, content []byte) (ocispec.Descriptor, error) {
	d := ocispec.Descriptor{
		MediaType: "application/octet-stream", Digest: digest.FromBytes(content), Size: int64(len(content)),
	}
	in, err := l.Ingest(ctx, blobstore.Want{Digest: d.Digest, Size: d.Size})
	if errors.Is(err, blobstore.ErrExists) {
		return d, nil
	}
	if err != nil {
		return d, err
	}
	if _, err = in.WriteAt(content, 0); err == nil {
		_, err = in.Commit(ctx)
	}
	return d, errors.Join(err, in.Close())
}

// manifestOf is the manifest of a model: its config, and files.
func manifestOf(config ocispec.Descriptor, files ...ocispec.Descriptor) []byte {
	config.MediaType = "application/vnd.oci.empty.v1+json"
	return encode(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: "application/x.test", Config: config, Layers: files,
	})
}

func encode(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

// manifest brings the manifest of files, and its config.
func (w *world) manifest(files ...ocispec.Descriptor) ocispec.Descriptor {
	w.Helper()
	d := w.blob(string(manifestOf(w.blob("{}"), files...)))
	d.MediaType = ocispec.MediaTypeImageManifest
	return d
}

func (w *world) index(manifests ...ocispec.Descriptor) ocispec.Descriptor {
	w.Helper()
	d := w.blob(string(encode(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: manifests,
	})))
	d.MediaType = ocispec.MediaTypeImageIndex
	return d
}

func (w *world) tag(name string, d ocispec.Descriptor) tags.Tag {
	w.Helper()
	w.must(w.tags.Set(context.Background(), tags.Tag{Name: name, Descriptor: d}))
	tag, err := w.tags.Get(name)
	w.must(err)
	return tag
}

// gc plans and runs, with the tags of these names to be dropped.
func (w *world) gc(c *gc.Collector, drop ...tags.Tag) (*gc.Plan, *gc.Result) {
	w.Helper()
	p, err := c.Plan(context.Background(), drop)
	w.must(err)
	r, err := c.Run(context.Background(), p)
	w.must(err)
	return p, r
}

// here is the blobs of the store, sorted.
func (w *world) here() []digest.Digest {
	w.Helper()
	all := []digest.Digest{}
	for d, err := range w.store.All() {
		w.must(err)
		all = append(all, d)
	}
	slices.Sort(all)
	return all
}

// wantHere compares the blobs of the store, and that nothing is left in trash.
func (w *world) wantHere(want ...ocispec.Descriptor) {
	w.Helper()
	ds := []digest.Digest{}
	for _, d := range want {
		ds = append(ds, d.Digest)
	}
	slices.Sort(ds)
	if got := w.here(); !slices.Equal(got, slices.Compact(ds)) {
		w.Errorf("in the store: %v\nwant: %v", got, ds)
	}
	if left, err := w.store.Trashed(); err != nil || len(left) > 0 {
		w.Errorf("left in trash: %v, %v", left, err)
	}
}

// path is where a blob lies.
func (w *world) path(d ocispec.Descriptor) string {
	return filepath.Join(w.store.Dir("blobs"), "sha256", d.Digest.Encoded())
}

// tree is every file below the store with its mode, times and content.
func (w *world) tree() map[string]string {
	w.Helper()
	all := make(map[string]string)
	w.must(filepath.WalkDir(w.store.Root(), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		all[path] = info.Mode().String() + info.ModTime().String()
		if e.Type().IsRegular() {
			raw, err := os.ReadFile(path)
			all[path] += string(raw)
			return err
		}
		return nil
	}))
	return all
}
