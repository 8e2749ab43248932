package clone_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mstore/mstore/internal/clone"
)

func TestFileSharesBlocks(t *testing.T) {
	for name, mkfs := range map[string][]string{
		"btrfs": {"mkfs.btrfs", "-q"},
		"xfs":   {"mkfs.xfs", "-q", "-m", "reflink=1"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := mounted(t, mkfs)
			want := random(64 << 20)
			src := fileIn(t, mkdir(t, dir, "src"), want)
			if err := src.Sync(); err != nil {
				t.Fatal(err)
			}
			before := free(t, dir)
			dst := fileIn(t, mkdir(t, dir, "dst"), nil)
			if err := clone.File(dst, src); err != nil {
				t.Fatal(err)
			}
			if err := dst.Sync(); err != nil {
				t.Fatal(err)
			}
			wantContent(t, dst.Name(), want)
			if used := int64(before) - int64(free(t, dir)); used > 8<<20 {
				t.Errorf("a clone of 64 MiB took %d bytes", used)
			}
			if _, err := dst.WriteAt([]byte("changed"), 1000); err != nil {
				t.Fatal(err)
			}
			wantContent(t, src.Name(), want)
		})
	}
}

func TestFileAcrossFileSystemsIsUnsupported(t *testing.T) {
	dir := mounted(t, []string{"mkfs.btrfs", "-q"})
	dst := file(t, nil)
	if err := clone.File(dst, fileIn(t, dir, []byte("x"))); !errors.Is(err, clone.ErrUnsupported) {
		t.Errorf("File between two file systems = %v", err)
	}
	wantContent(t, dst.Name(), nil)
}

func TestFileWhereThereAreNoReflinks(t *testing.T) {
	for name, mkfs := range map[string][]string{"ext4": {"mkfs.ext4", "-q"}, "tmpfs": nil} {
		t.Run(name, func(t *testing.T) {
			dir := mounted(t, mkfs)
			src, dst := fileIn(t, mkdir(t, dir, "src"), []byte("x")), fileIn(t, mkdir(t, dir, "dst"), nil)
			err := clone.File(dst, src)
			if !errors.Is(err, clone.ErrUnsupported) || !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("File = %v, want ErrUnsupported", err)
			}
			wantContent(t, dst.Name(), nil)
		})
	}
}

func TestFileOfAFolderIsNoUnsupported(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	if err := clone.File(file(t, nil), dir); err == nil {
		t.Error("a folder was cloned")
	}
}

// mounted is a fresh file system of 300 MiB made by mkfs on a loop device (nil: a tmpfs). Making one takes root, the
// command and a kernel that has the file system; without them the test is skipped and says which it was.
func mounted(t *testing.T, mkfs []string) string {
	t.Helper()
	dir := t.TempDir()
	args := []string{"-t", "tmpfs", "tmpfs", dir}
	if mkfs != nil {
		path, err := exec.LookPath(mkfs[0])
		if err != nil {
			t.Skipf("%s is not installed", mkfs[0])
		}
		image := file(t, nil)
		if err := image.Truncate(320 << 20); err != nil {
			t.Fatal(err)
		}
		run(t, path, append(mkfs[1:], image.Name())...)
		args = []string{"-o", "loop", image.Name(), dir}
	}
	if os.Getuid() != 0 {
		t.Skip("mounting a file system takes root")
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

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}

func mkdir(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func free(t *testing.T, dir string) uint64 {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	return st.Bfree * uint64(st.Bsize)
}
