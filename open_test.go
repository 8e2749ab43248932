package mstore_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"go.uber.org/goleak"

	"github.com/mstore/mstore"
)

// TestCloseLeavesNothingOpen counts what a program would lose with each store that it opens and closes: connections,
// with their goroutines, and file descriptors.
func TestCloseLeavesNothingOpen(t *testing.T) {
	ref := repo(t) + ":v1"
	publish(t, small(t, 1), ref)
	running, open := goleak.IgnoreCurrent(), descriptors(t)
	s, err := mstore.Open(filepath.Join(t.TempDir(), "store"), quiet())
	try(t, err)
	pull(t, s, ref, mstore.PullOptions{})
	_, err = s.Path(t.Context(), ref, "")
	try(t, err, s.Close())
	if err := goleak.Find(running); err != nil {
		t.Error(err)
	}
	if left := descriptors(t); left > open {
		t.Errorf("%d descriptors are open after Close, %d were before Open", left, open)
	}
}

// descriptors is how many files the process has open; 0 where nobody tells.
func descriptors(t *testing.T) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	all, err := os.ReadDir("/proc/self/fd")
	try(t, err)
	return len(all)
}
