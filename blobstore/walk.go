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

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/internal/key"
)

// All gives the digest of every blob, in no order, from one pass over the folder: a blob that comes or goes meanwhile
// may or may not be among them. What is no blob is skipped; [Store.Foreign] has it. It ends with the first error.
func (s *Store) All() iter.Seq2[digest.Digest, error] {
	return func(yield func(digest.Digest, error) bool) {
		for e, err := range s.entries() {
			if err != nil {
				yield("", err)
				return
			}
			k, err := key.ParseHex(e.Name())
			if err == nil && e.Type().IsRegular() && !yield(k.Digest(), nil) {
				return
			}
		}
	}
}

// Size is how many bytes a blob takes, by its file alone: nothing is read, put back or checked. It is for who adds up what
// many take. The errors are ErrNotFound, that of a digest which is none, and those of the file system.
func (s *Store) Size(d digest.Digest) (int64, error) {
	k, err := key.Parse(d)
	if err != nil {
		return 0, err
	}
	info, err := os.Lstat(k.In(s.blobs()))
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular():
		return 0, fmt.Errorf("%w: %s", ErrNotFound, d)
	case err != nil:
		return 0, err
	}
	return info.Size(), nil
}

// Foreign gives the paths of what lies in blobs/ and is no blob, by its name or its type.
func (s *Store) Foreign() ([]string, error) {
	var foreign []string
	for e, err := range s.entries() {
		if err != nil {
			return nil, err
		}
		if _, err := key.ParseHex(e.Name()); err != nil || !e.Type().IsRegular() {
			foreign = append(foreign, filepath.Join(s.blobs(), e.Name()))
		}
	}
	slices.Sort(foreign)
	return foreign, nil
}

// entries gives what lies in blobs/sha256, a thousand at a time, so that a large store costs no memory.
func (s *Store) entries() iter.Seq2[fs.DirEntry, error] {
	return func(yield func(fs.DirEntry, error) bool) {
		dir, err := os.Open(s.blobs())
		if err != nil {
			yield(nil, err)
			return
		}
		defer func() { _ = dir.Close() }()
		for {
			entries, err := dir.ReadDir(1000)
			for _, e := range entries {
				if !yield(e, nil) {
					return
				}
			}
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
	}
}
