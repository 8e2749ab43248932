//go:build unix

package tags

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mstore/mstore/internal/durable"
)

// readFile is the content of the regular file at path, at most limit bytes, and its modification time. It opens
// nothing else: a symlink is not followed, a FIFO not waited for. It goes around os.File, whose bookkeeping costs more
// than the reading does when there are ten thousand to read.
// The bytes are in buf, which is grown where it must be.
func readFile(path string, limit int, buf []byte) (data []byte, modified time.Time, err error) {
	var fd int
	err = again(func() error {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
		return err
	})
	if err != nil {
		return nil, time.Time{}, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	var st unix.Stat_t
	if err := again(func() error { return unix.Fstat(fd, &st) }); err != nil {
		return nil, time.Time{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, time.Time{}, errors.New("not a regular file")
	}
	if st.Size > int64(limit) {
		return nil, time.Time{}, fmt.Errorf("%d bytes are more than the %d it may have", st.Size, limit)
	}
	data = slices.Grow(buf[:0], int(st.Size))[:st.Size]
	n, err := readFull(fd, data)
	if err != nil {
		return nil, time.Time{}, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return data[:n], time.Unix(st.Mtim.Unix()), nil
}

func readFull(fd int, buf []byte) (n int, err error) {
	for n < len(buf) {
		var m int
		if err := again(func() error { m, err = unix.Read(fd, buf[n:]); return err }); err != nil {
			return n, err
		}
		if m == 0 {
			break
		}
		n += m
	}
	return n, nil
}

// touch sets the modification time of the file at path, of a symlink its own; a zero time is the kernel's now, which
// needs no more than the right to write.
func touch(path string, to time.Time) error {
	var times []unix.Timespec
	if !to.IsZero() {
		ts, err := unix.TimeToTimespec(to)
		if err != nil {
			return err
		}
		times = []unix.Timespec{ts, ts}
	}
	err := durable.Call("utimes", path, func() error {
		return again(func() error { return unix.UtimesNanoAt(unix.AT_FDCWD, path, times, unix.AT_SYMLINK_NOFOLLOW) })
	})
	if err != nil {
		return &fs.PathError{Op: "touch", Path: path, Err: err}
	}
	return nil
}

// again calls f until no signal cuts it short.
func again(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
