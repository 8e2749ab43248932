//go:build unix

package blobstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// openRegular opens a file for reading that must be regular: a link is not followed, a pipe does not block, and both
// give ErrCorrupt, as a folder does.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) { // a symbolic link; a socket
		return nil, fmt.Errorf("%w: %s", ErrCorrupt, path)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: %s is %s", ErrCorrupt, path, info.Mode().Type())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// checkOwner refuses a store that others may write to and that was not made for it.
func checkOwner(root string, info fs.FileInfo, shared bool) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("%w: everyone may write to %s (mode %04o)", ErrInsecure, root, info.Mode().Perm())
	}
	if int(stat.Uid) == os.Geteuid() {
		return nil
	}
	if !shared {
		return fmt.Errorf("%w: %s belongs to user %d, and was not made with --shared", ErrInsecure, root, stat.Uid)
	}
	groups, err := os.Getgroups()
	if err != nil {
		return err
	}
	if !slices.Contains(append(groups, os.Getegid()), int(stat.Gid)) {
		return fmt.Errorf("%w: %s is shared by group %d, and we are not in it", ErrInsecure, root, stat.Gid)
	}
	return nil
}

// keepLocked opens a lease's file a second time and shares its lock, on a descriptor that exec(2) keeps.
func keepLocked(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_SETFD, 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}
