package export

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mstore/mstore/internal/durable"
)

// errBlocked: what should be a folder on the way to a file is something else.
var errBlocked = errors.New("not a folder")

// folder is a folder that is only reached through its Root. Paths are slash-separated and clean; none ends in a
// slash.
type folder struct {
	root durable.Root
	// perm is the mode of the folders made below, whatever the umask; 0 leaves it to the umask.
	perm fs.FileMode
	// grace is how long a stage in it is left alone, living or dead; 0 where locks tell which.
	grace time.Duration
}

// parents makes the folders above p. The error is errBlocked when one of them is there and is no folder: links are
// not followed, wherever they lead.
func (f folder) parents(p string) error {
	for i, c := range p {
		if c != '/' {
			continue
		}
		if err := f.mkdir(p[:i]); err != nil {
			return err
		}
	}
	return nil
}

// mkdir makes the folder p, whose parents are there, unless it is there.
func (f folder) mkdir(p string) error {
	name := filepath.FromSlash(p)
	err := f.root.Mkdir(name, 0o777)
	switch {
	case errors.Is(err, fs.ErrExist):
		return f.isFolder(p)
	case err != nil || f.perm == 0:
		return err
	}
	return f.root.Chmod(name, f.perm)
}

func (f folder) isFolder(p string) error {
	info, err := f.root.Lstat(filepath.FromSlash(p))
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%q is %w", p, errBlocked)
	}
	return err
}

// lookup is what lies at p. The error is fs.ErrNotExist when nothing does or its folder is missing, and errBlocked
// when a parent is no folder.
func (f folder) lookup(p string) (fs.FileInfo, error) {
	for i, c := range p {
		if c != '/' {
			continue
		}
		if err := f.isFolder(p[:i]); err != nil {
			return nil, err
		}
	}
	return f.root.Lstat(filepath.FromSlash(p))
}

// open opens the regular file at p that info describes for reading. It never waits at a pipe and follows no link that
// took the file's place.
func (f folder) open(p string, info fs.FileInfo) (*os.File, error) {
	file, err := f.root.OpenFile(filepath.FromSlash(p), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	opened, err := file.Stat()
	if err == nil && !os.SameFile(info, opened) {
		err = fmt.Errorf("%q was replaced while it was opened", p)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// create makes the empty file p, which must not be there.
func (f folder) create(p string, perm fs.FileMode) (*os.File, error) {
	return f.root.Create(filepath.FromSlash(p), perm)
}

func (f folder) remove(p string) error { return f.root.Remove(filepath.FromSlash(p)) }

// removeAll removes p and what is below. A process that mends a view may make a folder in it after it was moved aside:
// then it is tried again.
func (f folder) removeAll(p string) (err error) {
	for range races {
		if err = f.root.RemoveAll(filepath.FromSlash(p)); !errors.Is(err, fs.ErrExist) { // ENOTEMPTY
			return err
		}
	}
	return err
}

// sub opens the folder p below f, which this process made.
func (f folder) sub(p string) (folder, error) {
	root, err := f.root.OpenRoot(filepath.FromSlash(p))
	return folder{root: root, perm: f.perm}, err
}

// names is what the folder p holds; "." is f itself.
func (f folder) names(p string) ([]fs.DirEntry, error) {
	dir, err := f.root.Open(filepath.FromSlash(p))
	if err != nil {
		return nil, err
	}
	entries, err := dir.ReadDir(-1)
	return entries, errors.Join(err, dir.Close())
}

// walk calls visit for everything below f, parents first. Links are visited and not followed.
func (f folder) walk(visit func(p string, e fs.DirEntry) error) error {
	return f.walkFrom("", visit)
}

func (f folder) walkFrom(p string, visit func(p string, e fs.DirEntry) error) error {
	entries, err := f.names(path.Join(".", p))
	if err != nil {
		return err
	}
	for _, e := range entries {
		below := path.Join(p, e.Name())
		if err := visit(below, e); err != nil {
			return err
		}
		if !e.IsDir() {
			continue
		}
		if err := f.walkFrom(below, visit); err != nil {
			return err
		}
	}
	return nil
}

// path is the path of p on this machine, for system calls that a Root does not have.
func (f folder) path(p string) string { return filepath.Join(f.root.Name(), filepath.FromSlash(p)) }

// missing tells whether err says that nothing is there.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func ignoreMissing(err error) error {
	if missing(err) {
		return nil
	}
	return err
}
