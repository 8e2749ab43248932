package durable

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// SyncData makes the bytes of f durable, with as much of what the file system knows of it as it takes to read them
// back: its size, but not its times. It waits, others may write to f meanwhile, and what they write may or may not be
// part of it. An error is final for the file. Elsewhere than on Linux it is a whole fsync.
//
//	fdatasync(f)
func SyncData(f *os.File) error {
	return step("fsync", f.Name(), func() error { return fdatasync(f) })
}

func fdatasync(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var syncErr error
	err = conn.Control(func(fd uintptr) {
		for syncErr = unix.Fdatasync(int(fd)); errors.Is(syncErr, unix.EINTR); {
			syncErr = unix.Fdatasync(int(fd))
		}
	})
	if err := errors.Join(err, syncErr); err != nil {
		return fmt.Errorf("sync %s: %w", f.Name(), err)
	}
	return nil
}
