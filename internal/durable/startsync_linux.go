package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

// StartSync asks the kernel to begin writing n bytes from off on to the disk, so that a later sync of f finds less to
// do. It does not wait, and promises nothing: what goes wrong is for that sync to find out. Elsewhere than on Linux it
// does nothing.
//
//	sync_file_range(f, SYNC_FILE_RANGE_WRITE)
func StartSync(f *os.File, off, n int64) {
	conn, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) { _ = unix.SyncFileRange(int(fd), off, n, unix.SYNC_FILE_RANGE_WRITE) })
}
