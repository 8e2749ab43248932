// Package spec_test holds the code to the vectors in this folder.
package spec_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/internal/key"
	"github.com/mstore/mstore/manifest"
	"github.com/mstore/mstore/manifest/tags"
)

// vectors is a file of cases.
type vectors struct {
	About    string  `json:"about"`
	Accepted []given `json:"accepted"`
	Refused  []given `json:"refused"`
}

// given is one case.
type given struct {
	In  string `json:"in"`
	Hex string `json:"hex"` // In, when JSON cannot hold it
	Out string `json:"out"`
	Why string `json:"why"`
}

func (g given) input(t *testing.T) string {
	t.Helper()
	if g.Hex == "" {
		return g.In
	}
	raw, err := hex.DecodeString(g.Hex)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// load reads vectors/name. A file without cases proves nothing, and fails.
func load(t *testing.T, name string) vectors {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	if v.About == "" || len(v.Accepted) == 0 || len(v.Refused) == 0 {
		t.Fatalf("%s has %d accepted and %d refused cases, and says %q", name, len(v.Accepted), len(v.Refused), v.About)
	}
	return v
}

// check runs parse on every case of a file. refusal is the error that refused cases have.
func check(t *testing.T, name string, refusal error, parse func(string) (string, error)) {
	t.Helper()
	v := load(t, name)
	for _, g := range v.Accepted {
		if got, err := parse(g.input(t)); err != nil || got != g.Out {
			t.Errorf("%q gives %q, %v; want %q", g.input(t), got, err, g.Out)
		}
	}
	for _, g := range v.Refused {
		if got, err := parse(g.input(t)); !errors.Is(err, refusal) {
			t.Errorf("%q (%s) gives %q, %v; want %v", g.input(t), g.Why, got, err, refusal)
		}
	}
}

func TestKeys(t *testing.T) {
	check(t, "keys.json", key.ErrInvalid, func(s string) (string, error) {
		k, err := key.Parse(digest.Digest(s))
		return k.Hex(), err
	})
}

func TestPaths(t *testing.T) {
	check(t, "paths.json", manifest.ErrUnsafePath, manifest.SafePath)
}

// TestNames sets each name in a store of its own and looks which file that makes.
func TestNames(t *testing.T) {
	check(t, "names.json", tags.ErrName, func(name string) (string, error) {
		root := t.TempDir()
		all, err := tags.Open(root, tags.Options{})
		if err != nil {
			t.Fatal(err)
		}
		want := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("x"), Size: 1}
		if err := all.Set(t.Context(), tags.Tag{Name: name, Descriptor: want}); err != nil {
			return "", err
		}
		got, err := all.Get(name)
		if diff := cmp.Diff(want, got.Descriptor); err != nil || diff != "" || got.Name != name {
			t.Errorf("the tag %q comes back as %q, %v:\n%s", name, got.Name, err, diff)
		}
		files, err := os.ReadDir(filepath.Join(root, "tags"))
		if err != nil || len(files) != 1 {
			t.Fatalf("tags/ has %v, %v", files, err)
		}
		return files[0].Name(), nil
	})
}

// TestStoreLayoutExamples holds the JSON in store-layout.md to the code: each is, but for line breaks and shortened
// digests, what is written.
func TestStoreLayoutExamples(t *testing.T) {
	raw, err := os.ReadFile("store-layout.md")
	if err != nil {
		t.Fatal(err)
	}
	var examples []string
	for i, part := range strings.Split(string(raw), "```") {
		if text, ok := strings.CutPrefix(part, "json\n"); ok && i%2 == 1 {
			examples = append(examples, strings.ReplaceAll(text, "\n ", ""))
		}
	}
	root := filepath.Join(t.TempDir(), "store")
	store, err := blobstore.Open(root, blobstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	all, err := tags.Open(root, tags.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := digest.FromString("x")
	const name = "host.example/org/model:v1"
	err = all.Set(t.Context(), tags.Tag{
		Name: name, Bytes: 271828182, Files: 11, Kind: string(manifest.KindModelPack),
		Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d, Size: 2345},
		Source:     tags.Source{Reference: "oci://" + name, Digest: d, Platform: "linux/arm64", PlainHTTP: true},
		Created:    time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	})
	if err != nil {
		t.Fatal(err)
	}
	var written []string
	for _, file := range []string{"store.json", "tags/host.example%2forg%2fmodel%3av1"} {
		raw, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		written = append(written, string(raw))
	}
	request, err := json.Marshal(struct {
		mstore.Request
		Started time.Time `json:"started"`
	}{
		mstore.Request{Reference: "https://host.example/model.gguf", PullOptions: mstore.PullOptions{
			As: "m", Digest: d, Platform: "linux/arm64", Include: []string{"*.gguf"}, Exclude: []string{"*Q2*"},
			To: "/home/me/out", Priority: mstore.High, Jobs: 2, Retries: -1, Timeout: time.Minute, PlainHTTP: true,
		}},
		time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	})
	if err != nil {
		t.Fatal(err)
	}
	written = append(written, string(request)+"\n")
	for i, text := range written {
		written[i] = strings.ReplaceAll(text, d.String(), "sha256:...")
	}
	if diff := cmp.Diff(written, examples); diff != "" {
		t.Errorf("store-layout.md (-written +shown):\n%s", diff)
	}
}
