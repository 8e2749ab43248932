//go:build unix

package tags_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mstore/mstore/manifest/tags"
)

// TestFIFO: a FIFO with nobody at the other end would block whoever opens it.
func TestFIFO(t *testing.T) {
	ts, root := open(t)
	set(t, ts, tag("good", "1"))
	if err := unix.Mkfifo(filepath.Join(root, "tags", "fifo"), 0o644); err != nil {
		t.Skip(err)
	}
	if _, err := ts.Get("fifo"); !errors.Is(err, tags.ErrUnreadable) {
		t.Errorf("Get = %v", err)
	}
	if list, err := ts.List(); len(list) != 1 || !errors.Is(err, tags.ErrUnreadable) {
		t.Errorf("List = %v, %v", list, err)
	}
}

func TestNoPermission(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root reads everything")
	}
	ts, root := open(t)
	set(t, ts, tag("a", "1"))
	if err := os.Chmod(tagFile(t, root, "a"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := ts.Get("a"); !errors.Is(err, tags.ErrUnreadable) || !errors.Is(err, os.ErrPermission) {
		t.Errorf("Get = %v", err)
	}
}
