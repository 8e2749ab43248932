package durable

import (
	"io/fs"
	"os"
	"time"
)

// Root is an os.Root whose changes go through this package. None of them is durable: SyncFile and SyncDir make what
// they did so.
type Root struct{ *os.Root }

// OpenRoot opens the folder at path.
func OpenRoot(path string) (Root, error) {
	root, err := os.OpenRoot(path)
	return Root{root}, err
}

// OpenRoot opens the folder name below r.
func (r Root) OpenRoot(name string) (Root, error) {
	root, err := r.Root.OpenRoot(name)
	return Root{root}, err
}

// at is the path of name, for those who are told of a step.
func (r Root) at(name string) string { return r.Name() + string(os.PathSeparator) + name }

// Create makes the empty file name, which must not be there, and opens it for writing.
//
//	openat(O_CREAT|O_EXCL)
func (r Root) Create(name string, perm fs.FileMode) (f *os.File, err error) {
	err = step("create", r.at(name), func() error {
		f, err = r.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
		return err
	})
	return f, err
}

// Mkdir is os.Root's.
//
//	mkdirat
func (r Root) Mkdir(name string, perm fs.FileMode) error {
	return step("mkdir", r.at(name), func() error { return r.Root.Mkdir(name, perm) })
}

// Chmod is os.Root's.
//
//	fchmodat
func (r Root) Chmod(name string, mode fs.FileMode) error {
	return step("chmod", r.at(name), func() error { return r.Root.Chmod(name, mode) })
}

// Chtimes sets the times of last access and change.
//
//	utimensat
func (r Root) Chtimes(name string, to time.Time) error {
	return step("utimes", r.at(name), func() error { return r.Root.Chtimes(name, to, to) })
}

// Rename is os.Root's.
//
//	renameat
func (r Root) Rename(from, to string) error {
	return step("rename", r.at(to), func() error { return r.Root.Rename(from, to) })
}

// Link is os.Root's.
//
//	linkat
func (r Root) Link(from, to string) error {
	return step("link", r.at(to), func() error { return r.Root.Link(from, to) })
}

// Symlink is os.Root's.
//
//	symlinkat
func (r Root) Symlink(to, name string) error {
	return step("symlink", r.at(name), func() error { return r.Root.Symlink(to, name) })
}

// Remove is os.Root's.
//
//	unlinkat
func (r Root) Remove(name string) error {
	return step("remove", r.at(name), func() error { return r.Root.Remove(name) })
}

// RemoveAll is os.Root's, as one step.
//
//	unlinkat, for each file and folder
func (r Root) RemoveAll(name string) error {
	return step("removeall", r.at(name), func() error { return r.Root.RemoveAll(name) })
}
