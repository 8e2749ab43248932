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

	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/internal/flock"
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

// openPrivate opens a file of a partial for reading and writing, making it. It must be a regular file with one name: a
// link that somebody planted is neither followed nor written through. One that its process had made a blob in all but
// name, when it was killed, gets its mode of before.
func openPrivate(path string) (*os.File, error) {
	const flags = os.O_CREATE | unix.O_NOFOLLOW | unix.O_NONBLOCK
	f, err := durable.OpenFile(path, os.O_RDWR|flags, 0o644)
	if errors.Is(err, fs.ErrPermission) {
		f, err = reopenWritable(path)
	}
	if err != nil {
		return nil, err
	}
	if err := checkPrivate(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func reopenWritable(path string) (*os.File, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if err := checkPrivate(f); err != nil {
		return nil, err
	}
	if err := durable.Chmod(f, 0o644); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
}

func checkPrivate(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !info.Mode().IsRegular() || !ok || stat.Nlink != 1 {
		return fmt.Errorf("%s is not a file of one name", f.Name())
	}
	return nil
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
	if err == nil || flock.Unsupported(err) {
		_, err = unix.FcntlInt(f.Fd(), unix.F_SETFD, 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}
