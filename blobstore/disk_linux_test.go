package blobstore_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

// A disk that fills while many write: each is told so, what was written is resumed when there is room, and no byte of it
// is missing.
func TestAFullDiskAndManyWriters(t *testing.T) {
	if !asRoot(t) {
		return
	}
	disk := mounted(t, 12)
	s := checked(t, filepath.Join(disk, "store"), quiet)
	b := content(10<<20, 1)
	in := ingest(t, newLease(t, s), want(b))
	ballast := filepath.Join(disk, "ballast")
	try(t, os.WriteFile(ballast, make([]byte, 6<<20), 0o600))
	const writers, piece = 8, 128 << 10
	var full atomic.Int64
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for off := w * piece; off < len(b); off += writers * piece {
				n, err := in.WriteAt(b[off:off+piece], int64(off))
				switch {
				case err == nil && n != piece, err != nil && !errors.Is(err, unix.ENOSPC):
					t.Errorf("WriteAt = %d, %v", n, err)
				case err != nil:
					full.Add(1)
				}
			}
		})
	}
	all.Wait()
	_, err := in.Commit(t.Context())
	wantErr(t, "Commit", err, blobstore.ErrIncomplete)
	if full.Load() == 0 || len(names(t, s, "blobs/sha256")) != 0 {
		t.Errorf("%d writes found the disk full; blobs: %q", full.Load(), names(t, s, "blobs/sha256"))
	}
	try(t, in.Close(), os.Remove(ballast))

	in = ingest(t, newLease(t, s), want(b))
	if got := int64(len(b)) - full.Load()*piece; in.Resumed() != got {
		t.Errorf("Resumed = %d, want %d", in.Resumed(), got)
	}
	for off, n := in.Missing(); n > 0; off, n = in.Missing() {
		write(t, in, b[off:off+n], off)
	}
	try(t, errOf(in.Commit(t.Context())))
	wantBlob(t, s, b)
}

// A full disk must not cost what was fetched before, nor what was hashed: who cannot go on leaves the partial as it is.
func TestAPartialOnAFullDiskStays(t *testing.T) {
	if !asRoot(t) {
		return
	}
	disk := mounted(t, 8)
	s := checked(t, filepath.Join(disk, "store"), quiet)
	b, _ := killed(t, s)
	l := newLease(t, s)
	ballast := fill(t, disk)
	for range 2 {
		wantErr(t, "Ingest", ingestErr(t, l, want(b)), unix.ENOSPC)
	}
	try(t, os.Remove(ballast))
	in := ingest(t, l, want(b))
	if in.Resumed() != resumeSize*3/4 {
		t.Errorf("Resumed = %d", in.Resumed())
	}
	if back := finish(t, in, b); back > resumeSize/4+interval {
		t.Errorf("%d bytes were hashed again", back)
	}
	wantBlob(t, s, b)
}

// failing is a file system whose disk has no room for what it took: ext4 in a sparse image on a tmpfs.
func failing(t *testing.T, mib, room int) string {
	t.Helper()
	mkfs, err := exec.LookPath("mkfs.ext4")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("making a file system whose disk fails takes root and mkfs.ext4")
	}
	under, disk := mounted(t, room), t.TempDir()
	image := filepath.Join(under, "image")
	try(t, os.WriteFile(image, nil, 0o600), os.Truncate(image, int64(mib)<<20))
	if out, err := exec.CommandContext(t.Context(), mkfs, "-q", "-O", "^has_journal", image).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), "mount", "-o", "loop,errors=continue", image, disk).CombinedOutput(); err != nil {
		t.Skipf("this machine does not mount an image: %v: %s", err, out)
	}
	t.Cleanup(func() { try(t, unix.Unmount(disk, unix.MNT_DETACH)) })
	return disk
}

// A sync that fails says once that bytes are lost; a later one may succeed without them. So the ingest ends, and nothing
// of it is resumed.
func TestAFailedSyncIsFinal(t *testing.T) {
	disk := failing(t, 128, 24)
	s := open(t, filepath.Join(disk, "store"), quiet)
	blobstore.SetPace(s, 1<<40, 1<<40, time.Nanosecond) // a watermark whenever there is none under way
	b := content(64<<20, 1)
	in := ingest(t, newLease(t, s), want(b))
	var err error
	for off := 0; off < len(b) && err == nil; off += 1 << 20 {
		_, err = in.WriteAt(b[off:off+1<<20], int64(off))
	}
	if err == nil {
		_, err = in.Commit(t.Context())
	}
	if err == nil {
		t.Fatal("64 MiB were committed to a disk of 24")
	}
	t.Log(err)
	_ = in.Close()
	if got := names(t, s, "blobs/sha256"); len(got) != 0 {
		t.Errorf("published: %q", got)
	}
	if left := names(t, s, "ingest"); len(left) != 0 {
		t.Errorf("ingest/ holds %q", left)
	}
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
