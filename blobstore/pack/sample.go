package pack

import (
	"math"

	"github.com/klauspost/compress/zstd"
)

const (
	slices    = 4        // samples of a frame
	sliceSize = 16 << 10 // bytes of each; a multiple of every width

	// worthwhile is what a sample must promise, as packed / original size, for a frame to be packed at all: decoding
	// costs more than the rest is worth.
	worthwhile = 0.98
	// better is how much smaller a larger number of planes, or a search for repetitions, must make the sample.
	better = 0.98
)

// choice is what is done with a frame.
type choice struct {
	width  int     // planes
	search bool    // zstd with its search for what repeats; the width is 1
	ratio  float64 // packed / original size of the sample; 1 when the frame is stored as it is
}

// choose says what is done with a frame by a sample of it. The width that the elements have is the one whose planes have
// the least entropy: the format's own word on it would be no better, and could be wrong. Where in a frame an element
// begins makes no difference, since it only changes the order of the planes.
func choose(frame []byte, e *zstd.Encoder, buf []byte) (choice, []byte) {
	if len(frame) < minCoded {
		return choice{width: 1, ratio: 1}, buf
	}
	sample := frame
	if len(frame) > slices*sliceSize {
		sample = buf[:0]
		for i := range slices {
			at := (len(frame) - sliceSize) / (slices - 1) * i &^ 7
			sample = append(sample, frame[at:at+sliceSize]...)
		}
	}
	best := choice{width: 1, ratio: 1}
	limit := worthwhile
	for _, w := range []int{1, 2, maxWidth} {
		if r := entropy(sample, w); r < limit {
			best = choice{width: w, ratio: r}
			limit = r * better
		}
	}
	n := len(sample)
	out := e.EncodeAll(sample[:min(n, 2*sliceSize)], buf[n:n])
	if r := float64(len(out)) / float64(max(1, min(n, 2*sliceSize))); r < limit {
		best = choice{width: 1, search: true, ratio: r}
	}
	return best, buf
}

// entropy is the mean entropy of the bytes in w planes of b, as a part of 8 bits. Bytes of a plane that can hardly be
// packed count in full.
func entropy(b []byte, w int) float64 {
	var count [maxWidth][256]uint32
	for i, c := range b {
		count[i&(w-1)][c]++
	}
	var bits float64
	for p := range w {
		n := planeLen(len(b), w, p)
		var h float64
		for _, c := range count[p] {
			if c > 0 {
				h -= float64(c) * math.Log2(float64(c)/float64(n))
			}
		}
		if h > 8*worthwhile*float64(n) {
			h = 8 * float64(n)
		}
		bits += h
	}
	return bits / (8 * float64(max(1, len(b))))
}
