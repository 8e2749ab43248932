package export_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/export"
)

func TestReflinks(t *testing.T) {
	for name, mkfs := range map[string][]string{
		"btrfs": {"mkfs.btrfs", "-q"},
		"xfs":   {"mkfs.xfs", "-q", "-m", "reflink=1"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := mounted(t, mkfs)
			store, err := blobstore.Open(filepath.Join(dir, "store"), blobstore.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			files := small()
			files["big"] = random(64<<20, 1)
			m := model(t, store, files)
			for _, mode := range []export.Mode{export.Auto, export.Reflink} {
				before := free(t, dir)
				out := filepath.Join(dir, "out-"+string(mode))
				if err := export.Files(t.Context(), store, m, out, export.Options{Mode: mode}); err != nil {
					t.Fatal(err)
				}
				if used := int64(before) - int64(free(t, dir)); used > 8<<20 {
					t.Errorf("%s took %d bytes of the disk", mode, used)
				}
				wantFiles(t, out, files)
				for _, f := range m.Files {
					wantKind(t, store, filepath.Join(out, f.Path), f, export.Reflink)
				}
			}
			write(t, filepath.Join(dir, "out-auto", "big"), "changed")
			blobs := model(t, store, map[string]string{"big": files["big"]})
			if err := store.Check(t.Context(), blobs.Files[0].Descriptor.Digest, nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestReflinkWhereThereIsNone(t *testing.T) {
	dir := mounted(t, []string{"mkfs.ext4", "-q"})
	store, err := blobstore.Open(filepath.Join(dir, "store"), blobstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	m := model(t, store, small())
	out := filepath.Join(dir, "out")
	if err := export.Files(t.Context(), store, m, out, export.Options{Mode: export.Reflink}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Files = %v, want errors.ErrUnsupported", err)
	}
	wantFiles(t, out, map[string]string{})
}

// TestViewsOnAnotherFileSystem: views that cannot be linked are copies.
func TestViewsOnAnotherFileSystem(t *testing.T) {
	dir := mounted(t, nil)
	root := filepath.Join(t.TempDir(), "store")
	store, err := blobstore.Open(root, blobstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := unix.Mount(dir, filepath.Join(root, "views"), "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Unmount(filepath.Join(root, "views"), unix.MNT_DETACH) }()
	m := model(t, store, small())
	views := openViews(t, store)
	first := makeView(t, views, m)
	wantFiles(t, first, small())
	kept := lstat(t, filepath.Join(first, "model.safetensors"))
	if kept.Mode() != 0o444 {
		t.Errorf("a copy in a view has mode %v", kept.Mode())
	}
	makeView(t, views, m)
	if !os.SameFile(kept, lstat(t, filepath.Join(first, "model.safetensors"))) {
		t.Error("a copy that was right was made again")
	}
}

// mounted is a fresh file system of 320 MiB made by mkfs on a loop device (nil: a tmpfs). Making one takes root, the
// command and a kernel that has the file system; without them the test is skipped and says which it was.
func mounted(t *testing.T, mkfs []string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a file system takes root")
	}
	dir := t.TempDir()
	args := []string{"-t", "tmpfs", "tmpfs", dir}
	if mkfs != nil {
		path, err := exec.LookPath(mkfs[0])
		if err != nil {
			t.Skipf("%s is not installed", mkfs[0])
		}
		image := filepath.Join(t.TempDir(), "image")
		write(t, image, "")
		if err := os.Truncate(image, 320<<20); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), path, append(mkfs[1:], image)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", mkfs, err, out)
		}
		args = []string{"-o", "loop", image, dir}
	}
	if out, err := exec.CommandContext(t.Context(), "mount", args...).CombinedOutput(); err != nil {
		t.Skipf("this machine does not mount %v: %v: %s", mkfs, err, out)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func free(t *testing.T, dir string) uint64 {
	t.Helper()
	unix.Sync()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	return st.Bfree * uint64(st.Bsize)
}
