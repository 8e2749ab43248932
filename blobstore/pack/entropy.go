package pack

import (
	"encoding/binary"
	"errors"

	"github.com/klauspost/compress/huff0"
)

const (
	blockSize = 128 << 10 // the largest block of zstd
	minCoded  = 1024      // below it a table of codes is not worth its bytes

	blockRaw, blockRLE, blockCompressed = 0, 1, 2
)

// appendCoded appends plane to out as one zstd frame of Huffman codes, without any search for what repeats: four times
// as fast as zstd, and smaller, for what finds repetitions in the exponents of weights finds accidents. A block that does
// not get smaller stays as it is.
func appendCoded(out, plane []byte, s *huff0.Scratch) ([]byte, error) {
	out = appendFrameHeader(out, len(plane))
	for {
		block := plane[:min(blockSize, len(plane))]
		plane = plane[len(block):]
		coded, err := code(block, s)
		switch {
		case errors.Is(err, huff0.ErrUseRLE):
			out = append(appendBlockHeader(out, blockRLE, len(block), len(plane) == 0), block[0])
		case errors.Is(err, huff0.ErrIncompressible):
			out = append(appendBlockHeader(out, blockRaw, len(block), len(plane) == 0), block...)
		case err != nil:
			return nil, err
		default:
			out = appendLiterals(out, coded, len(block), len(plane) == 0)
		}
		if len(plane) == 0 {
			return out, nil
		}
	}
}

// code is the Huffman code of a block, in the four streams that zstd has, with the table before them.
func code(block []byte, s *huff0.Scratch) ([]byte, error) {
	if len(block) < minCoded {
		return nil, huff0.ErrIncompressible
	}
	s.Reuse = huff0.ReusePolicyNone
	coded, _, err := huff0.Compress4X(block, s)
	if err == nil && len(coded) >= len(block)-len(block)/64 { // not worth the time to decode it
		err = huff0.ErrIncompressible
	}
	return coded, err
}

// appendStored appends plane to out as one zstd frame of raw blocks.
func appendStored(out, plane []byte) []byte {
	out = appendFrameHeader(out, len(plane))
	for {
		block := plane[:min(blockSize, len(plane))]
		plane = plane[len(block):]
		out = append(appendBlockHeader(out, blockRaw, len(block), len(plane) == 0), block...)
		if len(plane) == 0 {
			return out
		}
	}
}

// appendFrameHeader begins a zstd frame: a single segment that says its size in four bytes, without a checksum.
func appendFrameHeader(out []byte, size int) []byte {
	out = append(out, 0x28, 0xB5, 0x2F, 0xFD, 2<<6|1<<5)
	return binary.LittleEndian.AppendUint32(out, uint32(size))
}

func appendBlockHeader(out []byte, kind, size int, last bool) []byte {
	h := kind<<1 | size<<3
	if last {
		h |= 1
	}
	return append(out, byte(h), byte(h>>8), byte(h>>16))
}

// appendLiterals appends a compressed block of literals alone: their codes, and no sequences.
func appendLiterals(out, coded []byte, size int, last bool) []byte {
	const header, sequences = 5, 1
	out = appendBlockHeader(out, blockCompressed, header+len(coded)+sequences, last)
	h := uint64(2) | 3<<2 | uint64(size)<<4 | uint64(len(coded))<<22
	out = append(out, byte(h), byte(h>>8), byte(h>>16), byte(h>>24), byte(h>>32))
	return append(append(out, coded...), 0)
}
