package tags

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/mstore/mstore/internal/durable"
)

// List is all tags, sorted by name. Those that cannot be read are an error beside the rest, one ErrUnreadable each
// with the path of its file. A tag that goes while List looks is not in it. Files that no tag can have, as desktop
// systems leave them (.DS_Store), are passed over.
func (t *Tags) List() ([]Tag, error) {
	files, err := names(t.tagDir())
	if err != nil {
		return nil, err
	}
	pins, err := names(t.pinDir())
	if err != nil {
		return nil, err
	}
	pinned := make(map[string]struct{}, len(pins))
	for _, file := range pins {
		pinned[file] = struct{}{}
	}
	tags, errs := t.readAll(files)
	list := tags[:0]
	for i, tag := range tags {
		if errs[i] == nil {
			_, tag.Pinned = pinned[files[i]]
			list = append(list, tag)
		}
	}
	sortByName(list)
	for i, err := range errs {
		if errors.Is(err, ErrNotFound) {
			errs[i] = nil // gone since the folder was read
		}
	}
	return list, errors.Join(errs...)
}

// names is the files of a folder that are no debris.
func names(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	all, err := d.Readdirnames(-1)
	if err := errors.Join(err, d.Close()); err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	kept := all[:0]
	for _, name := range all {
		if !durable.IsTemp(name) && name[0] != '.' {
			kept = append(kept, name)
		}
	}
	return kept, nil
}

// readAll reads the tags of files, several at once: what costs is the system calls.
func (t *Tags) readAll(files []string) ([]Tag, []error) {
	const (
		perWorker = 64 // fewer are read sooner than a goroutine starts
		usualTag  = 1 << 10
	)
	tags, errs := make([]Tag, len(files)), make([]error, len(files))
	workers := min(runtime.GOMAXPROCS(0)*2, len(files)/perWorker+1)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			buf := make([]byte, 0, usualTag)
			for i := next.Add(1) - 1; i < int64(len(files)); i = next.Add(1) - 1 {
				tags[i], errs[i] = t.readInto(files[i], buf)
			}
		})
	}
	wg.Wait()
	return tags, errs
}

// read is the tag in a file of the folder, Pinned aside. The errors are ErrNotFound and ErrUnreadable.
func (t *Tags) read(file string) (Tag, error) { return t.readInto(file, nil) }

// readInto is read with a buffer for the bytes of the file, if they fit.
func (t *Tags) readInto(file string, buf []byte) (Tag, error) {
	name, ok := unescape(file)
	if !ok {
		return Tag{}, t.unreadable(file, errors.New("no tag has such a file name"))
	}
	data, used, err := readFile(t.tagPath(file), maxTag, buf)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Tag{}, fmt.Errorf("%w: %q", ErrNotFound, name)
	case err != nil:
		return Tag{}, t.unreadable(file, err)
	}
	tag, err := decode(data)
	if err != nil {
		return Tag{}, t.unreadable(file, err)
	}
	if tag.Name != name || tag.Descriptor.Digest == "" {
		return Tag{}, t.unreadable(file, fmt.Errorf("it says that it is %q", clip(tag.Name)))
	}
	tag.LastUsed = used
	return tag, nil
}

func (t *Tags) unreadable(file string, err error) error {
	return fmt.Errorf("%w %s: %w", ErrUnreadable, t.tagPath(file), err)
}
