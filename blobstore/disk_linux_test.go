package blobstore_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/mstore/mstore/blobstore"
)

// asRoot tells whether the test may mount. When we are not root it runs the test once more as the root of a user
// namespace of its own, and the caller is done. Where that is forbidden too, the test is skipped.
func asRoot(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() == 0 {
		return true
	}
	if err := exec.CommandContext(t.Context(), "unshare", "-rm", "true").Run(); err != nil {
		t.Skipf("mounting a file system takes root, or a user namespace: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "-rm", os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("as root of a user namespace: %v\n%s", err, out)
	}
	return false
}

// mounted is a fresh tmpfs of so many MiB.
func mounted(t *testing.T, mib int) string {
	t.Helper()
	dir := t.TempDir()
	try(t, unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)))
	t.Cleanup(func() { try(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

// fill takes what is left of the file system at dir.
func fill(t *testing.T, dir string) (path string) {
	t.Helper()
	f, err := os.CreateTemp(dir, "ballast")
	try(t, err)
	for err == nil {
		_, err = f.Write(make([]byte, 1<<10))
	}
	wantErr(t, "write to a full disk", err, unix.ENOSPC)
	_ = f.Close()
	return f.Name()
}

func TestAFullDisk(t *testing.T) {
	if !asRoot(t) {
		return
	}
	disk := mounted(t, 8)
	s := checked(t, filepath.Join(disk, "store"), quiet)
	large := content(10<<20, 1)
	in := ingest(t, newLease(t, s), want(large))
	var err error
	for off := 0; err == nil && off < len(large); off += 1 << 20 {
		_, err = in.WriteAt(large[off:off+1<<20], int64(off))
	}
	wantErr(t, "WriteAt", err, unix.ENOSPC)
	if off, n := in.Missing(); n == 0 || off+n != int64(len(large)) {
		t.Errorf("Missing = %d, %d: a write that failed was counted", off, n)
	}
	_, err = in.Commit(t.Context())
	wantErr(t, "Commit", err, blobstore.ErrIncomplete)
	try(t, in.Discard())

	// Full to the last byte: nothing can begin, and nothing is left of what was tried.
	l := newLease(t, s)
	ballast := fill(t, disk)
	b := content(1<<20, 2)
	wantErr(t, "ingest", bring(t.Context(), l, b), unix.ENOSPC)
	_, err = s.Lease()
	wantErr(t, "Lease", err, unix.ENOSPC)
	if left := names(t, s, "ingest"); len(left) != 0 {
		t.Errorf("ingest/ holds %q", left)
	}
	for d := range s.All() {
		t.Errorf("published: %s", d)
	}
	try(t, os.Remove(ballast))
	put(t, s, b)
	wantBlob(t, s, b)
}

// A write that fails leaves its range missing, and it can be written again when there is room.
func TestAWriteThatFailedIsWrittenAgain(t *testing.T) {
	if !asRoot(t) {
		return
	}
	disk := mounted(t, 8)
	s := checked(t, filepath.Join(disk, "store"), quiet)
	b := content(4<<20, 1)
	in := ingest(t, newLease(t, s), want(b))
	write(t, in, b[2<<20:3<<20], 2<<20)
	ballast := fill(t, disk)
	n, err := in.WriteAt(b, 0)
	wantErr(t, "WriteAt", err, unix.ENOSPC)
	if off, left := in.Missing(); n != 0 || off != 0 || left != 2<<20 {
		t.Errorf("WriteAt = %d, Missing = %d, %d", n, off, left)
	}
	try(t, os.Remove(ballast))
	write(t, in, b, 0)
	try(t, errOf(in.Commit(t.Context())))
	wantBlob(t, s, b)
}

// A Hold that the disk cut short must not swallow the one that comes after it.
func TestHoldOnAFullDisk(t *testing.T) {
	if !asRoot(t) {
		return
	}
	disk := mounted(t, 1)
	s := checked(t, filepath.Join(disk, "store"), quiet)
	l := newLease(t, s)
	ballast := fill(t, disk)
	var held []digest.Digest
	var err error
	for i := 0; err == nil; i++ { // up to the end of the lease's last page
		d := digest.FromString(fmt.Sprint(i))
		if err = l.Hold(d); err == nil {
			held = append(held, d)
		}
	}
	wantErr(t, "Hold", err, unix.ENOSPC)
	try(t, os.Remove(ballast))
	last := digest.FromString("last")
	try(t, l.Hold(last))
	wantHeld(t, s, append(held, last)...)
}

// An import shares blocks where the file system can.
func TestCopyFromClones(t *testing.T) {
	mkfs, err := exec.LookPath("mkfs.btrfs")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("making a file system with reflinks takes root and mkfs.btrfs")
	}
	image, disk := filepath.Join(t.TempDir(), "image"), t.TempDir()
	try(t, os.WriteFile(image, nil, 0o600), os.Truncate(image, 320<<20), exec.CommandContext(t.Context(), mkfs, "-q", image).Run())
	if out, err := exec.CommandContext(t.Context(), "mount", "-o", "loop", image, disk).CombinedOutput(); err != nil {
		t.Skipf("this machine does not mount btrfs: %v: %s", err, out)
	}
	t.Cleanup(func() { try(t, unix.Unmount(disk, unix.MNT_DETACH)) })
	b := content(8<<20, 1)
	s := checked(t, filepath.Join(disk, "store"), quiet)
	src := filepath.Join(disk, "src")
	try(t, os.WriteFile(src, b, 0o600))
	f, err := os.Open(src)
	try(t, err)
	defer func() { _ = f.Close() }()
	in := ingest(t, newLease(t, s), want(b))
	pieces := 0
	try(t, in.CopyFrom(t.Context(), f, func(n int64) { pieces++ }))
	if pieces != 1 {
		t.Errorf("the file was copied in %d pieces, not cloned", pieces)
	}
	try(t, errOf(in.Commit(t.Context())), os.WriteFile(src, nil, 0o600))
	wantBlob(t, s, b)
}

func TestAStoreThatIsReadOnly(t *testing.T) {
	if !asRoot(t) {
		return
	}
	disk := mounted(t, 8)
	s := open(t, filepath.Join(disk, "store"), quiet)
	b := content(1000, 1)
	d := put(t, s, b)
	try(t, unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	s = open(t, s.Root(), quiet)
	wantBlob(t, s, b)
	if held, err := s.Held(); err != nil || len(held) != 0 {
		t.Errorf("Held = %v, %v", held, err)
	}
	_, leaseErr := s.Lease()
	_, trashErr := s.Trash(d)
	_, openErr := blobstore.Open(filepath.Join(disk, "new"), quiet)
	for name, err := range map[string]error{"Lease": leaseErr, "Trash": trashErr, "Open of a new one": openErr} {
		wantErr(t, name, err, unix.EROFS)
	}
	if errors.Is(openErr, blobstore.ErrNotStore) {
		t.Errorf("Open = %v: the disk is at fault, not the folder", openErr)
	}
}
