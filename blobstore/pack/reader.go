package pack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Reader reads the original bytes of a packed file at any offset, decoding the frames that hold them and no others. The
// frame that was decoded last is kept, for reads that go on. Its methods are safe for concurrent use.
type Reader struct {
	src  io.ReaderAt
	size int64 // of the original
	end  int64 // of the frames in the packed file
	zstd *zstd.Decoder

	mu    sync.Mutex
	last  []byte // a frame, which nobody writes to any more
	index int64  // of last
}

// NewReader reads a packed file of packed bytes. It fails with ErrFormat, as do its reads: a packed file may lie about
// anything, and never costs more memory than some frames.
func NewReader(src io.ReaderAt, packed int64) (*Reader, error) {
	if packed < tableSize(0) {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrFormat, packed)
	}
	var footer [footerSize]byte
	if err := readFull(src, footer[:], packed-footerSize); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint64(footer[:])
	if string(footer[8:]) != magic || size > maxSize || tableSize(int64(size)) > packed {
		return nil, fmt.Errorf("%w: its last bytes are not those of one", ErrFormat)
	}
	r := &Reader{src: src, size: int64(size), end: packed - tableSize(int64(size)), index: -1}
	var head [headSize]byte
	if err := readFull(src, head[:], r.end); err != nil {
		return nil, err
	}
	length := uint64(binary.LittleEndian.Uint32(head[4:]))
	if binary.LittleEndian.Uint32(head[:]) != skippable || length != uint64(packed-r.end-headSize) {
		return nil, fmt.Errorf("%w: its table is not where it should be", ErrFormat)
	}
	var err error
	r.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxWindow(8*FrameSize), zstd.WithDecoderMaxMemory(FrameSize))
	return r, err
}

// Size is the length of the original in bytes.
func (r *Reader) Size() int64 { return r.size }

// ReadAt reads original bytes, as io.ReaderAt asks.
func (r *Reader) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d: offset out of range", off)
	}
	for n < len(p) {
		at := off + int64(n)
		if at >= r.size || at < 0 {
			return n, io.EOF
		}
		frame, err := r.frame(at / FrameSize)
		if err != nil {
			return n, err
		}
		n += copy(p[n:], frame[at%FrameSize:])
	}
	return n, nil
}

// Close gives back what the Reader uses; the packed file is the caller's.
func (r *Reader) Close() error {
	r.zstd.Close()
	return nil
}

// frame is the original bytes of a frame.
func (r *Reader) frame(index int64) ([]byte, error) {
	r.mu.Lock()
	last, have := r.last, r.index
	r.mu.Unlock()
	if have == index {
		return last, nil
	}
	frame, err := r.decode(index)
	if err != nil {
		return nil, fmt.Errorf("frame %d: %w", index, err)
	}
	r.mu.Lock()
	r.last, r.index = frame, index
	r.mu.Unlock()
	return frame, nil
}

func (r *Reader) decode(index int64) ([]byte, error) {
	var raw [entrySize]byte
	if err := readFull(r.src, raw[:], r.end+headSize+index*entrySize); err != nil {
		return nil, err
	}
	e, err := parseEntry(raw[:], r.end)
	if err != nil {
		return nil, err
	}
	packed := make([]byte, e.total())
	if err := readFull(r.src, packed, e.offset); err != nil {
		return nil, err
	}
	size := int(min(FrameSize, r.size-index*FrameSize))
	planes := make([]byte, size)
	for i, plane := range cut(planes, e.width) {
		if i >= e.width {
			break
		}
		n := e.packed[i]
		if err := r.decodePlane(plane, packed[:n]); err != nil {
			return nil, err
		}
		packed = packed[n:]
	}
	frame := planes
	if e.width > 1 {
		frame = make([]byte, size)
		join(frame, planes, e.width)
	}
	if checksum(frame) != e.check {
		return nil, fmt.Errorf("%w: the bytes do not have their check", ErrFormat)
	}
	return frame, nil
}

// decodePlane fills plane from a zstd frame, which has to fill it.
func (r *Reader) decodePlane(plane, packed []byte) error {
	got, err := r.zstd.DecodeAll(packed, plane[:0:len(plane)])
	switch {
	case errors.Is(err, zstd.ErrDecoderClosed):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", ErrFormat, err)
	case len(got) != len(plane):
		return fmt.Errorf("%w: a plane has %d bytes, not %d", ErrFormat, len(got), len(plane))
	}
	if len(got) > 0 && &got[0] != &plane[0] { // what was decoded into a buffer of its own
		copy(plane, got)
	}
	return nil
}

var _ io.ReaderAt = (*Reader)(nil)
