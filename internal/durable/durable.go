// Package durable writes what a power cut must not take back.
//
// It is the only caller of rename, link and fsync in this module, and whatever else changes a store goes through it too,
// so that a build with the tag failpoints can fail, or die, at each of these steps. Each function names its system
// calls in order; TestSystemCalls compares them with what strace sees. "Durable" means: on disk when the function has
// returned. "Atomic" means: a reader sees the old state or the new one. The package knows nothing of what the files mean.
//
// An error of fsync is final for the file: the kernel may have dropped the pages and forgotten the error, so the file
// is thrown away and never synced a second time.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// tempPrefix marks the private files of writers in folders that are listed; [IsTemp] knows them.
const tempPrefix = ".tmp-"

// WriteFile makes path hold data with mode perm, whatever it held before: atomic and durable. Concurrent writers of
// one path are safe, the last rename wins. On an error path is as it was.
// A write that says it wrote everything is not believed: the file's size is compared.
//
//	openat(dir/.tmp-*, O_CREAT|O_EXCL)  write  fstat  fchmod  fsync  close  rename  openat(dir)  fsync  close
func WriteFile(path string, data []byte, perm fs.FileMode) (err error) {
	f, err := CreateTemp(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(Delete(f.Name())))
		}
	}()
	_, err = Write(f, data)
	if err == nil {
		err = CheckSize(f, int64(len(data)))
	}
	if err == nil {
		err = Chmod(f, perm)
	}
	if err == nil {
		err = SyncFile(f)
	}
	if err := errors.Join(err, step("close", f.Name(), f.Close)); err != nil {
		return err
	}
	if err := Move(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// CheckSize holds the size of a file against what its writes said they wrote. The error is io.ErrShortWrite.
//
//	fstat
func CheckSize(f *os.File, want int64) error {
	info, err := f.Stat()
	if err == nil && info.Size() != want {
		err = &fs.PathError{Op: "write", Path: f.Name(), Err: io.ErrShortWrite}
	}
	return err
}

// Publish gives the open file f its final name: atomic and durable. What path named before is replaced, unless it is
// a folder. The name of f must be on the same file system. f stays open, and is the caller's to close.
// On an error of the sync the file is not published and must not be published later.
//
//	fsync(f)  rename  openat(dir)  fsync  close
func Publish(f *os.File, path string) error {
	if err := SyncFile(f); err != nil {
		return err
	}
	if err := Move(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// PublishDir is Publish for a folder whose files may be lost in a power cut without harm (it is derived): the folder
// appears whole or not at all to every reader, and its name survives. It fails with fs.ErrExist when path is there.
//
//	rename  openat(dir)  fsync  close
func PublishDir(from, path string) error {
	if _, err := os.Lstat(path); err == nil {
		return &fs.PathError{Op: "publish", Path: path, Err: fs.ErrExist}
	}
	if err := Move(from, path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// MkdirAll makes path and the folders above it that are missing, each durable before the next. It is no error when
// path is a folder already.
//
//	for each missing folder, outermost first: mkdirat  openat(parent)  fsync  close
func MkdirAll(path string, perm fs.FileMode) error {
	if info, err := os.Stat(path); err == nil {
		if info.IsDir() {
			return nil
		}
		return &fs.PathError{Op: "mkdir", Path: path, Err: errNotDir}
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := MkdirAll(parent, perm); err != nil {
			return err
		}
	}
	if err := Mkdir(path, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return SyncDir(parent)
}

// SyncFile makes the bytes of the open file f durable; its name is its folder's (see SyncDir). After an error the file
// is to be thrown away.
//
//	fsync(f)
func SyncFile(f *os.File) error { return step("fsync", f.Name(), f.Sync) }

// Move renames a file or folder: atomic, not durable. It is for moves that may be undone by a power cut without harm.
//
//	rename
func Move(from, to string) error {
	return step("rename", to, func() error { return os.Rename(from, to) })
}

// Link gives the file at from a second name: atomic, not durable. It fails with fs.ErrExist when to is there.
//
//	linkat
func Link(from, to string) error {
	return step("link", to, func() error { return os.Link(from, to) })
}

// Remove deletes the file at path: durable. A file that is not there is no error, but it is not synced either.
//
//	unlinkat  openat(dir)  fsync  close
func Remove(path string) error {
	if err := Delete(path); err != nil {
		return ignoreMissing(err)
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes the names in a folder durable.
//
//	openat(dir)  fsync  close
func SyncDir(dir string) error {
	if err := step("syncdir", dir, func() error { return syncDir(dir) }); err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}

// IsTemp tells whether a file name is that of an unfinished WriteFile.
func IsTemp(name string) bool { return strings.HasPrefix(name, tempPrefix) }

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
