package tags

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// readFile is the content of the regular file at path, at most limit bytes, and its modification time. A link of any
// sort is not followed.
func readFile(path string, limit int) (data []byte, modified time.Time, err error) {
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
	data, err = io.ReadAll(io.LimitReader(f, int64(limit)))
	return data, info.ModTime(), err
}

// touch sets the modification time of the file at path; a zero time is now.
func touch(path string, to time.Time) error {
	if to.IsZero() {
		to = time.Now()
	}
	return os.Chtimes(path, to, to)
}
