//go:build unix

package export_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/mstore/mstore/blobstore/storetest"
	"github.com/mstore/mstore/export"
)

func TestManyProcessesMakeOneView(t *testing.T) {
	store := storetest.New(t)
	files := small()
	files["m/a.onnx"], files["m/a.onnx_data"] = "graph", "tensor"
	m := model(t, store, files)
	put(t, store, m.Raw)
	for range 3 {
		var children []*exec.Cmd
		for range 4 {
			child := process(t, os.Args[0], "views", store.Root(), "", m)
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			children = append(children, child)
		}
		for _, child := range children {
			if err := child.Wait(); err != nil {
				t.Error(err)
			}
		}
		views := openViews(t, store)
		wantFiles(t, makeView(t, views, m), files)
		wantNoStage(t, store.Dir("views"))
	}
}

// TestAKilledMakeLeavesNothing kills processes that make and remove a view at any moment; what they leave is neither
// a half view nor anything that the next List does not clear.
func TestAKilledMakeLeavesNothing(t *testing.T) {
	store := storetest.New(t)
	files := small()
	for i := range 50 {
		files[fmt.Sprintf("many/%d.bin", i)] = fmt.Sprint(i)
	}
	m := model(t, store, files)
	put(t, store, m.Raw)
	views := openViews(t, store)
	for i := range 20 {
		child := process(t, os.Args[0], "views", store.Root(), "", m)
		child.Stderr = nil
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(time.Duration(i)*3*time.Millisecond, func() { _ = child.Process.Kill() })
		_ = child.Wait()
		kill.Stop()
		if _, err := os.Lstat(filepath.Join(store.Dir("views"), m.Descriptor.Digest.Encoded())); err == nil {
			wantFiles(t, filepath.Join(store.Dir("views"), m.Descriptor.Digest.Encoded()), files)
		}
		if _, err := views.List(); err != nil {
			t.Fatal(err)
		}
		wantNoStage(t, store.Dir("views"))
	}
	wantFiles(t, makeView(t, views, m), files)
}

func TestAPipeForALockIsNotWaitedAt(t *testing.T) {
	store := storetest.New(t)
	dir := store.Dir("views")
	if err := syscall.Mkfifo(filepath.Join(dir, ".mstore-PLANTED.lock"), 0o600); err != nil {
		t.Fatal(err)
	}
	views := openViews(t, store)
	m := model(t, store, small())
	view := makeView(t, views, m)
	if err := os.Remove(filepath.Join(view, "config.json")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(view, "config.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, makeView(t, views, m), small())

	out := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(out, "config.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := export.Files(t.Context(), store, m, out, export.Options{}); !errors.Is(err, export.ErrExists) {
		t.Errorf("Files over a pipe = %v, want ErrExists", err)
	}
}
