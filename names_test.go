package mstore_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore"
)

// TestNamesAsTyped imports under one form of a name and finds the model by others.
func TestNamesAsTyped(t *testing.T) {
	s := newStore(t)
	d := load(t, s, small(t, 1), "seed").Digest.String()
	other := digest.FromString("other").String()
	for _, c := range []struct {
		typed, name string
		finds       []string
		not         []string
	}{
		{"m", "m:latest", []string{"m", "m:latest", "m:latest@" + d, "oci://m"}, []string{"M", "m:v1", "m:latest@" + other, "m@" + d}},
		{"m:v1", "m:v1", []string{"m:v1", "m:v1@" + d, "oci://m:v1"}, []string{"m:v1@" + other, "m:V1"}},
		{"Org/Model:V1", "Org/Model:V1", []string{"Org/Model:V1"}, []string{"org/model:v1", "Org/Model"}},
		{"org/model:v1", "org/model:v1", []string{"org/model:v1"}, nil},
		{"ghcr.io/org/model:v1", "ghcr.io/org/model:v1", []string{"ghcr.io/org/model:v1", "oci://ghcr.io/org/model:v1@" + d}, []string{"org/model:v2"}},
		{"localhost:5000/m", "localhost:5000/m:latest", []string{"localhost:5000/m"}, []string{"localhost:5000"}},
		{"hf.co/org/name:main", "hf.co/org/name:main", []string{"hf.co/org/name:main", "hf.co/org/name", "hf://org/name", "hf://org/name@main"}, []string{"hf.co/org/name:Q4_K_M", "hf://org/name@v1"}},
		{"ollama.com/library/x:7b", "ollama.com/library/x:7b", []string{"ollama://x:7b", "ollama.com/x:7b", "registry.ollama.ai/library/x:7b"}, []string{"ollama://x"}},
		{"example.com/a/b.gguf:latest", "example.com/a/b.gguf:latest", []string{"https://example.com/a/b.gguf", "example.com/a/b.gguf"}, []string{"https://example.com/a"}},
		{"name@main", "name@main:latest", []string{"name@main", "name@main:latest"}, []string{"name"}},
		{"größe", "größe:latest", []string{"größe"}, []string{"grosse"}},
		{"模型:一", "模型:一", []string{"模型:一"}, nil},
		{"two words", "two words:latest", []string{"two words"}, []string{"two"}},
		{"a.b_c-d+e:1.0", "a.b_c-d+e:1.0", []string{"a.b_c-d+e:1.0"}, nil},
		{"con", "con:latest", []string{"con"}, nil},
		{".hidden", ".hidden:latest", []string{".hidden"}, nil},
		{strings.Repeat("a", 200), strings.Repeat("a", 200) + ":latest", nil, nil},
	} {
		m, err := s.Tag(t.Context(), "seed", c.typed)
		if err != nil || m.Name != c.name || m.Digest.String() != d {
			t.Errorf("Tag as %q = %+v, %v; want %q", c.typed, m, err, c.name)
			continue
		}
		for _, typed := range append(c.finds, m.Name, m.Name+"@"+d) {
			if found, err := s.Show(t.Context(), typed); err != nil || found.Name != c.name {
				t.Errorf("Show of %q = %+v, %v; want %q", typed, found, err, c.name)
			}
		}
		for _, typed := range c.not {
			_, err := s.Show(t.Context(), typed)
			wantFailure(t, "Show of "+typed, err, mstore.ErrNotFound)
			if ok, err := s.Has(t.Context(), typed); ok || err != nil {
				t.Errorf("Has of %q = %v, %v", typed, ok, err)
			}
		}
	}
}

func TestNamesThatAreNone(t *testing.T) {
	s := newStore(t)
	load(t, s, small(t, 1), "m")
	d := digest.FromString("x").String()
	for _, typed := range []string{
		"", " ", "-m", " m", "m\x00", "m\n", "m\u202e", "a\u200bb", "m\x7f", "\xff", "m:", "/", "m@sha256:short", "m:v1@sha256:" + strings.Repeat("G", 64),
		strings.Repeat("a", 300), strings.Repeat("Ü", 100),
	} {
		for verb, do := range verbs(t, s, typed) {
			changesNothing(t, verb+" of "+typed, s, mstore.ErrUsage, do)
		}
		_, err := s.Tag(t.Context(), "m", typed)
		wantFailure(t, "Tag as "+typed, err, mstore.ErrUsage)
	}
	_, err := s.Tag(t.Context(), "m", "n:v1@"+d)
	wantFailure(t, "Tag as a name with a digest", err, mstore.ErrUsage)
	for verb, do := range verbs(t, s, "none") {
		changesNothing(t, verb+" of none", s, mstore.ErrNotFound, do)
	}
}

// verbs are the verbs that take the name of a model that is there.
func verbs(t *testing.T, s *mstore.Store, name string) map[string]func() error {
	t.Helper()
	return map[string]func() error{
		"Show":   func() error { _, err := s.Show(t.Context(), name); return err },
		"Tag":    func() error { _, err := s.Tag(t.Context(), name, "n"); return err },
		"Remove": func() error { _, err := s.Remove(t.Context(), name); return err },
		"Pin":    func() error { return s.Pin(t.Context(), name) },
		"Unpin":  func() error { return s.Unpin(t.Context(), name) },
		"Path":   func() error { _, err := s.Path(t.Context(), name, ""); return err },
		"Use":    func() error { _, err := s.Use(t.Context(), name); return err },
		"Export": func() error { _, err := s.Export(t.Context(), name, "never", mstore.ExportOptions{}); return err },
		"Push":   func() error { _, err := s.Push(t.Context(), name, "127.0.0.1:1/m", mstore.PushOptions{}); return err },
		"Verify": func() error {
			_, err := s.Verify(t.Context(), mstore.VerifyOptions{Names: []string{name}})
			return err
		},
	}
}

func TestListAndPins(t *testing.T) {
	s := newStore(t)
	load(t, s, small(t, 1), "b")
	first := load(t, s, small(t, 2), "a:v1")
	for range 2 { // pinning twice is pinning
		try(t, s.Pin(t.Context(), "b"))
	}
	all, err := s.List(t.Context())
	try(t, err)
	var got []string
	for _, m := range all {
		got = append(got, m.Name)
		if m.Size == 0 || m.Count != 6 || m.Created.IsZero() || m.LastUsed.IsZero() || len(m.Files) != 0 || m.Pinned != (m.Name == "b:latest") {
			t.Errorf("listed: %+v", m)
		}
	}
	if diff := cmp.Diff([]string{"a:v1", "b:latest"}, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	changesNothing(t, "Remove of what is pinned", s, mstore.ErrUsage, func() error { _, err := s.Remove(t.Context(), "b"); return err })
	done, err := s.GC(t.Context(), mstore.GCOptions{All: true})
	if err != nil || !cmp.Equal(done.Dropped, []string{"a:v1"}) {
		t.Errorf("GC = %+v, %v", done, err)
	}
	if ok, _ := s.Has(t.Context(), "a:v1"); ok {
		t.Error("what is not pinned is there after a collection of all")
	}
	try(t, s.Unpin(t.Context(), "b"), s.Unpin(t.Context(), "b"))
	gone, err := s.Remove(t.Context(), "b")
	if err != nil || gone.Name != "b:latest" || gone.Digest == first.Digest {
		t.Errorf("Remove = %+v, %v", gone, err)
	}
}

func TestATagMoves(t *testing.T) {
	s := newStore(t)
	one, two := load(t, s, small(t, 1), "one"), load(t, s, small(t, 2), "two")
	for _, to := range []*mstore.Pulled{one, two} {
		m, err := s.Tag(t.Context(), to.Name, "prod")
		if err != nil || m.Digest != to.Digest || m.Source.Reference != to.Reference {
			t.Errorf("Tag = %+v, %v", m, err)
		}
	}
	try(t, s.Pin(t.Context(), "prod"))
	m, err := s.Tag(t.Context(), "one", "prod")
	if err != nil || !m.Pinned {
		t.Errorf("a pin is lost when its tag moves: %+v, %v", m, err)
	}
	same, err := s.Tag(t.Context(), "prod", "prod")
	if err != nil || same.Digest != one.Digest {
		t.Errorf("Tag as itself = %+v, %v", same, err)
	}
}

func TestPath(t *testing.T) {
	s, dir := newStore(t), small(t, 1)
	load(t, s, dir, "m")
	root, err := s.Path(t.Context(), "m", "")
	try(t, err)
	wantSameFiles(t, dir, root)
	file, err := s.Path(t.Context(), "m", "sub/deeper/vocab.txt")
	if err != nil || !strings.HasPrefix(file, root) {
		t.Errorf("Path = %q, %v", file, err)
	}
	for file, want := range map[string]mstore.Class{
		"none": mstore.ErrNotFound, "../x": mstore.ErrUsage, "/etc/passwd": mstore.ErrUsage, "sub/../../x": mstore.ErrUsage, "a\x00": mstore.ErrUsage,
	} {
		_, err := s.Path(t.Context(), "m", file)
		wantFailure(t, "Path of "+file, err, want)
	}
}
