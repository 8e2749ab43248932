package durable_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/mstore/mstore/internal/durable"
)

func TestWriteFileReplacesAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, content := range []string{"first", "", "third, and longer"} {
		if err := durable.WriteFile(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("read %q, %v; want %q", got, err, content)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v; want 0640 whatever the umask", info.Mode(), err)
	}
	wantNames(t, dir, "f")
}

func TestWriteFileThatFailsChangesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := durable.MkdirAll(filepath.Join(dir, "taken", "full"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(filepath.Join(dir, "taken"), []byte("x"), 0o666); err == nil {
		t.Error("a folder was replaced by a file")
	}
	if err := durable.WriteFile(filepath.Join(dir, "none", "f"), []byte("x"), 0o666); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("WriteFile into no folder = %v", err)
	}
	wantNames(t, dir, "taken")
}

func TestCheckSize(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "f")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteString("half"); err != nil {
		t.Fatal(err)
	}
	if err := durable.CheckSize(f, 4); err != nil {
		t.Error(err)
	}
	if err := durable.CheckSize(f, 8); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("CheckSize of half a file = %v", err)
	}
}

func TestMkdirAll(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, "a", "b", "c")
	for range 2 {
		if err := durable.MkdirAll(deep, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(deep, "f")
	if err := durable.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "below")} {
		if err := durable.MkdirAll(path, 0o777); err == nil {
			t.Errorf("MkdirAll(%s) went through a file", path)
		}
	}
}

func TestPublish(t *testing.T) {
	dir := t.TempDir()
	f, err := os.CreateTemp(dir, "new")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteString("new"); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "final")
	if err := os.Symlink("nowhere", to); err != nil {
		t.Fatal(err)
	}
	if err := durable.Publish(f, to); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(to); err != nil || !info.Mode().IsRegular() {
		t.Errorf("a planted link was followed: %v, %v", info, err)
	}
	wantNames(t, dir, "final")
}

func TestPublishDirDoesNotReplace(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"one", "two"} {
		if err := durable.MkdirAll(filepath.Join(dir, d), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := durable.PublishDir(filepath.Join(dir, "one"), filepath.Join(dir, "final")); err != nil {
		t.Fatal(err)
	}
	err := durable.PublishDir(filepath.Join(dir, "two"), filepath.Join(dir, "final"))
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("PublishDir over a folder = %v, want fs.ErrExist", err)
	}
	wantNames(t, dir, "final", "two")
}

// A hint to the kernel has nothing to fail with, not even on a file that is closed.
func TestStartSyncFailsNobody(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "f")
	if err != nil {
		t.Fatal(err)
	}
	durable.StartSync(f, 0, 1<<20)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	durable.StartSync(f, -1, -1)
}

func TestSyncData(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "f")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	if err := durable.SyncData(f); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := durable.SyncData(f); err == nil {
		t.Error("SyncData of a closed file succeeded")
	}
}

func TestRemoveOfNothing(t *testing.T) {
	if err := durable.Remove(filepath.Join(t.TempDir(), "none")); err != nil {
		t.Error(err)
	}
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if len(got) != len(want) {
		t.Fatalf("%s holds %q, want %q", dir, got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%s holds %q, want %q", dir, got, want)
		}
	}
}
