package blobstore

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/internal/key"
)

// Trashed is a blob that a sweep has moved aside and not yet deleted. Its digest still answers: a reader that misses
// the blob puts it back.
type Trashed struct {
	store *Store
	key   key.Key
	path  string
	home  string // where it goes back
	size  int64
}

// Digest is the digest that the blob had.
func (t Trashed) Digest() digest.Digest { return t.key.Digest() }

// Size is the length of its file in bytes.
func (t Trashed) Size() int64 { return t.size }

// Trash moves a blob aside, in each form that it has: the first half of its removal. It fails with ErrNotFound when
// there is none; beside another error it is what was moved.
func (s *Store) Trash(d digest.Digest) ([]Trashed, error) {
	k, err := key.Parse(d)
	if err != nil {
		return nil, err
	}
	var moved []Trashed
	for _, form := range []string{s.packedPath(k), s.rawPath(k)} {
		t, err := s.trash(k, form)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return moved, err
		default:
			moved = append(moved, t)
		}
	}
	if len(moved) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, d)
	}
	return moved, nil
}

func (s *Store) trash(k key.Key, form string) (Trashed, error) {
	info, err := os.Lstat(form)
	if err != nil {
		return Trashed{}, err
	}
	if !info.Mode().IsRegular() {
		return Trashed{}, fmt.Errorf("%w: %s", ErrCorrupt, k)
	}
	t := Trashed{store: s, key: k, path: s.trashPath(k) + suffixOf(form), home: form, size: info.Size()}
	return t, durable.Move(form, t.path)
}

// Trashed is what lies in trash now, left by sweeps that are under way or were killed. What lay under a blob's name and
// was no blob is there too, for a person to look at; it is skipped.
func (s *Store) Trashed() ([]Trashed, error) {
	entries, err := os.ReadDir(s.Dir("trash"))
	if err != nil {
		return nil, err
	}
	var all []Trashed
	for _, e := range entries {
		hex, _, _ := strings.Cut(e.Name(), ".")
		k, err := key.ParseHex(hex)
		info, statErr := e.Info()
		if err != nil || statErr != nil || !info.Mode().IsRegular() {
			continue
		}
		t := Trashed{store: s, key: k, path: filepath.Join(s.Dir("trash"), e.Name()), home: s.rawPath(k), size: info.Size()}
		if suffixOf(t.path) == packedSuffix {
			t.home = s.packedPath(k)
		}
		all = append(all, t)
	}
	return all, nil
}

// Restore puts the blob back. It is no error when somebody else did, or deleted it.
func (t Trashed) Restore() error {
	return ignoreMissing(durable.Move(t.path, t.home))
}

// Delete removes the blob for good. gone is false, without an error, when it is no longer in the trash: somebody else
// put it back, or removed it.
func (t Trashed) Delete() (gone bool, err error) {
	err = durable.Delete(t.path)
	return err == nil, ignoreMissing(err)
}

// restore puts back a trashed blob with this key, if there is one.
func (s *Store) restore(k key.Key) error {
	all, err := s.Trashed()
	if err != nil {
		return err
	}
	for _, t := range all {
		if t.key != k {
			continue
		}
		err := durable.Move(t.path, t.home)
		if !errors.Is(err, fs.ErrNotExist) { // this one is back; or was deleted, and there may be another
			return err
		}
	}
	return nil
}

// trashPath is a new private name in trash/.
func (s *Store) trashPath(k key.Key) string { return k.In(s.Dir("trash")) + "." + nonce() }

// nonce is a name that no other writer has.
func nonce() string { return strings.ToLower(rand.Text()) }
