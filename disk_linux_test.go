package mstore_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mstore/mstore"
)

// withMounts runs the rest of the test in a process of its own, which may mount: as root in a mount namespace, else in a
// user namespace too. It returns true there, and false here, when that process has ended.
func withMounts(t *testing.T) bool {
	t.Helper()
	if os.Getenv("MSTORE_TEST_MOUNTS") == t.Name() {
		try(t, syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "MSTORE_TEST_MOUNTS="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if uid := os.Getuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, syscall.EPERM):
		t.Skip("this machine lets nobody mount")
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// tmpfs mounts a file system of some MiB.
func tmpfs(t *testing.T, megabytes int) string {
	t.Helper()
	dir := t.TempDir()
	try(t, syscall.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0700", megabytes)))
	t.Cleanup(func() { try(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

func TestAFullDisk(t *testing.T) {
	if !withMounts(t) {
		return
	}
	weights := content(6<<20, 1)
	f := newFake(t)
	d := f.model(t, "v1", weights).Digest
	dir := tmpfs(t, 10)
	s := openStore(t, filepath.Join(dir, "store"))
	load(t, s, folder(t, map[string]string{"a": "a"}), "small")
	ballast := filepath.Join(dir, "ballast")
	try(t, os.WriteFile(ballast, make([]byte, 6<<20), 0o600))

	before := look(t, s).Tags
	_, err := s.Pull(t.Context(), f.Host+"/m:v1", once)
	wantFailure(t, "Pull onto a full disk", err, mstore.ErrStorage)
	wantIs(t, err, syscall.ENOSPC)
	_, err = s.Import(t.Context(), []string{folder(t, map[string]string{"model.gguf": string(weights)})}, "m", mstore.ImportOptions{})
	wantFailure(t, "Import onto a full disk", err, mstore.ErrStorage)
	wantIs(t, err, syscall.ENOSPC)
	if after := look(t, s).Tags; len(after) != len(before) {
		t.Errorf("there are tags: %v", after)
	}
	if _, err := s.Blobs().Stat(d); err == nil {
		t.Error("the blob is in the store")
	}
	// What needs no space is possible still.
	_, err = s.Remove(t.Context(), "small")
	if err != nil {
		t.Errorf("Remove on a full disk: %v", err)
	}
	if _, err := s.GC(t.Context(), mstore.GCOptions{}); err != nil {
		t.Errorf("GC on a full disk: %v", err)
	}
	try(t, os.Remove(ballast))
	p := pull(t, s, f.Host+"/m:v1", once)
	if fileOf(t, p.Model, "model.gguf").Digest != d {
		t.Errorf("Pull = %+v", p)
	}
	checkStore(t, s.Dir())
}

func wantIs(t *testing.T, err, cause error) {
	t.Helper()
	if !errors.Is(err, cause) {
		t.Errorf("%v is not %v", err, cause)
	}
}

func TestAReadOnlyStore(t *testing.T) {
	if !withMounts(t) {
		return
	}
	f := newFake(t)
	f.model(t, "v1", content(100, 1))
	dir := tmpfs(t, 10)
	root := filepath.Join(dir, "store")
	load(t, openStore(t, root), small(t, 1), "m")
	try(t, syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))

	s := openStore(t, root)
	if shown, err := s.Show(t.Context(), "m"); err != nil || shown.Count != 6 {
		t.Errorf("Show = %+v, %v", shown, err)
	}
	if ok, err := s.Has(t.Context(), "m"); err != nil || !ok {
		t.Errorf("Has = %v, %v", ok, err)
	}
	if report, err := s.Verify(t.Context(), mstore.VerifyOptions{}); err != nil || report.Checked == 0 {
		t.Errorf("Verify = %+v, %v", report, err)
	}
	if err := s.VerifyFile(t.Context(), small(t, 1)+"/config.json", mstore.FileWant{Name: "m/config.json"}); err != nil {
		t.Errorf("VerifyFile = %v", err)
	}
	for name, do := range map[string]func() error{
		"Pull": func() error { _, err := s.Pull(t.Context(), f.Host+"/m:v1", once); return err },
		"Import": func() error {
			_, err := s.Import(t.Context(), []string{small(t, 2)}, "n", mstore.ImportOptions{})
			return err
		},
		"Tag":    func() error { _, err := s.Tag(t.Context(), "m", "n"); return err },
		"Remove": func() error { _, err := s.Remove(t.Context(), "m"); return err },
		"Pin":    func() error { return s.Pin(t.Context(), "m") },
		"Export": func() error {
			_, err := s.Export(t.Context(), "m", filepath.Join(t.TempDir(), "out"), mstore.ExportOptions{})
			return err
		},
		"Path": func() error { _, err := s.Path(t.Context(), "m", ""); return err },
		"Open": func() error { _, err := mstore.Open(filepath.Join(dir, "new"), quiet()); return err },
	} {
		changesNothing(t, name, s, mstore.ErrStorage, func() error {
			err := do()
			wantIs(t, err, syscall.EROFS)
			return err
		})
	}
}

// TestAStoreOfAnotherUser becomes another user, for whom the modes of files count.
func TestAStoreOfAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	if !withMounts(t) {
		return
	}
	dir := tmpfs(t, 10)
	try(t, os.Chmod(dir, 0o755), os.Mkdir(dir+"/private", 0o700), os.Mkdir(dir+"/mine", 0o755), os.Chown(dir+"/mine", nobody, nobody))
	load(t, openStore(t, dir+"/store"), small(t, 1), "m")
	t.Cleanup(func() { try(t, syscall.Setresuid(0, 0, 0), syscall.Setresgid(0, 0, 0)) })
	for above := dir; above != os.TempDir(); above = filepath.Dir(above) {
		try(t, os.Chmod(above, 0o755))
	}
	try(t, syscall.Setresgid(nobody, nobody, 0), syscall.Setresuid(nobody, nobody, 0))
	for _, at := range []string{"new", "private", "private/store", "store"} {
		_, err := mstore.Open(filepath.Join(dir, at), quiet())
		wantFailure(t, at, err, mstore.ErrStorage)
	}
	s := openStore(t, dir+"/mine/store")
	for _, path := range []string{"/private", "/private/x"} {
		changesNothing(t, "Import", s, mstore.ErrStorage, func() error {
			_, err := s.Import(t.Context(), []string{dir + path}, "m", mstore.ImportOptions{})
			wantIs(t, err, os.ErrPermission)
			return err
		})
	}
}
