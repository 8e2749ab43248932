package blobstore

import (
	"crypto/sha256"
	"math"
	"time"

	"github.com/opencontainers/go-digest"
)

// Extents gives the tests the set that an ingest keeps its ranges in.
type Extents struct{ set extents }

func (x *Extents) Add(start, end int64)    { x.set.add(start, end) }
func (x *Extents) Remove(start, end int64) { x.set.remove(start, end) }
func (x *Extents) Front() int64            { return x.set.front() }
func (x *Extents) End() int64              { return x.set.end() }
func (x *Extents) Total() int64            { return x.set.total() }

// Ranges are the extents of the set, as they are kept.
func (x *Extents) Ranges() [][2]int64 { return pairs(x.set) }

// Gaps is what of [start, end) is not in the set.
func (x *Extents) Gaps(start, end int64) [][2]int64 { return pairs(x.set.gaps(start, end)) }

func pairs(set []extent) [][2]int64 {
	var all [][2]int64
	for _, e := range set {
		all = append(all, [2]int64{e.start, e.end})
	}
	return all
}

// ParseJournal gives the ranges that a journal of a boot claims of the first length bytes.
func ParseJournal(raw []byte, boot string, length int64) [][2]int64 {
	have, _ := parseJournal(raw, boot, length)
	return pairs(have)
}

// AppendRecord appends a record to a journal.
func AppendRecord(raw []byte, boot string, start, end, stamp int64) []byte {
	return appendRecord(raw, boot, extent{start, end}, stamp)
}

// AppendMark is a mark of all of b, under a key.
func AppendMark(key string, b []byte) []byte {
	h := sha256.New()
	h.Write(b)
	m, _ := markOf(h, int64(len(b)))
	return m.encode(key)
}

// ParseMark gives a mark that it can read as it would be written.
func ParseMark(raw []byte, key string) ([]byte, bool) {
	m, ok := parseMark(raw, key)
	return m.encode(key), ok
}

// MarkOffset is the offset of the mark that raw begins with; 0 when it is none.
func MarkOffset(raw []byte, key string) int64 {
	m, ok := parseMark(raw, key)
	if !ok {
		return 0
	}
	return m.offset
}

// MarkSum is the hash of the bytes before the mark that raw begins with, as its state has it.
func MarkSum(raw []byte, key string) []byte {
	m, _ := parseMark(raw, key)
	h, ok := m.resume()
	if !ok {
		return nil
	}
	return h.Sum(nil)
}

// Rebooted gives records of a journal (size 32) or marks (size 128) of this boot as those of another.
func Rebooted(raw []byte, size int64, boot string) []byte {
	var all []byte
	if size == recordSize {
		have, stamp := parseJournal(raw, self().Boot, math.MaxInt64)
		for _, e := range have {
			all = appendRecord(all, boot, e, stamp)
		}
		return all
	}
	m, _ := parseMark(raw, self().Boot)
	return m.encode(boot)
}

// SetPace makes the ingests of s that begin from now on leave marks so often.
func SetPace(s *Store, checkpoint, watermark int64, every time.Duration) {
	s.pace = pace{checkpoint, watermark, every}
}

// ReadBack waits until all that was written is hashed, and gives how much of it was read back from the file.
func ReadBack(in *Ingest) int64 {
	in.mu.Lock()
	h := in.hasher
	in.mu.Unlock()
	<-h.done
	return h.size - h.from
}

// WriterHas is what Want.Waiting is told of the writer of d.
func WriterHas(s *Store, d digest.Digest) int64 { return s.writerHas(d.Encoded()) }

// Boot is the id of this boot, as the files of a partial have it.
func Boot() string { return self().Boot }
