//go:build unix

package blobstore_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// A lease that was kept lives as long as the program that exec(2) put in the place of its process.
func TestALeaseIsKeptAcrossExec(t *testing.T) {
	s := newStore(t)
	c := start(t, "exec", s.Root()).ready() // it says so after exec
	wantHeld(t, s, digest.FromBytes(shared()))
	c.kill()
	wantHeld(t, s)
}

func TestKeep(t *testing.T) {
	s := newStore(t)
	d := digest.FromString("x")
	l := newLease(t, s)
	try(t, l.Hold(d))
	kept, err := l.Keep()
	try(t, err)
	defer func() { _ = kept.Close() }()
	if flags, err := unix.FcntlInt(kept.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 {
		t.Errorf("the descriptor has flags %x, %v: exec(2) would close it", flags, err)
	}
	try(t, l.Release())
	wantHeld(t, s) // Release ends it all the same
	if _, err := l.Keep(); err == nil {
		t.Error("Keep of a released lease succeeded")
	}
}

func TestWhatIsPlantedAmongTheLeases(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store"), quiet)
	dir := s.Dir("leases")
	outside := filepath.Join(t.TempDir(), "outside")
	try(t, os.WriteFile(outside, []byte(digest.FromString("x")), 0o644), os.Symlink(outside, filepath.Join(dir, "link")),
		unix.Mkfifo(filepath.Join(dir, "pipe"), 0o644), os.Mkdir(filepath.Join(dir, "folder"), 0o755))
	wantHeld(t, s)
}
