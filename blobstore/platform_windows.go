package blobstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/mstore/mstore/internal/durable"
)

// openRegular opens a file for reading that must be regular, not a link and not a folder.
func openRegular(path string) (*os.File, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is %s", ErrCorrupt, path, info.Mode().Type())
	}
	return os.Open(path)
}

// openPrivate opens a file of a partial for reading and writing, making it. A link is not followed.
func openPrivate(path string) (*os.File, error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file of one name", path)
	}
	return durable.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
}

// checkOwner trusts the access lists of the folder, which are not ours to read.
func checkOwner(string, fs.FileInfo, bool) error { return nil }

// keepLocked has no exec(2) to serve here.
func keepLocked(string) (*os.File, error) { return nil, errors.ErrUnsupported }
