//go:build unix

package blobstore_test

import (
	"context"
	"os"
	"syscall"

	"github.com/opencontainers/go-digest"
)

// execRole holds the shared blob, keeps the lease across exec(2), and becomes the child that waits.
func execRole(_ context.Context, root string) error {
	l, err := leaseOf(root)
	if err != nil {
		return err
	}
	if err := l.Hold(digest.FromBytes(shared())); err != nil {
		return err
	}
	if _, err := l.Keep(); err != nil {
		return err
	}
	if err := os.Setenv("BLOBSTORE_CHILD", "wait"); err != nil {
		return err
	}
	return syscall.Exec(os.Args[0], os.Args, os.Environ())
}
