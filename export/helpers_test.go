package export_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/manifest"
)

// small is a model with the shapes that folders have: below folders, empty, named in Unicode, one content twice.
func small() map[string]string {
	return map[string]string{
		"config.json":                 `{"a":1}`,
		"model.safetensors":           "weights",
		"empty":                       "",
		"deep/er/still/tokenizer.txt": "a\nb\n",
		"deep/copy of weights.bin":    "weights",
		"モデル/größe.txt":               "unicode",
	}
}

// put brings bytes into a store.
func put(tb testing.TB, s *blobstore.Store, content []byte) ocispec.Descriptor {
	tb.Helper()
	desc := ocispec.Descriptor{Digest: digest.FromBytes(content), Size: int64(len(content))}
	if ok, err := s.Exists(tb.Context(), desc); err == nil && ok {
		return desc
	}
	if err := s.Push(tb.Context(), desc, bytes.NewReader(content)); err != nil {
		tb.Fatal(err)
	}
	return desc
}

// model brings a model of files into a store.
func model(tb testing.TB, s *blobstore.Store, files map[string]string) *manifest.Manifest {
	tb.Helper()
	var draft manifest.Draft
	for path, content := range files {
		draft.Files = append(draft.Files, manifest.File{Path: path, Descriptor: put(tb, s, []byte(content))})
	}
	m, config, err := manifest.Build(draft)
	if err != nil {
		tb.Fatal(err)
	}
	put(tb, s, config)
	return m
}

func random(n int, seed byte) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return string(b)
}

// tree is all that is in a folder: what each path is, its mode, and its content or target.
func tree(tb testing.TB, dir string) map[string]string {
	tb.Helper()
	got := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		what := ""
		switch {
		case info.Mode().IsRegular():
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if what = string(raw); len(what) > 100 {
				what = digest.FromString(what).String()
			}
		case info.Mode()&fs.ModeSymlink != 0:
			what, err = os.Readlink(path)
		}
		got[filepath.ToSlash(rel)] = fmt.Sprintf("%v %s", info.Mode(), what)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

func wantTree(tb testing.TB, dir string, want map[string]string) {
	tb.Helper()
	if diff := cmp.Diff(want, tree(tb, dir)); diff != "" {
		tb.Errorf("%s (-want +got):\n%s", dir, diff)
	}
}

// wantFiles compares the files of a folder with what they should be, and that there are no others.
func wantFiles(tb testing.TB, dir string, want map[string]string) {
	tb.Helper()
	got := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		got[filepath.ToSlash(rel)] = string(raw)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	if diff := cmp.Diff(brief(want), brief(got)); diff != "" {
		tb.Errorf("%s (-want +got):\n%s", dir, diff)
	}
	wantNoStage(tb, dir)
}

func brief(files map[string]string) map[string]string {
	short := make(map[string]string)
	for path, content := range files {
		if len(content) > 100 {
			content = digest.FromString(content).String()
		}
		short[path] = content
	}
	return short
}

// wantNoStage finds what an export left behind.
func wantNoStage(tb testing.TB, dir string) {
	tb.Helper()
	for _, name := range names(tb, dir) {
		if strings.HasPrefix(name, ".mstore-") {
			tb.Errorf("%s was left in %s", name, dir)
		}
	}
}

func names(tb testing.TB, dir string) []string {
	tb.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func write(tb testing.TB, path, content string) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		tb.Fatal(err)
	}
}

func lstat(tb testing.TB, path string) fs.FileInfo {
	tb.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		tb.Fatal(err)
	}
	return info
}

// blobFile is the file of a blob.
func blobFile(tb testing.TB, s *blobstore.Store, d digest.Digest) string {
	tb.Helper()
	b, err := s.Open(d)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	return b.File().Name()
}
