package mstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/export"
	"github.com/mstore/mstore/fetch"
)

// abroad is a Hugging Face cache and a folder of Ollama that have the same model, below a folder of an awkward name.
func abroad(t *testing.T) (hub, ollama string, want *mstore.Pulled) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a#b")
	hub, ollama = filepath.Join(dir, "hub"), filepath.Join(dir, "models")
	s := openStore(t, t.TempDir())
	want = load(t, s, folder(t, map[string]string{"model.gguf": "GGUF", "config.json": "{}"}), "org/name:v1")
	for to, layout := range map[string]export.Layout{hub: export.LayoutHuggingFace, ollama: export.LayoutOllama} {
		_, err := s.Export(t.Context(), "org/name:v1", to, mstore.ExportOptions{Layout: layout, Mode: export.Copy})
		try(t, err)
	}
	return hub, ollama, want
}

// TestAdopt: in every mode a model has the digest that it has elsewhere, and the name and source of a pull. Only a hard
// link is the other tool's very file.
func TestAdopt(t *testing.T) {
	for _, mode := range []fetch.LocalMode{"", fetch.Auto, fetch.Copy, fetch.Hardlink} {
		hub, ollama, want := abroad(t)
		s := openStore(t, t.TempDir())
		got, err := s.Adoptable(t.Context(), mstore.HuggingFaceCache+hub)
		try(t, err)
		if all := []string{"hf-cache:" + hub + "#org/name", "hf-cache:" + hub + "#org/name@v1"}; !slices.Equal(got, all) {
			t.Fatalf("Adoptable = %q, want %q", got, all)
		}
		m, err := s.Adopt(t.Context(), got[0], mstore.AdoptOptions{Mode: mode})
		try(t, err)
		if m.Digest != want.Digest || m.Name != "hf.co/org/name:main" || m.Reference != "hf://org/name" {
			t.Errorf("%s: adopted %s from %s as %s, want %s", mode, m.Name, m.Reference, m.Digest, want.Digest)
		}
		m, err = s.Adopt(t.Context(), mstore.OllamaStore+ollama+"#org/name:v1", mstore.AdoptOptions{Mode: mode, As: "mine"})
		try(t, err)
		if m.Name != "mine:latest" || m.Reference != "ollama://org/name:v1" || m.Kind != "ollama" {
			t.Errorf("%s: adopted %+v", mode, m.Model)
		}
		weights := fileOf(t, m.Model, "model.gguf").Digest
		blob, err := os.Stat(blobPath(s, weights))
		try(t, err)
		shared := 0
		for _, theirs := range []string{
			filepath.Join(hub, "models--org--name", "blobs", weights.Encoded()), filepath.Join(ollama, "blobs", "sha256-"+weights.Encoded()),
		} {
			info, err := os.Stat(theirs)
			try(t, err)
			if os.SameFile(blob, info) {
				shared++
			} else if info.Mode() != 0o644 {
				t.Errorf("%s: their file became %v", mode, info.Mode())
			}
		}
		if want := map[fetch.LocalMode]int{fetch.Hardlink: 1}[mode]; shared != want { // the second was there already
			t.Errorf("%s: %d files are shared, want %d", mode, shared, want)
		}
	}
}

func TestAdoptRefuses(t *testing.T) {
	hub, ollama, _ := abroad(t)
	s := openStore(t, t.TempDir())
	for typed, class := range map[string]mstore.Class{
		"file:" + hub:                               mstore.ErrUsage,
		"hf-cache:":                                 mstore.ErrUsage,
		"hf-cache:#org/name":                        mstore.ErrUsage,
		"hf-cache:" + hub:                           mstore.ErrUsage,
		"hf-cache:" + s.Dir() + "#org/name":         mstore.ErrUsage,
		"hf-cache:" + hub + "#../x":                 mstore.ErrUsage,
		"hf-cache:" + hub + "/none#org/name":        mstore.ErrNotFound,
		"hf-cache:" + hub + "#org/none":             mstore.ErrNotFound,
		"hf-cache:" + ollama + "#org/name":          mstore.ErrNotFound,
		"ollama-store:" + ollama + "#org/name:none": mstore.ErrNotFound,
		"ollama-store:" + ollama + "#a/../b":        mstore.ErrUsage,
	} {
		if _, err := s.Adopt(t.Context(), typed, mstore.AdoptOptions{}); !errors.Is(err, class) {
			t.Errorf("%s: %v, want %v", typed, err, class)
		}
	}
	for _, o := range []mstore.AdoptOptions{{Mode: "magic"}, {As: "-x"}} {
		if _, err := s.Adopt(t.Context(), "hf-cache:"+hub+"#org/name", o); !errors.Is(err, mstore.ErrUsage) {
			t.Errorf("%+v: %v, want ErrUsage", o, err)
		}
	}
	for typed, class := range map[string]mstore.Class{
		"ollama-store:" + hub: mstore.ErrUsage, "hf-cache:" + t.TempDir(): mstore.ErrNotFound, "hf-cache:" + hub + "/none": mstore.ErrNotFound,
	} {
		if got, err := s.Adoptable(t.Context(), typed); !errors.Is(err, class) {
			t.Errorf("%s has %q, %v; want %v", typed, got, err, class)
		}
	}
	if models, err := s.List(t.Context()); err != nil || len(models) > 0 {
		t.Errorf("the store has %v, %v", models, err)
	}
}
