package blobstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/internal/key"
)

// All gives the digest of every blob once, in no order, from one pass over the folders: a blob that comes or goes meanwhile
// may or may not be among them. What is no blob is skipped; [Store.Foreign] has it. It ends with the first error.
func (s *Store) All() iter.Seq2[digest.Digest, error] {
	return func(yield func(digest.Digest, error) bool) {
		for e, err := range s.entries() {
			if err != nil {
				yield("", err)
				return
			}
			k, ok := e.key()
			if !ok || e.packed && s.formPath(k) == s.rawPath(k) { // it was given already
				continue
			}
			if !yield(k.Digest(), nil) {
				return
			}
		}
	}
}

// Packed gives the digest of every blob whose only form is packed; it is as All is.
func (s *Store) Packed() iter.Seq2[digest.Digest, error] {
	return func(yield func(digest.Digest, error) bool) {
		more, err := list(s.packed(), true, func(e entry, _ error) bool {
			k, ok := e.key()
			return !ok || s.formPath(k) == s.rawPath(k) || yield(k.Digest(), nil)
		})
		if err := ignoreMissing(err); more && err != nil {
			yield("", err)
		}
	}
}

// Size is how many bytes a blob takes on the disk, by its file alone: nothing is read, put back or checked. It is for who adds up what
// many take. The errors are ErrNotFound, that of a digest which is none, and those of the file system.
func (s *Store) Size(d digest.Digest) (int64, error) {
	k, err := key.Parse(d)
	if err != nil {
		return 0, err
	}
	info, err := os.Lstat(s.formPath(k))
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular():
		return 0, fmt.Errorf("%w: %s", ErrNotFound, d)
	case err != nil:
		return 0, err
	}
	return info.Size(), nil
}

// Foreign gives the paths of what lies where blobs are and is no blob, by its name or its type.
func (s *Store) Foreign() ([]string, error) {
	var foreign []string
	for e, err := range s.entries() {
		if err != nil {
			return nil, err
		}
		if _, ok := e.key(); !ok {
			foreign = append(foreign, filepath.Join(e.dir, e.Name()))
		}
	}
	slices.Sort(foreign)
	return foreign, nil
}

// entry is what lies in a folder of blobs.
type entry struct {
	fs.DirEntry
	dir    string
	packed bool // the folder is that of packed blobs
}

// key is that of the blob that the entry is, if it is one.
func (e entry) key() (key.Key, bool) {
	hex, ok := e.Name(), true
	if e.packed {
		hex, ok = strings.CutSuffix(hex, packedSuffix)
	}
	k, err := key.ParseHex(hex)
	return k, ok && err == nil && e.Type().IsRegular()
}

// entries gives what lies in blobs/sha256 and in packed/sha256, a thousand at a time, so that a large store costs no
// memory.
func (s *Store) entries() iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		more, err := list(s.blobs(), false, yield)
		if more && err == nil {
			more, err = list(s.packed(), true, yield)
			err = ignoreMissing(err)
		}
		if more && err != nil {
			yield(entry{}, err)
		}
	}
}

// list gives the entries of a folder until yield has enough, which more tells.
func list(path string, packed bool, yield func(entry, error) bool) (more bool, err error) {
	dir, err := os.Open(path)
	if err != nil {
		return true, err
	}
	defer func() { _ = dir.Close() }()
	for {
		entries, err := dir.ReadDir(1000)
		for _, e := range entries {
			if !yield(entry{e, path, packed}, nil) {
				return false, nil
			}
		}
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return true, err
		}
	}
}
