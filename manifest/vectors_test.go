package manifest_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/manifest"
)

// vector is one entry of spec/vectors/manifest/vectors.json, which says what the fields mean.
type vector struct {
	File, About, ServedAs string
	Index                 bool
	Kind                  manifest.Kind
	Digest                digest.Digest
	Files                 []vectorFile
	Blobs                 int
	Bytes                 int64
	Select                map[string]digest.Digest
	Refused               *string
	UnsafePath            bool
}

type vectorFile struct {
	Path    string
	Role    manifest.Role
	Archive manifest.Archive
}

const vectorDir = "../spec/vectors/manifest"

// vectors reads the list. It fails on few: a list that went empty must not pass.
func vectors(tb testing.TB) []vector {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join(vectorDir, "vectors.json"))
	if err != nil {
		tb.Fatal(err)
	}
	var list struct{ Vectors []vector }
	if err := json.Unmarshal(raw, &list); err != nil {
		tb.Fatal(err)
	}
	if len(list.Vectors) < 150 {
		tb.Fatalf("%d vectors; there were more", len(list.Vectors))
	}
	return list.Vectors
}

func (v vector) raw(tb testing.TB) []byte {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join(vectorDir, v.File))
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(strings.TrimSuffix(v.File, ".json"), func(t *testing.T) {
			switch {
			case v.Refused != nil:
				v.testRefused(t)
			case v.Index:
				v.testIndex(t)
			default:
				v.testManifest(t)
			}
		})
	}
}

func TestEveryVectorFileIsListed(t *testing.T) {
	var want []string
	for _, v := range vectors(t) {
		want = append(want, v.File)
	}
	want = append(want, "vectors.json")
	slices.Sort(want)
	var got []string
	entries, err := os.ReadDir(vectorDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func (v vector) testManifest(t *testing.T) {
	t.Helper()
	raw := v.raw(t)
	m, err := manifest.Parse(v.ServedAs, raw)
	if err != nil {
		t.Fatal(err)
	}
	var files []vectorFile
	for _, f := range m.Files {
		files = append(files, vectorFile{f.Path, f.Role, f.Archive})
		if f.Archive == "" {
			if got, ok := m.File(f.Path); !ok || got.Descriptor.Digest != f.Descriptor.Digest {
				t.Errorf("File(%q) = %v, %v", f.Path, got, ok)
			}
		}
	}
	if diff := cmp.Diff(v.Files, files, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if m.Kind != v.Kind || m.Descriptor.Digest != v.Digest || m.Size() != v.Bytes || len(m.Blobs()) != v.Blobs {
		t.Errorf("kind %s, digest %s, %d bytes, %d blobs; want %s, %s, %d, %d",
			m.Kind, m.Descriptor.Digest, m.Size(), len(m.Blobs()), v.Kind, v.Digest, v.Bytes, v.Blobs)
	}
	if string(m.Raw) != string(raw) || m.Descriptor.Size != int64(len(raw)) {
		t.Error("the bytes were not kept")
	}
	if manifest.IsIndex(v.ServedAs, raw) {
		t.Error("IsIndex takes it for an index")
	}
	for _, d := range append(m.Layers, m.Config) {
		if d.Data != nil || d.URLs != nil {
			t.Errorf("%s: inline data or foreign urls were kept", d.Digest)
		}
	}
}

func (v vector) testIndex(t *testing.T) {
	t.Helper()
	raw := v.raw(t)
	x, err := manifest.ParseIndex(v.ServedAs, raw)
	if err != nil {
		t.Fatal(err)
	}
	if x.Descriptor.Digest != v.Digest || string(x.Raw) != string(raw) {
		t.Errorf("digest %s, want %s", x.Descriptor.Digest, v.Digest)
	}
	if !manifest.IsIndex(v.ServedAs, raw) {
		t.Error("IsIndex does not take it for an index")
	}
	if _, err := manifest.Parse("", raw); !errors.Is(err, manifest.ErrMalformed) {
		t.Errorf("Parse = %v, want ErrMalformed", err)
	}
	for platform, want := range v.Select {
		p, err := manifest.ParsePlatform(platform)
		if err != nil {
			t.Fatal(err)
		}
		d, err := x.Select(p)
		switch {
		case want == "" && !errors.Is(err, manifest.ErrNoPlatform):
			t.Errorf("Select(%s) = %s, %v; want ErrNoPlatform", platform, d.Digest, err)
		case want != "" && (err != nil || d.Digest != want):
			t.Errorf("Select(%s) = %s, %v; want %s", platform, d.Digest, err, want)
		}
	}
}

func (v vector) testRefused(t *testing.T) {
	t.Helper()
	raw := v.raw(t)
	parse := func() error { _, err := manifest.Parse(v.ServedAs, raw); return err }
	if v.Index {
		parse = func() error { _, err := manifest.ParseIndex(v.ServedAs, raw); return err }
	}
	err := parse()
	if !errors.Is(err, manifest.ErrMalformed) || !strings.Contains(err.Error(), *v.Refused) {
		t.Errorf("error %v, want ErrMalformed with %q", err, *v.Refused)
	}
	if errors.Is(err, manifest.ErrUnsafePath) != v.UnsafePath {
		t.Errorf("error %v; ErrUnsafePath wanted: %v", err, v.UnsafePath)
	}
	if err != nil && len(err.Error()) > 1000 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}
