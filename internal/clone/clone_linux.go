package clone

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// cloneFile is ioctl(FICLONE).
func cloneFile(dst, src *os.File) error {
	to, err := dst.SyscallConn()
	if err != nil {
		return err
	}
	from, err := src.SyscallConn()
	if err != nil {
		return err
	}
	var inner, answer error
	outer := to.Control(func(dstFd uintptr) {
		inner = from.Control(func(srcFd uintptr) { answer = unix.IoctlFileClone(int(dstFd), int(srcFd)) })
	})
	if err := errors.Join(outer, inner); err != nil {
		return err
	}
	switch {
	case answer == nil:
		return nil
	case cannot(answer):
		return ErrUnsupported
	}
	return fmt.Errorf("clone %s: %w", src.Name(), answer)
}

// cannot tells the answers that mean "not these files" from those that mean trouble. Which one a file system without
// reflinks gives depends on the kernel and the file system.
func cannot(err error) bool {
	for _, no := range []syscall.Errno{
		unix.EOPNOTSUPP, unix.ENOTTY, unix.ENOSYS, unix.EXDEV, unix.EINVAL, unix.EPERM, unix.EACCES,
	} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}
