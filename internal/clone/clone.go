// Package clone copies the bytes of files the cheapest way the file system has.
//
// [File] shares the blocks of one file with another (a reflink): no bytes move, and a later write to either leaves
// the other alone. Where that cannot be, [Copy] moves the bytes, in the kernel when both ends are files. The package
// makes no file durable and names none; it knows nothing of what the files mean.
package clone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// ErrUnsupported reports that two files cannot share blocks: the file system has no reflinks, or the files are on two
// of them. It is also errors.ErrUnsupported. The answer to it is [Copy].
var ErrUnsupported = fmt.Errorf("sharing blocks between files: %w", errors.ErrUnsupported)

const (
	// bufferSize is the memory a copy takes. From 256 KiB on a larger buffer is no faster on a local disk; 1 MiB
	// leaves room for disks that are far away.
	bufferSize = 1 << 20
	// stride is how many bytes go between two looks at the context when the kernel does the copying: a tenth of a
	// second on a disk of 80 MB/s.
	stride = 8 << 20
)

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// File gives dst, which must be empty and open for writing, the content of src by sharing its blocks. Offsets of both
// are left alone. The error is [ErrUnsupported] when this cannot be done here, and dst is then as it was.
func File(dst, src *os.File) error { return cloneFile(dst, src) }

// Copy writes what is left of src to dst, from the offset of each, until the end of src or the end of ctx.
// progress, if not nil, is called in this goroutine after each piece with the bytes of that piece, not the sum.
// It returns how many bytes were written, also beside an error.
func Copy(ctx context.Context, dst io.Writer, src io.Reader, progress func(n int64)) (int64, error) {
	step := copyBuffered
	if files(dst, src) {
		step = copyInKernel
	}
	var done int64
	for {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		n, end, err := step(dst, src)
		done += n
		if n > 0 && progress != nil {
			progress(n)
		}
		if end || err != nil {
			return done, err
		}
	}
}

func files(dst io.Writer, src io.Reader) bool {
	_, to := dst.(*os.File)
	_, from := src.(*os.File)
	return to && from
}

// copyInKernel copies one stride between two files; end tells that src has ended.
func copyInKernel(dst io.Writer, src io.Reader) (n int64, end bool, err error) {
	n, err = io.Copy(dst, io.LimitReader(src, stride)) // copy_file_range, on Linux
	return n, err == nil && n < stride, err
}

// copyBuffered copies what one read gives; end tells that src has ended.
func copyBuffered(dst io.Writer, src io.Reader) (n int64, end bool, err error) {
	buf, _ := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	read, readErr := src.Read(buf[:])
	if end = readErr == io.EOF; end {
		readErr = nil
	}
	if read == 0 {
		return 0, end, readErr
	}
	written, err := dst.Write(buf[:read])
	switch {
	case err != nil:
		return int64(written), false, err
	case written < read:
		return int64(written), false, io.ErrShortWrite
	}
	return int64(written), end, readErr
}
