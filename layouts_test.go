package mstore_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/export"
)

// TestExportNames: what a model is called in each layout, by its name in the store.
func TestExportNames(t *testing.T) {
	s := openStore(t, t.TempDir())
	dir := folder(t, map[string]string{"model.gguf": "GGUF", "config.json": "{}"})
	for _, c := range []struct {
		name, hub, ollama string // the folder or file that says it; empty where there is no such name
	}{
		{"llama:latest", "models--llama/refs/main", "registry.ollama.ai/library/llama/latest"},
		{"me/llama:v1", "models--me--llama/refs/v1", "registry.ollama.ai/me/llama/v1"},
		{"hf.co/Org/Name-1.5:main", "models--Org--Name-1.5/refs/main", "hf.co/Org/Name-1.5/main"},
		{"ollama.com/library/llama3:8b", "", "registry.ollama.ai/library/llama3/8b"},
		{"registry.ollama.ai/me/x:y", "", "registry.ollama.ai/me/x/y"},
		{"localhost:5000/x:v1", "", "localhost:5000/library/x/v1"},
		{"ghcr.io/org/x:v1", "", "ghcr.io/org/x/v1"},
		{"ghcr.io/org/deep/x:v1", "", ""},
		{"größe:v1", "", ""},
	} {
		load(t, s, dir, "here")
		_, err := s.Tag(t.Context(), "here", c.name)
		try(t, err)
		for layout, want := range map[export.Layout]string{export.LayoutHuggingFace: c.hub, export.LayoutOllama: c.ollama} {
			out := filepath.Join(t.TempDir(), "out")
			_, err := s.Export(t.Context(), c.name, out, mstore.ExportOptions{Layout: layout})
			if want == "" {
				if !errors.Is(err, mstore.ErrUsage) || !errors.Is(err, export.ErrLayout) || mstore.Hint(err) == "" {
					t.Errorf("%s as %s: %v, want ErrUsage", c.name, layout, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s as %s: %v", c.name, layout, err)
				continue
			}
			got := digests(t, out)
			if _, ok := got[want]; !ok && layout == export.LayoutHuggingFace {
				t.Errorf("%s as %s: no %s in %v", c.name, layout, want, got)
			}
			if _, ok := got["manifests/"+want]; !ok && layout == export.LayoutOllama {
				t.Errorf("%s as %s: no %s in %v", c.name, layout, want, got)
			}
		}
	}
}

// TestExportOfAPinnedModel: a name that ends in a digest has no tag, and is in an OCI layout by its digest alone.
func TestExportOfAPinnedModel(t *testing.T) {
	ref := repo(t)
	pushed := publish(t, folder(t, map[string]string{"model.gguf": "GGUF"}), ref+":v1")
	s := openStore(t, t.TempDir())
	name := pull(t, s, ref+"@"+pushed.Digest.String(), mstore.PullOptions{}).Name
	for layout, want := range map[export.Layout]error{export.LayoutHuggingFace: mstore.ErrUsage, export.LayoutOllama: mstore.ErrUsage} {
		if _, err := s.Export(t.Context(), name, t.TempDir(), mstore.ExportOptions{Layout: layout}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", layout, err, want)
		}
	}
	out := t.TempDir()
	_, err := s.Export(t.Context(), name, out, mstore.ExportOptions{Layout: export.LayoutOCI})
	try(t, err)
	if got := pull(t, openStore(t, t.TempDir()), "oci-layout:"+out, mstore.PullOptions{As: "back"}); got.Digest != pushed.Digest {
		t.Errorf("back came %s, want %s", got.Digest, pushed.Digest)
	}
}

// TestExportOCIAndBack: what is exported is pulled again by its tag, with the same digest, and a layout takes several.
func TestExportOCIAndBack(t *testing.T) {
	s := openStore(t, t.TempDir())
	out := filepath.Join(t.TempDir(), "layout")
	for _, name := range []string{"one:v1", "two:v2"} {
		load(t, s, small(t, name[0]), name)
		_, err := s.Export(t.Context(), name, out, mstore.ExportOptions{Layout: export.LayoutOCI})
		try(t, err)
	}
	other := openStore(t, t.TempDir())
	for _, name := range []string{"one:v1", "two:v2"} {
		_, tag, _ := strings.Cut(name, ":")
		want, err := s.Show(t.Context(), name)
		try(t, err)
		if got := pull(t, other, "oci-layout:"+out+":"+tag, mstore.PullOptions{As: name}); got.Digest != want.Digest {
			t.Errorf("%s came back as %s, was %s", name, got.Digest, want.Digest)
		}
	}
}

func TestExportOfNoLayout(t *testing.T) {
	s := openStore(t, t.TempDir())
	load(t, s, small(t, 1), "m")
	if _, err := s.Export(t.Context(), "m", t.TempDir(), mstore.ExportOptions{Layout: "zip"}); !errors.Is(err, mstore.ErrUsage) {
		t.Errorf("%v, want ErrUsage", err)
	}
}

// TestExportTellsOfItself: the events of an export in a layout begin with what there is to do, and end with it done.
func TestExportTellsOfItself(t *testing.T) {
	for _, layout := range []export.Layout{"", export.LayoutFiles, export.LayoutOCI, export.LayoutHuggingFace, export.LayoutOllama} {
		log, listen := recording()
		s := openStore(t, t.TempDir(), listen)
		load(t, s, folder(t, map[string]string{"model.gguf": "GGUF", "config.json": "{}"}), "m")
		log.take()
		_, err := s.Export(t.Context(), "m", filepath.Join(t.TempDir(), "out"), mstore.ExportOptions{Layout: layout})
		try(t, err)
		events := log.take()
		last := slices.MaxFunc(events, func(a, b mstore.Event) int { return int(a.Done - b.Done) })
		if len(events) < 2 || events[0].Size == 0 || last.Done != events[0].Size {
			t.Errorf("%s: it began with %d bytes and ended with %d", layout, events[0].Size, last.Done)
		}
	}
}
