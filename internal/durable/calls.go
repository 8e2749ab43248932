package durable

import (
	"io/fs"
	"os"
	"time"
)

// What follows is one system call each, neither durable nor more atomic than the call is. It is here so that whatever
// changes a store on disk goes through this package, where a test can make it fail (see failpoints.go).

// Create makes the empty file at path, which must not be there, and opens it for reading and writing.
//
//	openat(O_CREAT|O_EXCL)
func Create(path string, perm fs.FileMode) (*os.File, error) {
	return OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
}

// OpenFile is os.OpenFile, for flags that make or change the file.
//
//	openat
func OpenFile(path string, flag int, perm fs.FileMode) (f *os.File, err error) {
	err = step("open", path, func() error { f, err = os.OpenFile(path, flag, perm); return err })
	return f, err
}

// CreateTemp makes an empty file with a private name in dir; IsTemp knows it.
//
//	openat(dir/.tmp-*, O_CREAT|O_EXCL)
func CreateTemp(dir string) (f *os.File, err error) {
	err = step("create", dir, func() error { f, err = os.CreateTemp(dir, tempPrefix+"*"); return err })
	return f, err
}

// Mkdir makes the folder at path, which must not be there.
//
//	mkdirat
func Mkdir(path string, perm fs.FileMode) error {
	return step("mkdir", path, func() error { return os.Mkdir(path, perm) })
}

// Write writes p where f stands.
//
//	write
func Write(f *os.File, p []byte) (int, error) { return writing("write", f.Name(), p, f.Write) }

// WriteAt writes p at an offset of f. It is safe for concurrent use.
//
//	pwrite64
func WriteAt(f *os.File, p []byte, off int64) (int, error) {
	return writing("write", f.Name(), p, func(p []byte) (int, error) { return f.WriteAt(p, off) })
}

// Truncate gives the open file f another size.
//
//	ftruncate
func Truncate(f *os.File, size int64) error {
	return step("truncate", f.Name(), func() error { return f.Truncate(size) })
}

// Chmod gives the open file f another mode.
//
//	fchmod
func Chmod(f *os.File, mode fs.FileMode) error {
	return step("chmod", f.Name(), func() error { return f.Chmod(mode) })
}

// ChmodPath gives the file or folder at path another mode.
//
//	fchmodat
func ChmodPath(path string, mode fs.FileMode) error {
	return step("chmod", path, func() error { return os.Chmod(path, mode) })
}

// Chtimes sets the times of last access and change of the file at path.
//
//	utimensat
func Chtimes(path string, to time.Time) error {
	return step("utimes", path, func() error { return os.Chtimes(path, to, to) })
}

// Delete removes the name of a file, or an empty folder: atomic, not durable. A power cut may bring it back.
//
//	unlinkat
func Delete(path string) error {
	return step("remove", path, func() error { return os.Remove(path) })
}

// Call is another system call on path, which the caller makes.
func Call(name, path string, call func() error) error { return step(name, path, call) }
