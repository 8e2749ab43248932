package blobstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/internal/flock"
)

// What a partial's folder is named after, before ".<nonce>": the digest, or one of these.
const (
	byName    = "name-" // and the sha256 of the name
	anonymous = "anonymous"
)

const (
	dataFile   = "data"
	ownerFile  = "owner"
	closedFile = "closed" // the owner's file, once the owner will not write any more
)

// partial is the folder of one ingest, private to its process for as long as that lives: the data, a journal of the
// extents that were written, marks of how far they were hashed and synced, and the owner, on which the process holds a
// shared lock. When the process closes the ingest itself, the owner's file gets another name.
//
// After a kill the journal tells what is there. After a power cut it does not count, and the watermark does: the bytes
// below it were synced before it was written.
type partial struct {
	path    string
	data    *os.File
	owned   *flock.Shared
	journal *journal

	marking     sync.Mutex // one writes marks at a time
	checkpoints *marks
	watermarks  *marks
	known       bool // its names survive a power cut

	securing sync.Mutex     // held while secure runs
	work     sync.WaitGroup // secure
	mu       sync.Mutex
	spoilt   error
}

// openPartial adopts the fullest partial of a dead owner, or makes a new one. have is what it holds, and from the mark
// from which its hash goes on. size is that of the blob, negative when not known.
func (s *Store) openPartial(id string, size int64) (p *partial, have extents, from mark, err error) {
	if id != anonymous {
		if p, have, from = s.adopt(id, size); p != nil {
			return p, have, from, nil
		}
	}
	p, err = s.newPartial(id)
	return p, nil, mark{}, err
}

// newPartial makes a partial with nothing in it.
func (s *Store) newPartial(id string) (*partial, error) {
	path, err := s.makePartial(id)
	if err != nil {
		return nil, err
	}
	p, _, _, err := usePartial(path, -1)
	if err != nil {
		return nil, errors.Join(err, removePartial(path))
	}
	return p, nil
}

func (s *Store) makePartial(id string) (path string, err error) {
	path = s.partialPath(id)
	if err := durable.Mkdir(path, 0o755); err != nil {
		return "", err
	}
	if s.format.Shared { // every member of the group may remove what another left
		err = durable.ChmodPath(path, 0o775|fs.ModeSetgid)
	}
	return path, err
}

func (s *Store) partialPath(id string) string { return filepath.Join(s.Dir("ingest"), id+"."+nonce()) }

// usePartial opens the files of the folder at path, for this process alone.
func usePartial(path string, size int64) (p *partial, have extents, from mark, err error) {
	p = &partial{path: path}
	defer func() {
		if err != nil {
			p, err = nil, errors.Join(err, p.close())
		}
	}()
	if err = p.own(); err != nil {
		return p, nil, mark{}, err
	}
	if p.data, err = openPrivate(filepath.Join(path, dataFile)); err != nil {
		return p, nil, mark{}, err
	}
	boot := self().Boot
	if p.checkpoints, err = openMarks(filepath.Join(path, checkpointFile), boot); err != nil {
		return p, nil, mark{}, err
	}
	if p.watermarks, err = openMarks(filepath.Join(path, watermarkFile), ""); err != nil {
		return p, nil, mark{}, err
	}
	have, from, err = p.replay(boot, size)
	return p, have, from, err
}

// own locks the folder and says in it whose it is. The owner is written in place: the lock is on that inode.
func (p *partial) own() error {
	line, err := self().line()
	if err != nil {
		return err
	}
	path := filepath.Join(p.path, ownerFile)
	file, err := openPrivate(path)
	if err != nil {
		return err
	}
	if p.owned, err = flock.Share(path); err == nil {
		err = durable.Chmod(file, 0o644) // every user of a shared store reads it
	}
	if err == nil {
		_, err = durable.WriteAt(file, line, 0) // at no instant is there no owner: a power cut may keep any of them
	}
	if err == nil {
		err = durable.Truncate(file, int64(len(line)))
	}
	return errors.Join(err, file.Close())
}

// flushSize is how much is written before the kernel is asked to bring it to the disk, so that the sync in Commit finds
// most of it there. Left alone, the kernel waits until a tenth of the memory is dirty.
const flushSize = 8 << 20

// write puts b into the data, whole, and then into the journal.
func (p *partial) write(b []byte, off int64) error {
	if err := p.state(); err != nil {
		return err
	}
	if _, err := durable.WriteAt(p.data, b, off); err != nil {
		return err
	}
	end := off + int64(len(b))
	if from, to := off/flushSize*flushSize, end/flushSize*flushSize; from < to {
		durable.StartSync(p.data, from, to-from)
	}
	return p.record(extent{off, end})
}

// record notes an extent that was written.
func (p *partial) record(e extent) error {
	info, err := p.data.Stat()
	if err != nil {
		return err
	}
	return p.journal.record(e, info.ModTime().UnixNano())
}

// state is the error of a sync, after which the partial can only be thrown away.
func (p *partial) state() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spoilt
}

func (p *partial) spoil(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spoilt = errors.Join(p.spoilt, fmt.Errorf("what was written is lost: %w", err))
}

// keep ends the use of the folder and leaves it for an heir, unless there is nothing in it to inherit. It says goodbye,
// for those who cannot see that the lock is free.
func (p *partial) keep() error {
	if p.journal.empty() || p.settle() != nil || strings.HasPrefix(filepath.Base(p.path), anonymous) {
		return p.remove()
	}
	err := durable.Move(filepath.Join(p.path, ownerFile), filepath.Join(p.path, closedFile))
	return errors.Join(ignoreMissing(err), p.close())
}

// remove ends the use of the folder and deletes it.
func (p *partial) remove() error {
	p.work.Wait()
	return errors.Join(removePartial(p.path), p.close())
}

func (p *partial) close() error {
	errs := []error{p.checkpoints.close(), p.watermarks.close(), p.journal.close()}
	if p.data != nil {
		errs = append(errs, p.data.Close())
	}
	if p.owned != nil {
		errs = append(errs, p.owned.Release())
	}
	return errors.Join(errs...)
}

// removePartial deletes the folder of an ingest and the files that an ingest makes there; others keep it.
func removePartial(dir string) error {
	var errs []error
	for _, name := range []string{
		watermarkFile, checkpointFile, dataFile, newJournalFile, journalFile, closedFile, ownerFile,
	} {
		errs = append(errs, ignoreMissing(durable.Delete(filepath.Join(dir, name))))
	}
	return errors.Join(append(errs, ignoreMissing(durable.Delete(dir)))...)
}
