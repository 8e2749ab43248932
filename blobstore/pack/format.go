package pack

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// FrameSize is how many bytes of the original are in each frame but the last: what a read of one byte costs to decode.
const FrameSize = 1 << 20

const (
	// maxWidth is the most planes that a frame may have.
	maxWidth = 4
	// maxFramePacked bounds what a frame may take in the packed file: a frame that gains nothing, and its headers.
	maxFramePacked = FrameSize + 4096
	// maxFrames is how many frames have room in the table, whose length is a number of 32 bits: files of 127 TiB.
	maxFrames = (1<<32 - 1 - footerSize) / entrySize
	// maxSize is the largest file that can be packed, in bytes.
	maxSize = maxFrames * FrameSize

	skippable  = 0x184D2A5E // the magic number of the frame around the table, which decoders of zstd skip
	headSize   = 8          // of that frame: the magic number and the length
	entrySize  = 32
	footerSize = 16
	magic      = "MSPACK01"
)

// ErrFormat reports a packed file that is none, or that is damaged.
var ErrFormat = errors.New("not a packed file")

// entry is what the table says of a frame.
type entry struct {
	offset int64            // of its first plane in the packed file
	packed [maxWidth]uint32 // bytes of each plane in the packed file; 0 for those that it does not have
	check  uint32           // of the original bytes
	width  int              // how many planes: 1, 2 or 4
}

// total is the bytes of all planes in the packed file.
func (e entry) total() int64 {
	var n int64
	for _, p := range e.packed {
		n += int64(p)
	}
	return n
}

func (e entry) appendTo(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(e.offset))
	for _, p := range e.packed {
		b = binary.LittleEndian.AppendUint32(b, p)
	}
	b = binary.LittleEndian.AppendUint32(b, e.check)
	return append(b, byte(e.width), 0, 0, 0)
}

// parseEntry reads an entry; end is where the frames end in the packed file.
func parseEntry(b []byte, end int64) (entry, error) {
	offset := binary.LittleEndian.Uint64(b)
	e := entry{check: binary.LittleEndian.Uint32(b[24:]), width: int(b[28])}
	for i := range e.packed {
		e.packed[i] = binary.LittleEndian.Uint32(b[8+4*i:])
	}
	if e.width != 1 && e.width != 2 && e.width != maxWidth || b[29]|b[30]|b[31] != 0 {
		return entry{}, ErrFormat
	}
	for _, p := range e.packed[e.width:] {
		if p != 0 {
			return entry{}, ErrFormat
		}
	}
	if e.total() > maxFramePacked || offset > uint64(end) || e.total() > end-int64(offset) {
		return entry{}, ErrFormat
	}
	e.offset = int64(offset)
	return e, nil
}

// frames is how many frames a file of size bytes has.
func frames(size int64) int64 { return (size + FrameSize - 1) / FrameSize }

// tableSize is how many bytes come after the frames of a file of size bytes.
func tableSize(size int64) int64 { return headSize + frames(size)*entrySize + footerSize }

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// planeLen is the length of plane p of n bytes in planes of w.
func planeLen(n, w, p int) int { return (n - p + w - 1) / w }
