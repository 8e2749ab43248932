package tags

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/internal/durable"
)

// Delete deletes the tag called name, and its pin, if it means the manifest want ("" for any), and rebuilds index.json.
// It compares and deletes under the tag's lock. With want "" a tag that is unreadable can be deleted too.
// The errors are ErrName, ErrNotFound, ErrMoved, ErrUnreadable.
func (t *Tags) Delete(ctx context.Context, name string, want digest.Digest) error {
	file, err := escape(name)
	if err != nil {
		return err
	}
	err = t.remove(ctx, file, func(tag Tag, err error) error {
		switch {
		case errors.Is(err, ErrUnreadable) && want == "":
			return nil
		case err == nil && want != "" && tag.Descriptor.Digest != want:
			return fmt.Errorf("%w: %q is %s", ErrMoved, name, tag.Descriptor.Digest)
		}
		return err
	})
	if err != nil {
		return err
	}
	return t.RebuildIndex(ctx)
}

// Drop deletes those of the tags that still are what the arguments say: there, unpinned, and with the same descriptor.
// It is Delete for many, for who collects: index.json is rebuilt once, and what changed meanwhile is left alone and is
// no error. dropped is what went, also beside an error.
func (t *Tags) Drop(ctx context.Context, tags ...Tag) (dropped []Tag, err error) {
	for _, tag := range tags {
		file, err := escape(tag.Name)
		if err != nil {
			return dropped, err
		}
		err = t.remove(ctx, file, func(have Tag, err error) error {
			if err == nil && (have.Descriptor.Digest != tag.Descriptor.Digest || t.pinned(file)) {
				return ErrMoved
			}
			return err
		})
		switch {
		case err == nil:
			dropped = append(dropped, tag)
		case !errors.Is(err, ErrMoved) && !errors.Is(err, ErrNotFound):
			return dropped, errors.Join(fmt.Errorf("drop tag %q: %w", tag.Name, err), t.RebuildIndex(ctx))
		}
	}
	if len(dropped) == 0 {
		return nil, nil
	}
	return dropped, t.RebuildIndex(ctx)
}

// remove deletes a tag and its pin under the tag's lock, unless check, given what Get would say, has an error.
func (t *Tags) remove(ctx context.Context, file string, check func(Tag, error) error) (err error) {
	unlock, err := t.lock(ctx, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := check(t.read(file)); err != nil {
		return err
	}
	// The pin first: one that outlived its tag would pin whatever gets the name next.
	if err := durable.Remove(t.pinPath(file)); err != nil {
		return err
	}
	return durable.Remove(t.tagPath(file))
}

// Touch makes now the last use of the tag called name. It takes no lock, waits for no disk, and changes nothing else.
// The errors are ErrName, ErrNotFound, and those of the file system: a store may be read-only.
func (t *Tags) Touch(name string) error {
	file, err := escape(name)
	if err != nil {
		return err
	}
	var now time.Time
	if t.opts.Now != nil {
		now = t.opts.Now()
	}
	if err = touch(t.tagPath(file), now); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %q", ErrNotFound, name)
	}
	return err
}

// Pin marks the tag called name as one that stays. The errors are ErrName, ErrNotFound.
func (t *Tags) Pin(name string) error {
	return t.pin(name, func(path string) error { return durable.WriteFile(path, nil, t.perm()) })
}

// Unpin takes the mark off. It is no error when there is none. The errors are ErrName, ErrNotFound.
func (t *Tags) Unpin(name string) error { return t.pin(name, durable.Remove) }

// pin changes the pin of a tag that is there, under the tag's lock, which nobody holds for longer than a write takes.
func (t *Tags) pin(name string, change func(path string) error) (err error) {
	file, err := escape(name)
	if err != nil {
		return err
	}
	unlock, err := t.lock(context.Background(), file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if _, err := os.Lstat(t.tagPath(file)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %q", ErrNotFound, name)
	} else if err != nil {
		return err
	}
	return change(t.pinPath(file))
}
