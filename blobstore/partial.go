package blobstore

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
	dataFile    = "data"
	journalFile = "journal"
	ownerFile   = "owner"
	closedFile  = "closed" // the owner's file, once the owner will not write any more

	recordSize = 16 // a journal record: start and end of an extent, big endian
)

// partial is the folder of one ingest, private to its process for as long as that lives: the data, a journal of the
// extents that were written, and the owner, on which the process holds a shared lock. When the process closes the
// ingest itself, the owner's file gets another name.
//
// The journal is not synced: the page cache outlives a killed process. After a power cut it may claim bytes that are
// not there; the digest finds out, and the blob is written anew.
type partial struct {
	path  string
	data  *os.File
	owned *flock.Shared

	mu      sync.Mutex
	journal *os.File
	last    extent // what the last record of the journal says
	records int64
}

// openPartial adopts the fullest partial of a dead owner, or makes a new one. have is what it holds. size is that of
// the blob, negative when not known.
func (s *Store) openPartial(id string, size int64) (p *partial, have extents, err error) {
	if id != anonymous {
		if path, ok := s.adopt(id); ok {
			if p, have, err = usePartial(path, size); err == nil {
				return p, have, nil
			}
			s.log.Debug("an adopted partial blob could not be used", "partial", path, "error", err)
		}
	}
	path, err := s.makePartial(id)
	if err != nil {
		return nil, nil, err
	}
	if p, have, err = usePartial(path, size); err != nil {
		return nil, nil, errors.Join(err, removePartial(path))
	}
	return p, have, nil
}

func (s *Store) makePartial(id string) (path string, err error) {
	path = s.partialPath(id)
	if err := os.Mkdir(path, 0o755); err != nil {
		return "", err
	}
	if s.format.Shared { // every member of the group may remove what another left
		err = os.Chmod(path, 0o775|fs.ModeSetgid)
	}
	return path, err
}

func (s *Store) partialPath(id string) string { return filepath.Join(s.Dir("ingest"), id+"."+nonce()) }

// usePartial opens the files of the folder at path, for this process alone.
func usePartial(path string, size int64) (p *partial, have extents, err error) {
	p = &partial{path: path}
	defer func() {
		if err != nil {
			p, err = nil, errors.Join(err, p.close())
		}
	}()
	if err = p.own(); err != nil {
		return p, nil, err
	}
	if p.data, err = openPrivate(filepath.Join(path, dataFile)); err != nil {
		return p, nil, err
	}
	if p.journal, err = openPrivate(filepath.Join(path, journalFile)); err != nil {
		return p, nil, err
	}
	have, err = p.replay(size)
	return p, have, err
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
		err = errors.Join(file.Truncate(0), file.Chmod(0o644)) // every user of a shared store reads it
	}
	if err == nil {
		_, err = file.Write(line)
	}
	return errors.Join(err, file.Close())
}

// replay reads the journal: the extents of the data that were written. What the data's own size contradicts is cut.
func (p *partial) replay(size int64) (extents, error) {
	info, err := p.data.Stat()
	if err != nil {
		return nil, err
	}
	length := info.Size()
	if size >= 0 && length > size {
		length = 0 // another blob's, or damaged: begin anew
	}
	raw, err := readLimited(p.journal, 64<<20)
	if err != nil {
		return nil, err
	}
	have := parseJournal(raw, length)
	return have, p.restart(have)
}

// parseJournal gives what the records of a journal claim of the first length bytes. A journal may say anything.
func parseJournal(raw []byte, length int64) extents {
	var records []extent
	for ; len(raw) >= recordSize; raw = raw[recordSize:] {
		start, end := int64(binary.BigEndian.Uint64(raw)), int64(binary.BigEndian.Uint64(raw[8:]))
		if 0 <= start && start < end {
			records = append(records, extent{start, min(end, length)})
		}
	}
	slices.SortFunc(records, func(a, b extent) int { return cmp.Compare(a.start, b.start) })
	var have extents
	for _, e := range records { // in order, so that each is added at the end
		have.add(e.start, e.end)
	}
	return have
}

// restart writes the journal anew, as short as it can be, and cuts what the data has beyond it.
func (p *partial) restart(have extents) error {
	if err := errors.Join(p.journal.Truncate(0), p.data.Truncate(have.end())); err != nil {
		return err
	}
	p.records, p.last = 0, extent{}
	for _, e := range have {
		if err := p.record(e); err != nil {
			return err
		}
	}
	return nil
}

// flushSize is how much is written before the kernel is asked to bring it to the disk, so that the sync in Commit finds
// most of it there. Left alone, the kernel waits until a tenth of the memory is dirty.
const flushSize = 8 << 20

// write puts b into the data, whole, and then into the journal.
func (p *partial) write(b []byte, off int64) error {
	if _, err := p.data.WriteAt(b, off); err != nil {
		return err
	}
	end := off + int64(len(b))
	if from, to := off/flushSize*flushSize, end/flushSize*flushSize; from < to {
		durable.StartSync(p.data, from, to-from)
	}
	return p.record(extent{off, end})
}

// record notes an extent. One that goes on where the last ended lengthens that record, so that a stream has one.
func (p *partial) record(e extent) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.records > 0 && p.last.end == e.start {
		e.start = p.last.start
	} else {
		p.records++
	}
	var raw [recordSize]byte
	binary.BigEndian.PutUint64(raw[:], uint64(e.start))
	binary.BigEndian.PutUint64(raw[8:], uint64(e.end))
	if _, err := p.journal.WriteAt(raw[:], (p.records-1)*recordSize); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	p.last = e
	return nil
}

// keep ends the use of the folder and leaves it for an heir, unless there is nothing in it to inherit. It says goodbye,
// for those who cannot see that the lock is free.
func (p *partial) keep() error {
	if p.records == 0 || strings.HasPrefix(filepath.Base(p.path), anonymous) {
		return p.remove()
	}
	err := durable.Move(filepath.Join(p.path, ownerFile), filepath.Join(p.path, closedFile))
	return errors.Join(ignoreMissing(err), p.close())
}

// remove ends the use of the folder and deletes it.
func (p *partial) remove() error {
	return errors.Join(removePartial(p.path), p.close())
}

func (p *partial) close() error {
	var errs []error
	for _, f := range []*os.File{p.data, p.journal} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	if p.owned != nil {
		errs = append(errs, p.owned.Release())
	}
	return errors.Join(errs...)
}

// removePartial deletes the folder of an ingest and the files that an ingest makes there; others keep it.
func removePartial(dir string) error {
	var errs []error
	for _, name := range []string{dataFile, journalFile, closedFile, ownerFile} {
		errs = append(errs, ignoreMissing(os.Remove(filepath.Join(dir, name))))
	}
	return errors.Join(append(errs, ignoreMissing(os.Remove(dir)))...)
}
