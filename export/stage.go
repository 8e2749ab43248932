package export

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"sync/atomic"

	"github.com/mstore/mstore/internal/flock"
)

const (
	stagePrefix = ".mstore-" // then a nonce: the name of a stage
	lockName    = "lock"     // locked while the stage's process lives
	treeName    = "tree"     // where a stage puts a whole tree
	births      = 5          // how often a stage that a sweep took for dead at its birth is made again
)

// stage is a private folder in which files become whole before they get their names in the folder beside it.
//
// newStage makes it and sweeps what processes that died have left in the same folder; close removes it. A lock in it
// tells the living from the dead. Where locks do nothing a sweep may take a living stage for dead: its export fails,
// and no file is less whole for it.
type stage struct {
	in   folder // where the stage lies
	name string // of the stage, in in
	lock *flock.Shared
	last atomic.Int64
}

func newStage(in folder) (*stage, error) {
	if err := sweep(in); err != nil {
		return nil, err
	}
	var err error
	for range births {
		s := &stage{in: in, name: stagePrefix + rand.Text()}
		if err = in.mkdir(s.name); err != nil {
			continue
		}
		if s.lock, err = flock.Share(in.path(path.Join(s.name, lockName))); err == nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("make a private folder: %w", err)
}

// fresh is a name in the stage that was not given before, as a path in s.in.
func (s *stage) fresh() string { return path.Join(s.name, strconv.FormatInt(s.last.Add(1), 10)) }

// tree makes the folder for a whole tree.
func (s *stage) tree() (folder, error) {
	p := path.Join(s.name, treeName)
	if err := s.in.mkdir(p); err != nil {
		return folder{}, err
	}
	return s.in.sub(p)
}

// close removes the stage and what is in it still.
func (s *stage) close() error {
	return errors.Join(s.lock.Release(), s.in.removeAll(s.name))
}

// sweep removes the stages in a folder whose processes are gone.
func sweep(in folder) error {
	entries, err := in.names(".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() || !isPrivate(e.Name()) {
			continue
		}
		if err := sweepStage(in, e.Name()); err != nil && !missing(err) {
			return fmt.Errorf("remove what an interrupted export left: %w", err)
		}
	}
	return nil
}

func sweepStage(in folder, name string) error {
	lock := path.Join(name, lockName)
	info, err := in.lookup(lock)
	if missing(err) { // it is being born, or somebody else's: only an empty folder goes
		if err := in.remove(name); err != nil && !errors.Is(err, fs.ErrExist) && !missing(err) {
			return err
		}
		return nil
	}
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	unlock, ok, err := flock.TryLockSame(in.path(lock))
	if err != nil || !ok {
		return err
	}
	return errors.Join(unlock(), in.removeAll(name))
}
