package blobstore

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/mstore/mstore/internal/durable"
)

const (
	journalFile    = "journal"
	newJournalFile = "journal.new" // on its way to replace it

	// recordSize is that of a journal record: start and end of an extent, the modification time of the data after it was
	// written, and a check, each 8 bytes, big endian.
	recordSize = 32
	checkSize  = 8

	// journalSlack is how many records a journal may have beyond twice those that it needs, before it is written anew.
	journalSlack = 1024
	// journalLimit is how much of a journal is read: 260,000 extents.
	journalLimit = 8 << 20
)

// journal is the file in which a partial notes which extents of its data were written, each after it was.
//
// It is not synced: the page cache outlives a killed process. The check of a record includes the id of the boot, so that
// no record counts after a power cut, when the data that it tells of may be gone.
type journal struct {
	dir  string
	boot string

	mu      sync.Mutex
	file    *os.File
	have    extents
	last    extent // what the last record says
	stamp   int64  // the latest of all records
	records int64
}

// appendRecord appends a journal record to raw.
func appendRecord(raw []byte, boot string, e extent, stamp int64) []byte {
	at := len(raw)
	raw = binary.BigEndian.AppendUint64(raw, uint64(e.start))
	raw = binary.BigEndian.AppendUint64(raw, uint64(e.end))
	raw = binary.BigEndian.AppendUint64(raw, uint64(stamp))
	return append(raw, check(boot, raw[at:])[:checkSize]...)
}

// check is what tells a record that was written whole, under the key, from anything else.
func check(key string, body []byte) []byte {
	sum := sha256.Sum256(append([]byte(key), body...))
	return sum[:]
}

// parseJournal gives what the records of a journal that were made under boot claim of the first length bytes, and the
// latest modification time that they know. A journal may say anything.
func parseJournal(raw []byte, boot string, length int64) (have extents, stamp int64) {
	var all []extent
	for ; len(raw) >= recordSize; raw = raw[recordSize:] {
		body := raw[:recordSize-checkSize]
		start, end := int64(binary.BigEndian.Uint64(body)), int64(binary.BigEndian.Uint64(body[8:]))
		if start < 0 || start >= end || string(check(boot, body)[:checkSize]) != string(raw[len(body):recordSize]) {
			continue
		}
		all = append(all, extent{start, min(end, length)})
		stamp = max(stamp, int64(binary.BigEndian.Uint64(body[16:])))
	}
	slices.SortFunc(all, func(a, b extent) int { return cmp.Compare(a.start, b.start) })
	for _, e := range all { // in order, so that each is added at the end
		have.add(e.start, e.end)
	}
	return have, stamp
}

// readJournal reads the journal in dir, as parseJournal does. It changes nothing, and its writer may be at work: a
// record that is being written does not count yet.
func readJournal(dir, boot string, length int64) (have extents, stamp int64, err error) {
	file, err := openRegular(filepath.Join(dir, journalFile))
	if err != nil {
		return nil, 0, err
	}
	raw, err := io.ReadAll(io.LimitReader(file, journalLimit))
	have, stamp = parseJournal(raw, boot, length)
	return have, stamp, errors.Join(err, file.Close())
}

// journalTotal is how many bytes the journal in dir tells of; none when it cannot be read.
func journalTotal(dir, boot string) int64 {
	have, _, err := readJournal(dir, boot, math.MaxInt64)
	if err != nil {
		return 0
	}
	return have.total()
}

// newJournal writes the journal in dir anew, as short as it can be. Whatever lay there is replaced, by a rename.
func newJournal(dir, boot string, have extents, stamp int64) (*journal, error) {
	j := &journal{dir: dir, boot: boot, have: slices.Clone(have), stamp: stamp}
	return j, j.rewrite()
}

// rewrite is newJournal for who has the lock. On an error the journal is as it was.
func (j *journal) rewrite() error {
	path := filepath.Join(j.dir, newJournalFile)
	if err := ignoreMissing(durable.Delete(path)); err != nil { // of a process that was killed here
		return err
	}
	file, err := durable.Create(path, 0o644)
	if err != nil {
		return err
	}
	raw := make([]byte, 0, len(j.have)*recordSize)
	for _, e := range j.have {
		raw = appendRecord(raw, j.boot, e, j.stamp)
	}
	_, err = durable.Write(file, raw)
	if err == nil {
		err = durable.Chmod(file, 0o644) // every user of a shared store sees how far it is
	}
	if err == nil {
		err = durable.Move(path, filepath.Join(j.dir, journalFile))
	}
	if err != nil {
		return errors.Join(err, file.Close(), ignoreMissing(durable.Delete(path)))
	}
	old := j.file
	j.file, j.records, j.last = file, int64(len(j.have)), extent{}
	if n := len(j.have); n > 0 {
		j.last = j.have[n-1]
	}
	if old != nil {
		return old.Close()
	}
	return nil
}

// record notes an extent, and the data's modification time. One that goes on where the last ended lengthens that
// record, so that a stream has one; a journal that has grown too long is written anew.
func (j *journal) record(e extent, stamp int64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.have.add(e.start, e.end)
	j.stamp = max(j.stamp, stamp)
	if j.records > int64(2*len(j.have)+journalSlack) {
		return wrapJournal(j.rewrite())
	}
	if j.records > 0 && j.last.end == e.start {
		e.start = j.last.start
	} else {
		j.records++
	}
	j.last = e
	_, err := durable.WriteAt(j.file, appendRecord(nil, j.boot, e, j.stamp), (j.records-1)*recordSize)
	return wrapJournal(err)
}

func wrapJournal(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("journal: %w", err)
}

// empty tells that nothing was noted.
func (j *journal) empty() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.have) == 0
}

func (j *journal) close() error {
	if j == nil || j.file == nil {
		return nil
	}
	return j.file.Close()
}
