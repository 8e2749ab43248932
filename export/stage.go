package export

import (
	"crypto/rand"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mstore/mstore/internal/flock"
)

const (
	stagePrefix = ".mstore-" // then a nonce: the name of a stage
	lockSuffix  = ".lock"    // after the name of a stage: its lock
	treeName    = "tree"     // where a stage puts a whole tree
	births      = 20         // how often a stage whose lock a sweep took at its birth is made again
)

// stage is a private folder in which files become whole before they get their names in the folder beside it.
//
// newStage makes it and sweeps what processes that died have left in the same folder; close removes it. A lock file
// beside it, which is there before it and after it, tells the living from the dead; where locks are known to do nothing,
// its age does (folder.grace). Where that is not known a sweep may take a living stage for dead: its export fails, and no
// file is less whole for it.
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
	s := &stage{in: in}
	if err := s.born(); err != nil {
		return nil, fmt.Errorf("make a private folder: %w", err)
	}
	if err := in.mkdir(s.name); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// born locks the lock of a new stage. Between the making and the locking of the file a sweep may have it.
func (s *stage) born() (err error) {
	for range births {
		s.name = stagePrefix + rand.Text()
		if s.lock, err = flock.Share(s.in.path(s.name + lockSuffix)); err != nil {
			continue
		}
		if _, err = s.in.lookup(s.name + lockSuffix); err == nil {
			return nil
		}
		err = errors.Join(err, s.lock.Release())
	}
	return err
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
func (s *stage) close() error { return bury(s.in, s.name, s.lock.Release) }

// bury removes a stage whose lock is held, and then the lock: a removal that is interrupted is a sweep's to finish.
// The lock's name goes before it is released, so that whoever gets it next finds it gone. Where open files cannot be
// removed it goes after.
func bury(in folder, name string, release func() error) error {
	if err := in.removeAll(name); err != nil {
		return errors.Join(err, release())
	}
	first := ignoreMissing(in.remove(name + lockSuffix))
	if err := release(); err != nil || first == nil {
		return err
	}
	return ignoreMissing(in.remove(name + lockSuffix))
}

// sweep removes the stages in a folder whose processes are gone. A folder without a lock is not a stage.
func sweep(in folder) error {
	entries, err := in.names(".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, isLock := strings.CutSuffix(e.Name(), lockSuffix)
		if !isLock || !strings.HasPrefix(name, stagePrefix) || !e.Type().IsRegular() {
			continue
		}
		if info, err := e.Info(); in.grace > 0 && (err != nil || time.Since(info.ModTime()) < in.grace) {
			continue
		}
		unlock, ok, err := flock.TryLockSame(in.path(e.Name()))
		if ok {
			err = bury(in, name, unlock)
		}
		if ignoreMissing(err) != nil {
			return fmt.Errorf("remove what an interrupted export left: %w", err)
		}
	}
	return nil
}
