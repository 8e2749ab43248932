package tags_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content/oci"

	"github.com/mstore/mstore/manifest/tags"
)

func readIndex(t *testing.T, root string) ocispec.Index {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index ocispec.Index
	if err := json.Unmarshal(raw, &index); err != nil {
		t.Fatal(err)
	}
	return index
}

func TestIndex(t *testing.T) {
	ts, root := open(t)
	if index := readIndex(t, root); index.SchemaVersion != 2 || index.MediaType != ocispec.MediaTypeImageIndex || index.Manifests == nil {
		t.Errorf("the index of an empty store: %+v", index)
	}
	set(t, ts, tag("ghcr.io/Org/x:v1", "1"), tag("b", "2"), tag("a", "1"))
	index := readIndex(t, root)
	want := []struct{ name, what string }{{"a", "1"}, {"b", "2"}, {"ghcr.io/Org/x:v1", "1"}}
	if len(index.Manifests) != len(want) {
		t.Fatalf("%+v", index.Manifests)
	}
	for i, w := range want {
		d := index.Manifests[i]
		if d.Annotations[ocispec.AnnotationRefName] != w.name || d.Digest != digest.FromString(w.what) || d.Size != 1 ||
			d.MediaType != ocispec.MediaTypeImageManifest {
			t.Errorf("entry %d: %+v, want %v", i, d, w)
		}
	}
}

// TestIndexIsReadByOthers: oras-go resolves the names of the index.
func TestIndexIsReadByOthers(t *testing.T) {
	ts, root := open(t)
	raw := []byte(`{"schemaVersion":2}`)
	one := tag("ghcr.io/org/x:v1", string(raw))
	set(t, ts, one)
	write(t, filepath.Join(root, "oci-layout"), `{"imageLayoutVersion":"1.0.0"}`)
	if err := os.MkdirAll(filepath.Join(root, "blobs", "sha256"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "blobs", "sha256", one.Descriptor.Digest.Encoded()), string(raw))
	store, err := oci.NewFromFS(t.Context(), os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	d, err := store.Resolve(t.Context(), one.Name)
	if err != nil || d.Digest != one.Descriptor.Digest {
		t.Errorf("%v, %v", d, err)
	}
}

func TestCheckIndex(t *testing.T) {
	ts, root := open(t)
	set(t, ts, tag("a", "1"))
	path := filepath.Join(root, "index.json")
	right, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	spoil := map[string]func(){
		"missing":   func() { remove(t, path) },
		"empty":     func() { write(t, path, "") },
		"longer":    func() { write(t, path, string(right)+" ") },
		"shorter":   func() { write(t, path, string(right[1:])) },
		"a symlink": func() { remove(t, path); symlink(t, "oci-layout", path) },
		"behind":    func() { remove(t, tagFile(t, root, "a")) },
	}
	for name, spoil := range spoil {
		spoil()
		if err := ts.CheckIndex(); !errors.Is(err, tags.ErrStaleIndex) {
			t.Errorf("%s: CheckIndex = %v", name, err)
		}
		if err := ts.RebuildIndex(t.Context()); err != nil {
			t.Errorf("%s: RebuildIndex = %v", name, err)
		}
		if err := ts.CheckIndex(); err != nil {
			t.Errorf("%s: after RebuildIndex: %v", name, err)
		}
		set(t, ts, tag("a", "1"))
	}
}

func TestOpenMakesAnIndexOfTagsThatAreThere(t *testing.T) {
	ts, root := open(t)
	set(t, ts, tag("a", "1"))
	remove(t, filepath.Join(root, "index.json"))
	if err := reopen(t, root).CheckIndex(); err != nil {
		t.Error(err)
	}
}

// TestRebuildLeavesARightIndexAlone: a pull that finds nothing new costs no write.
func TestRebuildLeavesARightIndexAlone(t *testing.T) {
	ts, root := open(t)
	set(t, ts, tag("a", "1"))
	path := filepath.Join(root, "index.json")
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	set(t, ts, tag("a", "1"))
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("index.json was written again, %v", err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Skip(err)
	}
}
