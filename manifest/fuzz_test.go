package manifest_test

import (
	"encoding/json"
	"errors"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/manifest"
)

// seed adds the vectors, of which there are many, as seeds.
func seed(f *testing.F) {
	f.Helper()
	for _, v := range vectors(f) {
		f.Add(v.raw(f))
	}
}

// FuzzParse: what is let through is what encoding/json sees too, and its files are safe.
func FuzzParse(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := manifest.Parse("", raw)
		if err != nil {
			if !errors.Is(err, manifest.ErrMalformed) || m != nil {
				t.Fatalf("%v, %v", m, err)
			}
			return
		}
		var std ocispec.Manifest
		if err := json.Unmarshal(raw, &std); err != nil && !strings.Contains(err.Error(), "base64") && !strings.Contains(err.Error(), "cannot unmarshal") {
			t.Fatalf("encoding/json: %v", err)
		}
		if std.Config.Digest != m.Config.Digest || len(std.Layers) != len(m.Layers) || std.ArtifactType != m.ArtifactType {
			t.Fatalf("encoding/json reads it otherwise: %+v", std)
		}
		for i, l := range m.Layers {
			if l.Digest != std.Layers[i].Digest || l.Size != std.Layers[i].Size || l.MediaType != std.Layers[i].MediaType {
				t.Fatalf("layer %d: %+v, and encoding/json %+v", i, l, std.Layers[i])
			}
		}
		checkParsed(t, m, raw)
	})
}

func checkParsed(t *testing.T, m *manifest.Manifest, raw []byte) {
	t.Helper()
	if m.Descriptor.Digest != digest.FromBytes(raw) || m.Size() < int64(len(raw)) || len(m.Files) > len(m.Layers) {
		t.Fatalf("%+v", m)
	}
	seen := make(map[string]bool)
	for _, file := range m.Files {
		if file.Archive != manifest.NotArchive {
			continue
		}
		if clean, err := manifest.SafePath(file.Path); err != nil || clean != file.Path || seen[strings.ToLower(file.Path)] {
			t.Fatalf("file %q: %v", file.Path, err)
		}
		seen[strings.ToLower(file.Path)] = true
	}
	for name := range seen {
		if dir := path.Dir(name); seen[dir] {
			t.Fatalf("%q is in the file %q", name, dir)
		}
	}
	for _, b := range m.Blobs() {
		if b.Digest.Validate() != nil || b.Digest.Algorithm() != digest.SHA256 || b.Size < 0 {
			t.Fatalf("blob %+v", b)
		}
	}
}

func FuzzParseIndex(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		x, err := manifest.ParseIndex("", raw)
		if err != nil {
			if !errors.Is(err, manifest.ErrMalformed) || x != nil {
				t.Fatalf("%v, %v", x, err)
			}
			return
		}
		if !manifest.IsIndex("", raw) {
			t.Fatal("IsIndex does not take it for an index")
		}
		if _, err := manifest.Parse("", raw); err == nil {
			t.Fatal("it is a manifest too")
		}
		d, err := x.Select(&ocispec.Platform{OS: "linux", Architecture: "amd64"})
		if (err == nil) != (d.Digest != "") || err != nil && !errors.Is(err, manifest.ErrNoPlatform) {
			t.Fatalf("%v, %v", d, err)
		}
	})
}

func FuzzReadConfig(f *testing.F) {
	kinds := []manifest.Kind{manifest.KindModelPack, manifest.KindDocker, manifest.KindOllama, manifest.KindModelKit}
	for i := range kinds {
		f.Add(i, []byte(`{"model":{"path":"a/b"},"config":{"gguf":{}},"descriptor":{"licenses":["x"]}}`))
	}
	f.Fuzz(func(t *testing.T, i int, config []byte) {
		m := &manifest.Manifest{Kind: kinds[uint(i)%uint(len(kinds))], Files: []manifest.File{{
			Archive: manifest.Tar, Descriptor: ocispec.Descriptor{MediaType: "application/vnd.kitops.modelkit.model.v1.tar"},
		}}}
		if _, err := manifest.ReadConfig(m, config); err != nil && !errors.Is(err, manifest.ErrMalformed) {
			t.Fatal(err)
		}
		located, err := m.WithConfig(config)
		if err != nil {
			return
		}
		if p := located.Files[0].Path; p != "" && !filepath.IsLocal(p) {
			t.Fatalf("unpacks into %q", p)
		}
	})
}

func FuzzSafePath(f *testing.F) {
	count := 0
	for _, v := range vectors(f) {
		var m ocispec.Manifest
		if json.Unmarshal(v.raw(f), &m) == nil {
			for _, l := range m.Layers {
				if title := l.Annotations[ocispec.AnnotationTitle]; title != "" {
					f.Add(title)
					count++
				}
			}
		}
	}
	if count < 50 {
		f.Fatalf("%d seeds; there were more", count)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got, err := manifest.SafePath(name)
		if err != nil {
			if !errors.Is(err, manifest.ErrUnsafePath) || got != "" {
				t.Fatalf("%q, %v", got, err)
			}
			return
		}
		if again, err := manifest.SafePath(got); err != nil || again != got {
			t.Fatalf("%q became %q, and that %q, %v", name, got, again, err)
		}
		if path.Clean(got) != got || path.IsAbs(got) || !filepath.IsLocal(filepath.FromSlash(got)) ||
			path.Join("/a", got) != "/a/"+got || strings.ContainsAny(got, "\\:\x00\n\u202e") {
			t.Fatalf("SafePath(%q) = %q", name, got)
		}
	})
}
