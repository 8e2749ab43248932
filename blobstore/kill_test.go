package blobstore_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/blobstore/storetest"
)

func TestAKilledIngestIsAdopted(t *testing.T) {
	s := newStore(t)
	b := shared()
	start(t, "fill", s.Root()).ready().kill()
	in := ingest(t, newLease(t, s), want(b))
	half := int64(len(b) / 2)
	if in.Resumed() != half {
		t.Errorf("Resumed = %d, want %d", in.Resumed(), half)
	}
	off, n := in.Missing()
	if off != half || n != half {
		t.Errorf("Missing = %d, %d; want the other half", off, n)
	}
	write(t, in, b[off:], off)
	try(t, errOf(in.Commit(t.Context())))
	wantBlob(t, s, b)
	if left := names(t, s, "ingest"); len(left) != 0 {
		t.Errorf("ingest/ holds %q", left)
	}
}

func TestAProcessKilledInCommitLeavesAllItsBytes(t *testing.T) {
	s := newStore(t)
	b := shared()
	start(t, "keeper", s.Root()).ready().kill()
	_, err := s.Stat(digest.FromBytes(b))
	wantErr(t, "Stat", err, blobstore.ErrNotFound)
	in := ingest(t, newLease(t, s), want(b))
	if _, n := in.Missing(); n != 0 || in.Resumed() != int64(len(b)) {
		t.Errorf("%d bytes are missing, %d were resumed", n, in.Resumed())
	}
	try(t, errOf(in.Commit(t.Context())))
}

func TestTheIngestOfALivingProcessIsWaitedFor(t *testing.T) {
	s := newStore(t)
	b := shared()
	c := start(t, "fill", s.Root()).ready()
	w := want(b)
	w.Waiting = func(int64) { c.kill() }
	in := ingest(t, newLease(t, s), w)
	if in.Resumed() != int64(len(b)/2) {
		t.Errorf("Resumed = %d: the wait ended without an heir", in.Resumed())
	}
}

func TestEightProcessesOneWrites(t *testing.T) {
	s := newStore(t)
	if got := eight(t, s.Root()); got["wrote"] != 1 || got["exists"] != 7 {
		t.Errorf("the children said %v; want one to write", got)
	}
	wantBlob(t, s, shared())
}

// Without locks the work may be done more than once; the store is right all the same.
func TestEightProcessesWithoutLocks(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	open(t, root, quiet)
	withoutLocks(t, root)
	s := open(t, root, quiet)
	if !s.Doubtful() {
		t.Fatal("the store has locks")
	}
	var roots []string
	for range 8 {
		roots = append(roots, ownLocks(t, root))
	}
	got := eight(t, roots...)
	if got["wrote"]+got["exists"] != 8 {
		t.Errorf("the children said %v", got)
	}
	t.Logf("%d of 8 wrote", got["wrote"])
	wantBlob(t, s, shared())
	storetest.Check(t, root)
}

// ownLocks is the store at root seen through a folder that has its own locks/: they do nothing between two of those.
func ownLocks(t *testing.T, root string) string {
	t.Helper()
	view := t.TempDir()
	for _, name := range []string{"blobs", "ingest", "leases", "pins", "tags", "trash"} {
		if err := os.Symlink(filepath.Join(root, name), filepath.Join(view, name)); err != nil {
			t.Skip("this machine makes no symbolic links")
		}
	}
	raw, err := os.ReadFile(filepath.Join(root, "store.json"))
	try(t, err, os.WriteFile(filepath.Join(view, "store.json"), raw, 0o644), os.Mkdir(filepath.Join(view, "locks"), 0o755))
	return view
}

// eight lets eight processes bring the shared blob in, into the stores at roots, and counts what they say.
func eight(t *testing.T, roots ...string) map[string]int {
	t.Helper()
	got := make(map[string]int)
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range 8 {
		c := start(t, "one", roots[i%len(roots)])
		all.Go(func() {
			out, err := c.result()
			mu.Lock()
			defer mu.Unlock()
			if got[out]++; err != nil {
				t.Errorf("a child failed: %v: %s", err, out)
			}
		})
	}
	all.Wait()
	return got
}
