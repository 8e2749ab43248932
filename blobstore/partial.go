package blobstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

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

	recordSize = 16 // a journal record: start and end of an extent, big endian
)

// partial is the folder of one ingest, private to its process for as long as that lives: the data, a journal of the
// extents that were written, and the owner, on which the process holds a shared lock.
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
	path := s.partialPath(id)
	if err := os.Mkdir(path, 0o755); err != nil {
		return nil, nil, err
	}
	return usePartial(path, size)
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
	const flags = os.O_RDWR | os.O_CREATE
	if p.data, err = os.OpenFile(filepath.Join(path, dataFile), flags, 0o644); err != nil {
		return p, nil, err
	}
	if p.journal, err = os.OpenFile(filepath.Join(path, journalFile), flags, 0o644); err != nil {
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
	if p.owned, err = flock.Share(path); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = file.Write(line)
	return errors.Join(err, file.Close())
}

// adopt takes over the fullest partial of id whose owner is dead, by a rename that one heir wins. It is a favour: what
// cannot be adopted is left where it is.
func (s *Store) adopt(id string) (path string, ok bool) {
	var best string
	var most int64 = -1
	for _, dir := range s.partials(id) {
		if info, err := os.Lstat(filepath.Join(dir, dataFile)); err == nil && info.Mode().IsRegular() && info.Size() > most {
			best, most = dir, info.Size()
		}
	}
	if best == "" {
		return "", false
	}
	path = s.partialPath(id)
	unlock, dead, err := s.claimPartial(best)
	if err == nil && dead {
		err = errors.Join(durable.Move(best, path), unlock())
	}
	if err != nil {
		s.log.Debug("a partial blob could not be adopted", "partial", best, "error", err)
	}
	return path, err == nil && dead
}

// partials are the folders of id in ingest/, and of all when id is empty.
func (s *Store) partials(id string) []string {
	entries, err := os.ReadDir(s.Dir("ingest"))
	if err != nil {
		return nil
	}
	var dirs []string
	for _, e := range entries {
		if name, _, ok := strings.Cut(e.Name(), "."); ok && e.IsDir() && (id == "" || name == id) {
			dirs = append(dirs, filepath.Join(s.Dir("ingest"), e.Name()))
		}
	}
	return dirs
}

// claimPartial is claim for the owner of the partial in dir. A machine that was started anew has no other processes
// than ours, so there the partial need not be old.
func (s *Store) claimPartial(dir string) (unlock func() error, dead bool, err error) {
	path := filepath.Join(dir, ownerFile)
	file, err := openRegular(path)
	if err != nil {
		return nil, false, err
	}
	raw, err := readLimited(file, 4<<10)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, false, err
	}
	var lastSeen time.Time
	o, me := parseOwner(raw), self()
	if o.Host != me.Host || o.Boot == me.Boot {
		lastSeen = lastWrite(dir)
	}
	return s.claim(o, path, lastSeen)
}

// lastWrite is when something was last written in the folder of an ingest.
func lastWrite(dir string) time.Time {
	var last time.Time
	for _, name := range []string{"", dataFile, ownerFile} {
		if info, err := os.Lstat(filepath.Join(dir, name)); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
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
	var have extents
	for ; len(raw) >= recordSize; raw = raw[recordSize:] {
		start, end := int64(binary.BigEndian.Uint64(raw)), int64(binary.BigEndian.Uint64(raw[8:]))
		if start >= 0 {
			have.add(start, min(end, length))
		}
	}
	return have, p.restart(have)
}

// restart writes the journal anew, as short as it can be.
func (p *partial) restart(have extents) error {
	if err := errors.Join(p.journal.Truncate(0), truncateUnless(p.data, len(have) > 0)); err != nil {
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

func truncateUnless(f *os.File, keep bool) error {
	if keep {
		return nil
	}
	return f.Truncate(0)
}

// write puts b into the data, whole, and then into the journal.
func (p *partial) write(b []byte, off int64) error {
	if _, err := p.data.WriteAt(b, off); err != nil {
		return err
	}
	return p.record(extent{off, off + int64(len(b))})
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

// keep ends the use of the folder and leaves it for an heir, unless there is nothing in it to inherit.
func (p *partial) keep() error {
	if p.records == 0 || strings.HasPrefix(filepath.Base(p.path), anonymous) {
		return p.remove()
	}
	return p.close()
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
	for _, name := range []string{dataFile, journalFile, ownerFile} {
		errs = append(errs, ignoreMissing(os.Remove(filepath.Join(dir, name))))
	}
	return errors.Join(append(errs, ignoreMissing(os.Remove(dir)))...)
}
