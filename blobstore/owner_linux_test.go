package blobstore_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
)

// Users that are not us. Becoming them takes root.
const (
	alice = 54321
	bob   = 54322
	team  = 54323
)

// by runs a child as another user. It executes the test binary as /proc/self/exe, since the folder that go test made
// it in is ours alone.
func by(uid, gid uint32, groups ...uint32) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		cmd.Path = "/proc/self/exe"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}}
	}
}

// publicDir is a folder that every user can get to.
func publicDir(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("acting as other users takes root")
	}
	dir := t.TempDir()
	try(t, os.Chmod(dir, 0o755), os.Chmod(filepath.Dir(dir), 0o755))
	return dir
}

// wantChild wants the last line of a role's output to hold what.
func wantChild(t *testing.T, c *child, what string) {
	t.Helper()
	if out, _ := c.result(); !strings.Contains(out, what) {
		t.Errorf("the child said %q, want %q; %s", out, what, c.err)
	}
}

func TestWhoseStoreItIs(t *testing.T) {
	dir := publicDir(t)
	theirs := filepath.Join(dir, "alice")
	try(t, os.Mkdir(theirs, 0o755), os.Chown(theirs, alice, alice))
	root := filepath.Join(theirs, "store")
	wantChild(t, start(t, "one", root, by(alice, alice)), "wrote")
	wantChild(t, start(t, "open", root, by(bob, bob)), blobstore.ErrInsecure.Error())
	_, err := blobstore.Open(root, quiet) // root would leave files there that Alice cannot touch
	wantErr(t, "Open", err, blobstore.ErrInsecure)

	try(t, os.Chmod(root, 0o777))
	wantChild(t, start(t, "open", root, by(alice, alice)), blobstore.ErrInsecure.Error())
	try(t, os.Chmod(root, 0o555))
	wantChild(t, start(t, "one", root, by(alice, alice)), "exists")

	empty := filepath.Join(theirs, "empty")
	try(t, os.Mkdir(empty, 0o755), os.Chown(empty, alice, alice))
	_, err = blobstore.Open(empty, quiet)
	wantErr(t, "Open of another's empty folder", err, blobstore.ErrInsecure)
	wantChild(t, start(t, "open", filepath.Join(dir, "new"), by(alice, alice)), "permission denied")
}

// Two users of one group share a store: each reads what the other brought in, resumes only what is his own, holds and
// sweeps for both, whatever their umask.
func TestASharedStore(t *testing.T) {
	dir := publicDir(t)
	root := filepath.Join(dir, "store")
	opts := quiet
	opts.Shared = true
	try(t, syscall.Setgroups([]int{team}))
	t.Cleanup(func() { try(t, syscall.Setgroups(nil)) })
	old := syscall.Umask(0o077)
	s := checked(t, root, opts)
	syscall.Umask(old)
	try(t, os.Chown(root, alice, team))
	for _, path := range tree(t, root)[1:] {
		info, err := os.Lstat(path)
		try(t, err, os.Chown(path, alice, team), os.Chmod(path, info.Mode()))
	}
	for _, umask := range []int{0o077, 0o022} {
		old := syscall.Umask(umask)
		a, b := by(alice, team), by(bob, bob, team)
		start(t, "fill", root, a).ready().kill()
		held := start(t, "lease", root, a).ready()
		wantChild(t, start(t, "one", root, b), "wrote")
		wantChild(t, start(t, "one", root, a), "exists")
		held.kill()
		if out, err := start(t, "sweep", root, b).result(); out != "swept 1" || err != nil {
			t.Errorf("the sweep said %q, %v", out, err)
		}
		syscall.Umask(old)
	}
	wantChild(t, start(t, "open", root, by(bob, bob)), blobstore.ErrInsecure.Error())
	for _, dir := range []string{"ingest", "leases", "blobs/sha256"} {
		if left := names(t, s, dir); len(left) != 0 {
			t.Errorf("%s holds %q", dir, left)
		}
	}
}

// A process that is killed when its partial has the mode of a blob already has an heir all the same.
func TestAPartialThatHasTheModeOfABlob(t *testing.T) {
	dir := publicDir(t)
	try(t, os.Chown(dir, alice, alice))
	root := filepath.Join(dir, "store")
	start(t, "keeper", root, by(alice, alice)).ready().kill()
	data, err := filepath.Glob(filepath.Join(root, "ingest", digest.FromBytes(shared()).Encoded()+".*", "data"))
	try(t, err, os.Chmod(data[0], 0o444))
	wantChild(t, start(t, "resume", root, by(alice, alice)), "resumed 2097152")
}
