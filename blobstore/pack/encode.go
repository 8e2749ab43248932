package pack

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/klauspost/compress/huff0"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
)

// Encode reads size bytes of r and writes them packed to w. It returns the bytes written. Several frames are packed at
// once, on all cores, in some 4 MiB of memory for each core.
func Encode(ctx context.Context, w io.Writer, r io.ReaderAt, size int64) (int64, error) {
	if size < 0 || size > maxSize {
		return 0, fmt.Errorf("pack %d bytes: out of range", size)
	}
	workers := make([]*worker, min(int64(runtime.GOMAXPROCS(0)), max(1, frames(size))))
	for i := range workers {
		var err error
		if workers[i], err = newWorker(); err != nil {
			return 0, err
		}
	}
	var table []byte
	var written int64
	for off := int64(0); off < size; {
		group, gctx := errgroup.WithContext(ctx)
		var used int
		for ; used < len(workers) && off < size; used++ {
			at, n := off, min(FrameSize, size-off)
			work := workers[used]
			group.Go(func() error {
				if err := gctx.Err(); err != nil {
					return err
				}
				return work.pack(r, at, int(n))
			})
			off += n
		}
		if err := group.Wait(); err != nil {
			return written, err
		}
		for _, work := range workers[:used] {
			work.entry.offset = written
			table = work.entry.appendTo(table)
			n, err := w.Write(work.out)
			written += int64(n)
			if err != nil {
				return written, err
			}
		}
	}
	n, err := w.Write(finish(table, size))
	return written + int64(n), err
}

// finish is what comes after the frames: the table in a frame that decoders of zstd skip, and the footer in its end.
func finish(table []byte, size int64) []byte {
	end := binary.LittleEndian.AppendUint32(make([]byte, 0, len(table)+headSize+footerSize), skippable)
	end = binary.LittleEndian.AppendUint32(end, uint32(len(table)+footerSize))
	end = append(end, table...)
	end = binary.LittleEndian.AppendUint64(end, uint64(size))
	return append(end, magic...)
}

// worker packs one frame after another.
type worker struct {
	raw, planes, sample []byte
	out                 []byte
	entry               entry
	huff                huff0.Scratch
	zstd                *zstd.Encoder
}

func newWorker() (*worker, error) {
	e, err := newEncoder()
	return &worker{
		raw: make([]byte, FrameSize), planes: make([]byte, FrameSize),
		sample: make([]byte, 3*slices*sliceSize), out: make([]byte, 0, maxFramePacked), zstd: e,
	}, err
}

func newEncoder() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(FrameSize), zstd.WithSingleSegment(true))
}

// pack packs n bytes of r from off on into out and entry.
func (w *worker) pack(r io.ReaderAt, off int64, n int) error {
	raw := w.raw[:n]
	if err := readFull(r, raw, off); err != nil {
		return err
	}
	var how choice
	how, w.sample = choose(raw, w.zstd, w.sample)
	w.entry = entry{check: checksum(raw), width: how.width}
	w.out = w.out[:0]
	if how.search {
		w.out = w.zstd.EncodeAll(raw, w.out)
		if len(w.out) < n {
			w.entry.packed[0] = uint32(len(w.out))
			return nil
		}
		how = choice{width: 1, ratio: 1}
		w.out = w.out[:0]
	}
	split(w.planes[:n], raw, how.width)
	planes := cut(w.planes[:n], how.width)
	for i := range how.width {
		before := len(w.out)
		if how.ratio == 1 {
			w.out = appendStored(w.out, planes[i])
		} else {
			var err error
			if w.out, err = appendCoded(w.out, planes[i], &w.huff); err != nil {
				return err
			}
		}
		w.entry.packed[i] = uint32(len(w.out) - before)
	}
	return nil
}

// readFull is ReadAt of all of p.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}

// estimates is how many frames Estimate looks at.
const estimates = 16

// Estimate says what Encode would make of size bytes of r, as packed / original size, by samples from all over it.
func Estimate(r io.ReaderAt, size int64) (float64, error) {
	e, err := newEncoder()
	if err != nil || size == 0 {
		return 1, err
	}
	frame, buf := make([]byte, min(size, slices*sliceSize)), make([]byte, 3*slices*sliceSize)
	var sum float64
	for i := range int64(estimates) {
		at := (size - int64(len(frame))) / (estimates - 1) * i &^ 7
		if err := readFull(r, frame, at); err != nil {
			return 1, err
		}
		var how choice
		how, buf = choose(frame, e, buf)
		sum += how.ratio
	}
	return sum / estimates, nil
}
