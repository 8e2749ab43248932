package export_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/blobstore/storetest"
	"github.com/mstore/mstore/export"
	"github.com/mstore/mstore/internal/key"
	"github.com/mstore/mstore/manifest"
)

func openViews(tb testing.TB, store *blobstore.Store) *export.Views {
	tb.Helper()
	views, err := export.OpenViews(store)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = views.Close() })
	return views
}

func makeView(tb testing.TB, views *export.Views, m *manifest.Manifest) string {
	tb.Helper()
	dir, err := views.Make(tb.Context(), m)
	if err != nil {
		tb.Fatal(err)
	}
	return dir
}

func TestMake(t *testing.T) {
	store := storetest.New(t)
	m := model(t, store, small())
	views := openViews(t, store)
	dir := makeView(t, views, m)
	if want := filepath.Join(store.Root(), "views", m.Descriptor.Digest.Encoded()); dir != want {
		t.Errorf("Make = %s, want %s", dir, want)
	}
	wantFiles(t, dir, small())
	wantLinks(t, store, dir, m)
	before := lstat(t, dir)
	if again := makeView(t, views, m); again != dir || lstat(t, dir).ModTime() != before.ModTime() {
		t.Error("a view that was whole was made again")
	}
	wantNoStage(t, filepath.Dir(dir))
}

// wantLinks: every file of the view is its blob.
func wantLinks(t *testing.T, store *blobstore.Store, dir string, m *manifest.Manifest) {
	t.Helper()
	for _, f := range m.Files {
		info := lstat(t, filepath.Join(dir, f.Path))
		if !os.SameFile(info, lstat(t, blobFile(t, store, f.Descriptor.Digest))) || info.Mode() != 0o444 {
			t.Errorf("%s is no link to its blob, or not read-only: %v", f.Path, info.Mode())
		}
	}
}

func TestMakeMendsWhatIsWrong(t *testing.T) {
	outside := t.TempDir()
	write(t, filepath.Join(outside, "er", "still", "tokenizer.txt"), "outside")
	for name, damage := range map[string]func(view string) error{
		"nothing":           func(string) error { return nil },
		"a missing file":    func(v string) error { return os.Remove(v + "/config.json") },
		"a missing folder":  func(v string) error { return os.RemoveAll(v + "/deep") },
		"another file":      func(v string) error { return replace(v+"/config.json", `{"a":2}`) },
		"a folder":          func(v string) error { return errors.Join(os.Remove(v+"/empty"), os.MkdirAll(v+"/empty/x", 0o700)) },
		"a link":            func(v string) error { return errors.Join(os.Remove(v+"/empty"), os.Symlink("config.json", v+"/empty")) },
		"a linked folder":   func(v string) error { return errors.Join(os.RemoveAll(v+"/deep"), os.Symlink(outside, v+"/deep")) },
		"a file for folder": func(v string) error { return errors.Join(os.RemoveAll(v+"/deep"), os.WriteFile(v+"/deep", nil, 0o600)) },
		"no view":           os.RemoveAll,
		"a file for a view": func(v string) error { return errors.Join(os.RemoveAll(v), os.WriteFile(v, nil, 0o600)) },
		"a link for a view": func(v string) error { return errors.Join(os.RemoveAll(v), os.Symlink(outside, v)) },
		"an empty view":     func(v string) error { return errors.Join(os.RemoveAll(v), os.Mkdir(v, 0o700)) },
	} {
		t.Run(name, func(t *testing.T) {
			store := storetest.New(t)
			m := model(t, store, small())
			views := openViews(t, store)
			dir := makeView(t, views, m)
			if err := damage(dir); err != nil {
				t.Fatal(err)
			}
			canary := tree(t, outside)
			if again := makeView(t, views, m); again != dir {
				t.Errorf("the view moved to %s", again)
			}
			wantFiles(t, dir, small())
			wantLinks(t, store, dir, m)
			wantNoStage(t, filepath.Dir(dir))
			wantTree(t, outside, canary)
		})
	}
}

func replace(path, content string) error {
	return errors.Join(os.Remove(path), os.WriteFile(path, []byte(content), 0o444))
}

// TestMakeFollowsABlobThatWasRepaired: the blob has a new file, and the view's link has the old bytes.
func TestMakeFollowsABlobThatWasRepaired(t *testing.T) {
	store := storetest.New(t)
	m := model(t, store, map[string]string{"f": "right", "g": "other", "m.onnx": "graph", "m.onnx_data": "tensor"})
	views := openViews(t, store)
	dir := makeView(t, views, m)
	for path, content := range map[string]string{"f": "right", "m.onnx_data": "tensor"} {
		// The disk rots below blob and view, and a repair puts a good blob in the place of the bad one.
		rot(t, filepath.Join(dir, path))
		blob := blobFile(t, store, digest.FromString(content))
		if err := replace(blob, content); err != nil {
			t.Fatal(err)
		}
	}
	makeView(t, views, m)
	wantFiles(t, dir, map[string]string{"f": "right", "g": "other", "m.onnx": "graph", "m.onnx_data": "tensor"})
}

// rot changes the bytes of a file and neither its size, mode nor time.
func rot(t *testing.T, path string) {
	t.Helper()
	info := lstat(t, path)
	err := errors.Join(
		os.Chmod(path, 0o600),
		os.WriteFile(path, []byte(strings.Repeat("x", int(info.Size()))), 0o600),
		os.Chmod(path, info.Mode()),
		os.Chtimes(path, info.ModTime(), info.ModTime()),
	)
	if err != nil {
		t.Fatal(err)
	}
}

func TestExternalDataHasOneName(t *testing.T) {
	store := storetest.New(t)
	m := model(t, store, map[string]string{
		"onnx/model.onnx": "graph", "onnx/model.ONNX_DATA": "a", "onnx/weights.bin": "b", "onnx/below/c": "c",
		"x.onnx.data": "d", "config.json": "e", "y.safetensors": "f",
	})
	alone := []string{"onnx/model.ONNX_DATA", "onnx/weights.bin", "x.onnx.data"}
	views := openViews(t, store)
	dir := makeView(t, views, m)
	for _, path := range alone {
		info := lstat(t, filepath.Join(dir, path))
		blob, _ := m.File(path)
		if info.Mode() != 0o444 || os.SameFile(info, lstat(t, blobFile(t, store, blob.Descriptor.Digest))) {
			t.Errorf("%s is the blob itself, or writable: %v", path, info.Mode())
		}
	}
	for _, path := range []string{"onnx/model.onnx", "onnx/below/c", "config.json", "y.safetensors"} {
		blob, _ := m.File(path)
		if !os.SameFile(lstat(t, filepath.Join(dir, path)), lstat(t, blobFile(t, store, blob.Descriptor.Digest))) {
			t.Errorf("%s is a copy for no reason", path)
		}
	}

	// A copy is kept while it is right: also when the blob was only touched, and not when it was written to.
	copied := filepath.Join(dir, alone[1])
	first := lstat(t, copied)
	now := time.Now().Add(time.Hour)
	if err := os.Chtimes(blobFile(t, store, digest.FromString("b")), now, now); err != nil {
		t.Fatal(err)
	}
	makeView(t, views, m)
	if got := lstat(t, copied); !os.SameFile(first, got) || !got.ModTime().Equal(now) {
		t.Errorf("a copy that is right was made again, or did not get the blob's time: %v", got.ModTime())
	}
	if err := errors.Join(os.Chmod(copied, 0o600), os.WriteFile(copied, []byte("X"), 0o600), os.Chmod(copied, 0o444)); err != nil {
		t.Fatal(err)
	}
	makeView(t, views, m)
	if got, err := os.ReadFile(copied); err != nil || string(got) != "b" {
		t.Errorf("a copy that somebody wrote to holds %q, %v", got, err)
	}
}

func TestMakeOfWhatIsNotThere(t *testing.T) {
	store := storetest.New(t)
	views := openViews(t, store)
	m := model(t, store, map[string]string{"f": "x"})
	m.Files[0].Descriptor.Digest = digest.FromString("gone")
	if _, err := views.Make(t.Context(), m); !errors.Is(err, blobstore.ErrNotFound) {
		t.Errorf("Make = %v, want ErrNotFound", err)
	}
	m.Descriptor.Digest = "sha256:../../../etc"
	if _, err := views.Make(t.Context(), m); !errors.Is(err, key.ErrInvalid) {
		t.Errorf("Make = %v, want key.ErrInvalid", err)
	}
	if err := views.Remove("sha256:../../../etc"); !errors.Is(err, key.ErrInvalid) {
		t.Errorf("Remove = %v, want key.ErrInvalid", err)
	}
	if got := names(t, store.Dir("views")); len(got) != 0 {
		t.Errorf("views holds %q", got)
	}
}

func TestListAndRemove(t *testing.T) {
	store := storetest.New(t)
	views := openViews(t, store)
	m := model(t, store, small())
	other := model(t, store, map[string]string{"f": "x"})
	dir := makeView(t, views, m)
	makeView(t, views, other)
	foreign := filepath.Dir(dir)
	write(t, filepath.Join(foreign, "README"), "mine")
	write(t, filepath.Join(foreign, "folder", "file"), "mine")
	write(t, filepath.Join(foreign, strings.Repeat("0", 64)), "a file")
	if err := os.Symlink(dir, filepath.Join(foreign, strings.Repeat("1", 64))); err != nil {
		t.Fatal(err)
	}
	wantViews(t, views, m.Descriptor.Digest, other.Descriptor.Digest)
	for range 2 { // the second finds no view, which is no error
		if err := views.Remove(m.Descriptor.Digest); err != nil {
			t.Fatal(err)
		}
	}
	wantViews(t, views, other.Descriptor.Digest)
	wantNoStage(t, foreign)
	if got := names(t, foreign); len(got) != 5 {
		t.Errorf("views holds %q", got)
	}
	for _, f := range m.Files {
		if _, err := store.Stat(f.Descriptor.Digest); err != nil {
			t.Errorf("the blob of a removed view: %v", err)
		}
	}
}

func wantViews(t *testing.T, views *export.Views, want ...digest.Digest) {
	t.Helper()
	got, err := views.List()
	if err != nil {
		t.Fatal(err)
	}
	set := func(ds []digest.Digest) map[digest.Digest]bool {
		m := make(map[digest.Digest]bool)
		for _, d := range ds {
			m[d] = true
		}
		return m
	}
	if diff := cmp.Diff(set(want), set(got)); diff != "" || len(got) != len(want) {
		t.Errorf("List (-want +got):\n%s", diff)
	}
}

// TestListClearsWhatDiedInBetween: a Remove that was killed between its two steps leaves a private folder whose lock
// nobody holds; a process that was killed at the birth of one leaves the lock.
func TestListClearsWhatDiedInBetween(t *testing.T) {
	store := storetest.New(t)
	views := openViews(t, store)
	dir := store.Dir("views")
	write(t, filepath.Join(dir, ".mstore-DEAD.lock"), "")
	write(t, filepath.Join(dir, ".mstore-DEAD", "1", "model.bin"), "x")
	write(t, filepath.Join(dir, ".mstore-BORN.lock"), "")
	write(t, filepath.Join(dir, ".mstore-other", "not ours"), "x")
	wantViews(t, views)
	if diff := cmp.Diff([]string{".mstore-other"}, names(t, dir)); diff != "" {
		t.Errorf("views (-want +got):\n%s", diff)
	}
}

// TestWhereLocksDoNothingOnlyOldStagesAreCleared: nobody can tell there whether what was begun a moment ago is dead.
func TestWhereLocksDoNothingOnlyOldStagesAreCleared(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	openStore := func() *blobstore.Store {
		store, err := blobstore.Open(root, blobstore.Options{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
	openStore()
	write(t, filepath.Join(root, "store.json"), `{"version":1,"locks":false}`)
	views, dir, old := openViews(t, openStore()), filepath.Join(root, "views"), time.Now().Add(-25*time.Hour)
	for _, name := range []string{".mstore-YOUNG", ".mstore-OLD"} {
		write(t, filepath.Join(dir, name, "tree", "model.bin"), "x")
		write(t, filepath.Join(dir, name+".lock"), "")
	}
	if err := os.Chtimes(filepath.Join(dir, ".mstore-OLD.lock"), old, old); err != nil {
		t.Fatal(err)
	}
	wantViews(t, views)
	if diff := cmp.Diff([]string{".mstore-YOUNG", ".mstore-YOUNG.lock"}, names(t, dir)); diff != "" {
		t.Errorf("views (-want +got):\n%s", diff)
	}
}
