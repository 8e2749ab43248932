package export_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/blobstore/storetest"
	"github.com/mstore/mstore/export"
	"github.com/mstore/mstore/manifest"
)

func TestFiles(t *testing.T) {
	for _, mode := range []export.Mode{"", export.Auto, export.Copy, export.Hardlink, export.Symlink} {
		t.Run(string(mode), func(t *testing.T) {
			store := storetest.New(t)
			m := model(t, store, small())
			dir := filepath.Join(t.TempDir(), "a", "b")
			var done atomic.Int64
			err := export.Files(t.Context(), store, m, dir, export.Options{Mode: mode, Progress: func(n int64) { done.Add(n) }})
			if err != nil {
				t.Fatal(err)
			}
			wantFiles(t, dir, small())
			if want := m.Size() - m.Descriptor.Size - m.Config.Size + int64(len("weights")); done.Load() != want {
				t.Errorf("progress came to %d, want %d", done.Load(), want)
			}
			for _, f := range m.Files {
				wantKind(t, store, filepath.Join(dir, f.Path), f, mode)
			}
		})
	}
}

// wantKind is what the file of a mode has to be. Writable and the same inode as the blob is never right.
func wantKind(t *testing.T, store *blobstore.Store, path string, f manifest.File, mode export.Mode) {
	t.Helper()
	info := lstat(t, path)
	shared := os.SameFile(info, lstat(t, blobFile(t, store, f.Descriptor.Digest)))
	if shared && info.Mode().Perm() != 0o444 {
		t.Errorf("%s: the store's own file has mode %v", path, info.Mode())
	}
	switch mode {
	case export.Copy, export.Reflink:
		if shared || info.Mode() != 0o644 {
			t.Errorf("%s: mode %v, shared %v; want a writable file of its own", path, info.Mode(), shared)
		}
	case export.Hardlink:
		if !shared {
			t.Errorf("%s: no hard link", path)
		}
	case export.Symlink:
		if info.Mode().Type() != fs.ModeSymlink {
			t.Errorf("%s: %v", path, info.Mode())
		}
	default:
		if os.Geteuid() == 0 && (shared || info.Mode() != 0o644) {
			t.Errorf("%s: as root: mode %v, shared %v", path, info.Mode(), shared)
		}
	}
}

func TestFilesAgain(t *testing.T) {
	store := storetest.New(t)
	m := model(t, store, small())
	dir := t.TempDir()
	for _, first := range []export.Mode{export.Copy, export.Hardlink} {
		if err := export.Files(t.Context(), store, m, dir, export.Options{Mode: first}); err != nil {
			t.Fatal(err)
		}
		kept := lstat(t, filepath.Join(dir, "model.safetensors"))
		if err := os.Remove(filepath.Join(dir, "config.json")); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "deep", "mine.txt"), "mine")
		for _, mode := range []export.Mode{export.Auto, export.Copy, export.Hardlink} {
			if err := export.Files(t.Context(), store, m, dir, export.Options{Mode: mode}); err != nil {
				t.Fatalf("%s after %s: %v", mode, first, err)
			}
		}
		if now := lstat(t, filepath.Join(dir, "model.safetensors")); !os.SameFile(kept, now) || now.ModTime() != kept.ModTime() {
			t.Error("a file that was right was made again")
		}
		want := small()
		want["deep/mine.txt"] = "mine"
		wantFiles(t, dir, want)
	}
}

func TestSymlinksAgain(t *testing.T) {
	store := storetest.New(t)
	m := model(t, store, small())
	dir := t.TempDir()
	for range 2 {
		if err := export.Files(t.Context(), store, m, dir, export.Options{Mode: export.Symlink}); err != nil {
			t.Fatal(err)
		}
	}
	if err := export.Files(t.Context(), store, m, dir, export.Options{Mode: export.Copy}); !errors.Is(err, export.ErrExists) {
		t.Errorf("a copy over links = %v, want ErrExists", err)
	}
}

func TestFilesRefuseWhatIsInTheWay(t *testing.T) {
	outside := t.TempDir()
	write(t, filepath.Join(outside, "tokenizer.txt"), "a\nb\n")
	write(t, filepath.Join(outside, "er", "still", "tokenizer.txt"), "a\nb\n")
	for name, plant := range map[string]func(dir string) error{
		"another content of the same size": func(dir string) error { return os.WriteFile(dir+"/config.json", []byte(`{"a":2}`), 0o600) },
		"another size":                     func(dir string) error { return os.WriteFile(dir+"/config.json", nil, 0o600) },
		"a folder":                         func(dir string) error { return os.Mkdir(dir+"/config.json", 0o700) },
		"a link to the right bytes": func(dir string) error {
			return errors.Join(os.WriteFile(dir+"/other", []byte(`{"a":1}`), 0o600), os.Symlink("other", dir+"/config.json"))
		},
		"a dangling link":     func(dir string) error { return os.Symlink("none", dir+"/empty") },
		"a file for a folder": func(dir string) error { return os.WriteFile(dir+"/deep", nil, 0o600) },
		"a link for a folder": func(dir string) error { return os.Symlink(outside, dir+"/deep") },
		"a link inside":       func(dir string) error { return errors.Join(os.Mkdir(dir+"/x", 0o700), os.Symlink("x", dir+"/deep")) },
		"a link for a deep folder": func(dir string) error {
			return errors.Join(os.Mkdir(dir+"/deep", 0o700), os.Symlink(outside, dir+"/deep/er"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := storetest.New(t)
			m := model(t, store, small())
			dir := t.TempDir()
			if err := plant(dir); err != nil {
				t.Fatal(err)
			}
			before, canary := tree(t, dir), tree(t, outside)
			for _, mode := range []export.Mode{export.Auto, export.Hardlink, export.Symlink} {
				if err := export.Files(t.Context(), store, m, dir, export.Options{Mode: mode}); !errors.Is(err, export.ErrExists) {
					t.Errorf("Files(%s) = %v, want ErrExists", mode, err)
				} else if !strings.Contains(err.Error(), "config.json") && !strings.Contains(err.Error(), "deep") && !strings.Contains(err.Error(), "empty") {
					t.Errorf("the error does not name what is in the way: %v", err)
				}
			}
			wantTree(t, dir, before)
			wantTree(t, outside, canary)
		})
	}
}

func TestTheFolderItself(t *testing.T) {
	store := storetest.New(t)
	m := model(t, store, map[string]string{"f": "x"})
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "")
	if err := export.Files(t.Context(), store, m, filepath.Join(dir, "file"), export.Options{}); !errors.Is(err, export.ErrExists) {
		t.Errorf("Files to a file = %v", err)
	}
	real := filepath.Join(dir, "real")
	if err := errors.Join(os.Mkdir(real, 0o700), os.Symlink("real", filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	if err := export.Files(t.Context(), store, m, filepath.Join(dir, "link")+"/", export.Options{}); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, real, map[string]string{"f": "x"})
}

func TestFilesOfABlobThatIsNotThere(t *testing.T) {
	store := storetest.New(t)
	m := model(t, store, small())
	m.Files = append(m.Files, manifest.File{Path: "z", Descriptor: ocispec.Descriptor{Digest: digest.FromString("gone"), Size: 4}})
	dir := filepath.Join(t.TempDir(), "new")
	if err := export.Files(t.Context(), store, m, dir, export.Options{}); !errors.Is(err, blobstore.ErrNotFound) {
		t.Errorf("Files = %v, want ErrNotFound", err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was written: %v", err)
	}
	if err := export.Files(t.Context(), store, m, dir, export.Options{Mode: "fast"}); !errors.Is(err, export.ErrMode) {
		t.Errorf("Files = %v, want ErrMode", err)
	}
}

func TestFilesThatAreInterrupted(t *testing.T) {
	store := storetest.New(t)
	files := map[string]string{"a": "small", "b": random(40<<20, 1), "c": random(40<<20, 2), "d": random(40<<20, 3)}
	m := model(t, store, files)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	var done atomic.Int64
	err := export.Files(ctx, store, m, dir, export.Options{Mode: export.Copy, Progress: func(n int64) {
		if done.Add(n) > 20<<20 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("Files = %v", err)
	}
	for path, content := range tree(t, dir) {
		if whole := brief(files)[path]; !strings.HasSuffix(content, " "+whole) {
			t.Errorf("%s is %s, not whole", path, content)
		}
	}
	wantNoStage(t, dir)
	if err := export.Files(t.Context(), store, m, dir, export.Options{}); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir, files)
}

func TestEmptyModel(t *testing.T) {
	store := storetest.New(t)
	dir := filepath.Join(t.TempDir(), "new")
	if err := export.Files(t.Context(), store, &manifest.Manifest{}, dir, export.Options{}); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir, map[string]string{})
}
