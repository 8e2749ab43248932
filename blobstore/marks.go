package blobstore

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"hash"
	"io"
	"os"

	"github.com/mstore/mstore/internal/durable"
)

const (
	checkpointFile = "checkpoint" // marks of this boot, not synced
	watermarkFile  = "watermark"  // marks whose bytes were synced first

	// A mark is an offset, the state of the hash of all bytes before it, and a check.
	stateSize     = 108
	markCheckSize = 12
	markSize      = 8 + stateSize + markCheckSize
	// markSlots is how many marks a file has. They are written in turn, so that the one before stays when one is torn.
	markSlots = 2
	// slotSize keeps two marks from sharing a block of the disk.
	slotSize = 4096
)

// mark says that the bytes before offset were written, and what state their hash has.
type mark struct {
	offset int64
	state  [stateSize]byte
}

// markOf is the mark of a hash of so many bytes; ok is false when its state is not of the kind that marks hold.
func markOf(h hash.Hash, offset int64) (m mark, ok bool) {
	m.offset = offset
	marshaler, ok := h.(encoding.BinaryMarshaler)
	if !ok {
		return m, false
	}
	state, err := marshaler.MarshalBinary()
	return m, err == nil && copy(m.state[:], state) == stateSize && len(state) == stateSize
}

// resume is the hash at the mark; ok is false when the mark holds no state of a hash of so many bytes.
func (m mark) resume() (h hash.Hash, ok bool) {
	h = sha256.New()
	unmarshaler, ok := h.(encoding.BinaryUnmarshaler)
	if !ok || unmarshaler.UnmarshalBinary(m.state[:]) != nil {
		return nil, false
	}
	hashed := binary.BigEndian.Uint64(m.state[stateSize-8:]) // where crypto/sha256 keeps the number of bytes
	return h, m.offset > 0 && hashed == uint64(m.offset)
}

// encode gives the mark as it is written, with a check under key.
func (m mark) encode(key string) []byte {
	raw := make([]byte, 0, markSize)
	raw = binary.BigEndian.AppendUint64(raw, uint64(m.offset))
	raw = append(raw, m.state[:]...)
	return append(raw, check(key, raw)[:markCheckSize]...)
}

// parseMark reads a mark that was made under key; ok is false when raw is none. It may be anything.
func parseMark(raw []byte, key string) (m mark, ok bool) {
	if len(raw) < markSize {
		return m, false
	}
	body := raw[:markSize-markCheckSize]
	m.offset = int64(binary.BigEndian.Uint64(body))
	copy(m.state[:], body[8:])
	return m, m.offset > 0 && string(check(key, body)[:markCheckSize]) == string(raw[len(body):markSize])
}

// marks is a file of marks. Its methods are called by one goroutine at a time.
type marks struct {
	path string
	key  string   // in the check of each
	file *os.File // nil until there is something in it
	top  mark     // the highest
	next int64    // the slot to write to
}

// openMarks reads the marks at path, where no file is needed.
func openMarks(path, key string) (*marks, error) {
	m := &marks{path: path, key: key}
	_, err := os.Lstat(path)
	if err == nil {
		m.file, err = openPrivate(path)
	}
	if err != nil {
		return m, ignoreMissing(err)
	}
	raw, err := io.ReadAll(io.NewSectionReader(m.file, 0, markSlots*slotSize))
	for slot := range int64(markSlots) {
		if at := slot * slotSize; at < int64(len(raw)) {
			if got, ok := parseMark(raw[at:], key); ok && got.offset > m.top.offset {
				m.top, m.next = got, (slot+1)%markSlots
			}
		}
	}
	return m, err
}

// put writes a mark. One that is not above the highest is left out.
func (m *marks) put(k mark) (err error) {
	if k.offset <= m.top.offset {
		return nil
	}
	if m.file == nil {
		if m.file, err = openPrivate(m.path); err != nil {
			return err
		}
	}
	if _, err := durable.WriteAt(m.file, k.encode(m.key), m.next*slotSize); err != nil {
		return err
	}
	m.top, m.next = k, (m.next+1)%markSlots
	return nil
}

// forget removes all marks for good: a power cut does not bring them back.
func (m *marks) forget() error {
	m.top = mark{}
	if m.file == nil {
		return nil
	}
	if err := durable.Truncate(m.file, 0); err != nil {
		return err
	}
	return durable.SyncData(m.file)
}

func (m *marks) close() error {
	if m == nil || m.file == nil {
		return nil
	}
	return m.file.Close()
}

// trusted picks the highest of the marks up to front.
func trusted(front int64, all ...mark) mark {
	var best mark
	for _, m := range all {
		if _, ok := m.resume(); ok && m.offset > best.offset && m.offset <= front {
			best = m
		}
	}
	return best
}
