// Package spec_test holds the code to the vectors in this folder.
package spec_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

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
