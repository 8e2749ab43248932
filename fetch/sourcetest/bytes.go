package sourcetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/manifest"
)

// blob is a file of a model, as a pull sees it.
type blob struct {
	path    string
	desc    ocispec.Descriptor
	local   string
	origins []transfer.Origin
	name    string
	verify  func(size int64, content io.Reader) error
}

// blobsOf is the files of a model, and how each is had.
func blobsOf(m *source.Model) []blob {
	var all []blob
	if m.Manifest != nil {
		for _, f := range m.Manifest.Files {
			all = append(all, blob{path: f.Path, desc: f.Descriptor, origins: m.Origins(f.Descriptor)})
		}
		return all
	}
	for _, f := range m.Files {
		all = append(all, blob{f.Path, f.Descriptor, f.Local, f.Origins, f.Name, f.Verify})
	}
	return all
}

func pathsOf(m *source.Model) []string {
	var paths []string
	for _, b := range blobsOf(m) {
		paths = append(paths, b.path)
	}
	slices.Sort(paths)
	return paths
}

// all is the whole of a blob, from the first place that has it.
func (b blob) all(ctx context.Context) ([]byte, error) {
	if b.local != "" {
		return os.ReadFile(b.local)
	}
	if len(b.origins) == 0 {
		return nil, errors.New("there is no place to have it from")
	}
	return read(ctx, b.origins[0], 0, -1)
}

// read asks an origin once and holds the answer against what [transfer.Origin] promises.
func read(ctx context.Context, o transfer.Origin, off, n int64) ([]byte, error) {
	answer, err := o.Fetch(ctx, off, n)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.At < 0 || answer.At > off || answer.Whole && answer.At != 0 {
		return nil, fmt.Errorf("asked for %s, the body begins at %d, whole: %v", transfer.Range(off, n), answer.At, answer.Whole)
	}
	got, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	got = got[min(off-answer.At, int64(len(got))):]
	if n >= 0 {
		got = got[:min(n, int64(len(got)))]
	}
	return got, nil
}

// wantFiles reads every file of a model whole and holds it against what is right.
func wantFiles(t *testing.T, m *source.Model, want map[string][]byte) {
	t.Helper()
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), pathsOf(m)); diff != "" {
		t.Fatalf("files (-want +got):\n%s", diff)
	}
	for _, b := range blobsOf(m) {
		got, err := b.all(t.Context())
		if err != nil || !bytes.Equal(got, want[b.path]) {
			t.Errorf("%s: %d bytes, %v; want %d", b.path, len(got), err, len(want[b.path]))
		}
	}
}

func testBytes(t *testing.T, w World) {
	t.Helper()
	m := w.resolve(t, w.Ref)
	wantFiles(t, m, w.Files)
	for _, b := range blobsOf(m) {
		content := w.Files[b.path]
		if b.desc.Digest != "" && b.desc.Digest != digest.FromBytes(content) {
			t.Errorf("%s: digest %s of other bytes", b.path, b.desc.Digest)
		}
		if known := b.desc.Size >= 0; known && b.desc.Size != int64(len(content)) || !known && b.desc.Size != -1 {
			t.Errorf("%s: size %d, want %d, or -1 for what is not known", b.path, b.desc.Size, len(content))
		}
		if (b.local == "") == (len(b.origins) == 0) {
			t.Errorf("%s: there is a local file or there are origins: %q, %d", b.path, b.local, len(b.origins))
		}
		for i, o := range b.origins {
			testRanges(t, fmt.Sprintf("%s, origin %d", b.path, i), o, content)
		}
		if b.verify != nil {
			testVerify(t, b, content)
		}
	}
	if m.Manifest != nil {
		testConfig(t, m)
	}
}

// testRanges asks for the whole, in two ways, and for parts of it.
func testRanges(t *testing.T, what string, o transfer.Origin, content []byte) {
	t.Helper()
	size := int64(len(content))
	ranges := [][2]int64{{0, -1}}
	if size > 0 {
		ranges = append(ranges, [2]int64{0, size}, [2]int64{0, 1}, [2]int64{size - 1, 1}, [2]int64{size / 2, -1})
	}
	if size > 2 {
		ranges = append(ranges, [2]int64{size / 3, size / 3})
	}
	for _, r := range ranges {
		off, n := r[0], r[1]
		want := content[off:]
		if n >= 0 {
			want = want[:n]
		}
		if got, err := read(t.Context(), o, off, n); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %s = %d bytes, %v; want %d", what, transfer.Range(off, n), len(got), err, len(want))
		}
	}
}

// testVerify: a file's other word on its bytes takes them, and no others.
func testVerify(t *testing.T, b blob, content []byte) {
	t.Helper()
	if err := b.verify(int64(len(content)), bytes.NewReader(content)); err != nil {
		t.Errorf("%s: Verify refuses the right bytes: %v", b.path, err)
	}
	longer := append(slices.Clone(content), 0)
	for name, wrong := range map[string][]byte{"one byte more": longer, "a flipped bit": flipped(content)} {
		if len(wrong) == 0 {
			continue
		}
		if err := b.verify(int64(len(wrong)), bytes.NewReader(wrong)); !errors.Is(err, source.ErrDigest) {
			t.Errorf("%s: Verify of %s = %v, want source.ErrDigest", b.path, name, err)
		}
	}
}

func flipped(content []byte) []byte {
	b := slices.Clone(content)
	if len(b) > 0 {
		b[len(b)/2] ^= 1
	}
	return b
}

// testConfig: what is no file of a manifest can be had too.
func testConfig(t *testing.T, m *source.Model) {
	t.Helper()
	for _, desc := range append([]ocispec.Descriptor{m.Manifest.Config}, m.Manifest.Layers...) {
		got, err := blob{origins: m.Origins(desc)}.all(t.Context())
		if err != nil || digest.FromBytes(got) != desc.Digest || int64(len(got)) != desc.Size {
			t.Errorf("blob %s: %d bytes, %v", desc.Digest, len(got), err)
		}
	}
	if _, err := manifest.Parse(m.Manifest.Descriptor.MediaType, m.Manifest.Raw); err != nil {
		t.Errorf("the raw manifest: %v", err)
	}
	if m.Digest == "" {
		t.Error("a model with a manifest has no digest")
	}
}
