package tags

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/mstore/mstore/internal/durable"
)

// readFile is the content of the regular file at path, at most limit bytes, and its modification time. A link of any
// sort is not followed. The bytes are in buf, which is grown where it must be.
func readFile(path string, limit int, buf []byte) (data []byte, modified time.Time, err error) {
	named, err := os.Lstat(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	if !named.Mode().IsRegular() {
		return nil, time.Time{}, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, time.Time{}, err
	}
	if info.Size() > int64(limit) {
		return nil, time.Time{}, fmt.Errorf("%d bytes are more than the %d it may have", info.Size(), limit)
	}
	data = slices.Grow(buf[:0], int(info.Size()))[:info.Size()]
	n, err := io.ReadFull(f, data)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil // it was cut meanwhile, and is what it is
	}
	return data[:n], info.ModTime(), err
}

// touch sets the modification time of the file at path; a zero time is now.
func touch(path string, to time.Time) error {
	if to.IsZero() {
		to = time.Now()
	}
	return durable.Chtimes(path, to)
}
