package blobstore

import (
	"cmp"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/internal/flock"
)

// adopt takes over the fullest partial of id that can be written on, by a rename that one heir wins. It is a favour:
// what cannot be adopted is left where it is, and what is of no use goes. p is nil when there is none.
//
// Only who is dead for certain has heirs. A process that was merely silent for long may wake up and write into the file
// that we have verified meanwhile; what it left may be removed, and is not written on.
func (s *Store) adopt(id string, size int64) (p *partial, have extents, from mark) {
	for _, dir := range s.fullestFirst(id) {
		path := s.partialPath(id)
		if err := s.inherit(dir, path); err != nil {
			s.log.Debug("a partial blob is not adopted", "partial", dir, "error", err)
			continue
		}
		p, have, from, err := usePartial(path, size)
		if err == nil {
			return p, have, from
		}
		if errors.Is(err, errUnusable) { // else it may be of use when the disk has room again
			err = errors.Join(err, removePartial(path))
		}
		s.log.Debug("an adopted partial blob could not be used", "partial", path, "error", err)
	}
	return nil, nil, mark{}
}

// errAlive says that a partial has an owner.
var errAlive = errors.New("its process may be alive")

// inherit moves the partial at dir to path, when its owner is dead for certain. It is made young first, so that it is
// not reaped before it has its new owner.
func (s *Store) inherit(dir, path string) error {
	unlock, f, err := s.claimPartial(dir)
	if err != nil {
		return err
	}
	if f == alive {
		return errAlive
	}
	if f == silent {
		return errors.Join(errAlive, unlock())
	}
	now := time.Now()
	err = durable.Chtimes(dir, now)
	if err == nil {
		err = durable.Move(dir, path)
	}
	return errors.Join(err, unlock())
}

// fullestFirst gives the partials of id that have data, the one with the most first.
func (s *Store) fullestFirst(id string) []string {
	size := make(map[string]int64)
	var dirs []string
	for _, dir := range s.partials(id) {
		info, err := os.Lstat(filepath.Join(dir, dataFile))
		if err == nil && info.Mode().IsRegular() {
			size[dir] = info.Size()
			dirs = append(dirs, dir)
		}
	}
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Compare(size[b], size[a]) })
	return dirs
}

// partials are the folders of id in ingest/, and of all when id is empty.
func (s *Store) partials(id string) []string {
	entries, err := os.ReadDir(s.Dir("ingest"))
	if err != nil {
		return nil
	}
	var dirs []string
	for _, e := range entries {
		name, _, ok := strings.Cut(e.Name(), ".")
		if ok && e.IsDir() && isPartial(name) && (id == "" || name == id) {
			dirs = append(dirs, filepath.Join(s.Dir("ingest"), e.Name()))
		}
	}
	return dirs
}

// isPartial tells whether a partial's folder can begin with name.
func isPartial(name string) bool {
	raw, err := hex.DecodeString(strings.TrimPrefix(name, byName))
	return name == anonymous || err == nil && len(raw) == 32
}

// claimPartial is claim for the partial in dir. One that was closed is nobody's: the first to claim it has it.
// It is fs.ErrNotExist when the folder does not say whose it is.
func (s *Store) claimPartial(dir string) (unlock func() error, f fate, err error) {
	path := filepath.Join(dir, ownerFile)
	o, err := readOwner(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s.claimClosed(dir)
	}
	if err != nil {
		return nil, alive, err
	}
	if o.rebooted() { // it has no other processes than ours, so the partial need not be old
		unlock, f, err = s.claim(o, path, time.Time{})
		if f == silent {
			f = dead
		}
		return unlock, f, err
	}
	return s.claim(o, path, lastWrite(dir))
}

// claimClosed makes a closed partial ours by giving the owner's file its name back, which one of us succeeds in.
func (s *Store) claimClosed(dir string) (unlock func() error, f fate, err error) {
	path := filepath.Join(dir, closedFile)
	if _, err := readOwner(path); err != nil {
		return nil, alive, err
	}
	unlock, ok, err := flock.TryLockSame(path)
	if err != nil || !ok {
		return nil, alive, err
	}
	if err := durable.Move(path, filepath.Join(dir, ownerFile)); err != nil {
		return nil, alive, errors.Join(err, unlock())
	}
	return unlock, dead, nil
}

func readOwner(path string) (owner, error) {
	file, err := openRegular(path)
	if err != nil {
		return owner{}, err
	}
	raw, err := readLimited(file, 4<<10)
	return parseOwner(raw), errors.Join(err, file.Close())
}

// lastWrite is when something was last written in the folder of an ingest.
func lastWrite(dir string) time.Time {
	var last time.Time
	for _, name := range []string{"", dataFile, ownerFile, closedFile} {
		if info, err := os.Lstat(filepath.Join(dir, name)); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
}
