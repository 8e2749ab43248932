package blobstore

import (
	"bytes"
	"errors"
	"io/fs"
	"os"

	"github.com/mstore/mstore/internal/durable"
)

const (
	// spareFile takes room in a store, so that there is some to give up when the disk is full: what removes something
	// has to write a little first.
	spareFile = "spare"
	spareSize = 256 << 10
	// ample is the free space at which the spare file is made again.
	ample = 32 * spareSize
)

// GiveUpSpare removes the spare file when the disk is full, or nearly so. Whoever is about to free space calls it first.
func (s *Store) GiveUpSpare() error {
	free, total, err := durable.Space(s.root)
	if err != nil || total == 0 || free >= spareSize {
		return nil //nolint:nilerr // a file system that does not tell its space has enough, as far as anybody knows
	}
	return ignoreMissing(durable.Delete(s.Dir(spareFile)))
}

// KeepSpare makes the spare file when there is none and the disk has room. Whoever has freed space calls it last.
func (s *Store) KeepSpare() error {
	if _, err := os.Lstat(s.Dir(spareFile)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	free, total, err := durable.Space(s.root)
	if err != nil || total == 0 || free < ample {
		return nil //nolint:nilerr // likewise
	}
	return durable.WriteFile(s.Dir(spareFile), bytes.Repeat([]byte("spare room "), spareSize/len("spare room ")), 0o644)
}
