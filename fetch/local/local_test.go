package local_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mstore/mstore/fetch/local"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/manifest"
)

var (
	_ source.Source = local.Files{}
	_ source.Source = local.Paths{}
	_ source.Source = local.Layout{}
)

// write makes files below dir and returns dir.
func write(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for path, content := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// read is the contents of a model's files, through the paths on this machine that it gives.
func read(t *testing.T, m *source.Model) map[string]string {
	t.Helper()
	got := make(map[string]string)
	for _, f := range m.Files {
		raw, err := os.ReadFile(f.Local)
		if err != nil {
			t.Error(err)
		}
		if !filepath.IsAbs(f.Local) || f.Descriptor.Size != int64(len(raw)) || f.Descriptor.Digest != "" || f.Origins != nil {
			t.Errorf("%s: %+v, of %d bytes", f.Path, f, len(raw))
		}
		if _, twice := got[f.Path]; twice {
			t.Errorf("%s comes twice", f.Path)
		}
		got[f.Path] = string(raw)
	}
	return got
}

func wantFiles(t *testing.T, m *source.Model, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, read(t, m)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestAFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "My-Model")
	files := map[string]string{"config.json": "{}", "deep/er/w.bin": "w", "empty": "", "größe/モデル.txt": "u", ".hidden": "h"}
	write(t, dir, files)
	if err := os.MkdirAll(filepath.Join(dir, "void", "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	m, err := local.Files{}.Resolve(t.Context(), dir, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, m, files)
	if m.Name != "My-Model:latest" || m.Reference != "file:"+dir || m.Manifest != nil || m.Digest != "" {
		t.Errorf("the model is %+v", m)
	}
}

func TestAFile(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"sub/model.gguf": "weights"})
	t.Chdir(dir)
	for _, ref := range []string{"sub/model.gguf", "./sub/../sub/model.gguf", filepath.Join(dir, "sub", "model.gguf")} {
		m, err := local.Files{}.Resolve(t.Context(), ref, source.Options{})
		if err != nil {
			t.Fatal(err)
		}
		wantFiles(t, m, map[string]string{"model.gguf": "weights"})
		if want := "file:" + filepath.Join(dir, "sub", "model.gguf"); m.Name != "model.gguf:latest" || m.Reference != want {
			t.Errorf("%s is %q, %q", ref, m.Name, m.Reference)
		}
	}
}

// TestTheHubsCache: the cache of Hugging Face has links to files that lie elsewhere.
func TestTheHubsCache(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"blobs/abc": "weights", "snapshots/main/config.json": "{}"})
	snapshot := filepath.Join(dir, "snapshots", "main")
	if err := os.Symlink("../../blobs/abc", filepath.Join(snapshot, "model.safetensors")); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"config.json": "{}", "model.safetensors": "weights"}
	current := filepath.Join(dir, "current") // a link to a folder that the user names
	if err := os.Symlink(snapshot, current); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{snapshot, current, current + "/"} {
		m, err := local.Files{}.Resolve(t.Context(), path, source.Options{})
		if err != nil {
			t.Fatal(err)
		}
		wantFiles(t, m, want)
	}
}

func TestPaths(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"a/one": "1", "a/sub/two": "2", "b/three": "3", "b/sub/four": "4", "five": "5"})
	paths := local.Paths{filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "five")}
	m, err := paths.Resolve(t.Context(), "", source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, m, map[string]string{"one": "1", "sub/two": "2", "three": "3", "sub/four": "4", "five": "5"})
	if m.Name != "" || m.Reference != "" {
		t.Errorf("several paths have the name %q and the reference %q", m.Name, m.Reference)
	}
}

func TestPathsThatClash(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{
		"a/one": "1", "b/one": "2", "c/ONE": "3", "d/one/two": "4", "e/gr\u00f6\u00dfe": "5", "f/gro\u0308\u00dfe": "6", "one": "7",
	})
	for _, clash := range [][]string{{"a", "b"}, {"a", "a"}, {"a/one", "b"}, {"a", "c"}, {"a", "d"}, {"e", "f"}, {"one", "b/one"}} {
		var paths local.Paths
		for _, p := range clash {
			paths = append(paths, filepath.Join(dir, p))
		}
		if _, err := paths.Resolve(t.Context(), "", source.Options{}); !errors.Is(err, local.ErrPath) {
			t.Errorf("%q = %v, want ErrPath", clash, err)
		}
	}
}

func TestWhatNoModelIsMadeOf(t *testing.T) {
	for name, c := range map[string]struct {
		plant func(dir string) error
		want  error
		names string
	}{
		"nothing":               {func(string) error { return nil }, local.ErrPath, ""},
		"empty folders":         {func(dir string) error { return os.MkdirAll(dir+"/a/b", 0o700) }, local.ErrPath, ""},
		"a link to a folder":    {func(dir string) error { return os.Symlink(".", dir+"/self") }, local.ErrPath, "self"},
		"a link to the top":     {func(dir string) error { return os.Symlink("/", dir+"/top") }, local.ErrPath, "top"},
		"a dangling link":       {func(dir string) error { return os.Symlink("none", dir+"/bad") }, fs.ErrNotExist, "bad"},
		"a link to itself":      {func(dir string) error { return os.Symlink("bad", dir+"/bad") }, fs.ErrNotExist, "bad"},
		"a link to a device":    {func(dir string) error { return os.Symlink("/dev/zero", dir+"/zero") }, local.ErrPath, "zero"},
		"a name with a newline": {func(dir string) error { return os.WriteFile(dir+"/a\nb", nil, 0o600) }, manifest.ErrUnsafePath, `b`},
		"a name of Windows":     {func(dir string) error { return os.WriteFile(dir+"/aux.txt", nil, 0o600) }, manifest.ErrUnsafePath, "aux.txt"},
		"a folder of Windows":   {func(dir string) error { return os.MkdirAll(dir+"/con", 0o700) }, local.ErrPath, ""},
		"a name with a colon":   {func(dir string) error { return os.WriteFile(dir+"/a:b", nil, 0o600) }, manifest.ErrUnsafePath, "a:b"},
		"names that differ in case": {func(dir string) error {
			return errors.Join(os.WriteFile(dir+"/a", nil, 0o600), os.WriteFile(dir+"/A", nil, 0o600))
		}, local.ErrPath, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := c.plant(dir); err != nil {
				t.Fatal(err)
			}
			_, err := local.Files{}.Resolve(t.Context(), dir, source.Options{})
			if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.names) {
				t.Errorf("Resolve = %v, want %v that names %q", err, c.want, c.names)
			}
		})
	}
}

func TestAPathThatIsNotThere(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"file": "x"})
	for _, path := range []string{"none", "file/below"} {
		if _, err := (local.Files{}).Resolve(t.Context(), filepath.Join(dir, path), source.Options{}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s = %v, want fs.ErrNotExist", path, err)
		}
	}
	if _, err := (local.Paths{}).Resolve(t.Context(), "", source.Options{}); !errors.Is(err, local.ErrPath) {
		t.Errorf("no paths = %v, want ErrPath", err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (local.Files{}).Resolve(done, dir, source.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Resolve = %v, want context.Canceled", err)
	}
}
