package storecheck

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// The numbers of packed files, by the letter of their specification.
const (
	frameSize  = 1 << 20
	entrySize  = 32
	footerSize = 16
	headSize   = 8
	planes     = 4
)

// sumPacked is sum of what a packed file holds; info is of the file itself.
func sumPacked(path string) (info os.FileInfo, n int64, hexSum string, err error) {
	info, err = os.Stat(path)
	var raw []byte
	if err == nil {
		raw, err = os.ReadFile(path)
	}
	if err == nil {
		raw, err = unpacked(raw)
	}
	if err != nil {
		return nil, 0, "", err
	}
	digest := sha256.Sum256(raw)
	return info, int64(len(raw)), hex.EncodeToString(digest[:]), nil
}

// unpacked is the original of a packed file.
func unpacked(file []byte) ([]byte, error) {
	if len(file) < headSize+footerSize || string(file[len(file)-8:]) != "MSPACK01" {
		return nil, fmt.Errorf("%d bytes are no packed file", len(file))
	}
	size := binary.LittleEndian.Uint64(file[len(file)-footerSize:])
	frames := (size + frameSize - 1) / frameSize
	table := int64(len(file)) - footerSize - int64(frames)*entrySize
	if frames > uint64(len(file)) || table < headSize {
		return nil, fmt.Errorf("a table of %d frames in %d bytes", frames, len(file))
	}
	decoder, err := zstd.NewReader(nil)
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	original := make([]byte, 0, size)
	for i := range int64(frames) {
		frame, err := oneFrame(decoder, file, file[table+i*entrySize:][:entrySize])
		if err != nil {
			return nil, fmt.Errorf("frame %d: %w", i, err)
		}
		original = append(original, frame...)
	}
	if uint64(len(original)) != size {
		return nil, fmt.Errorf("%d bytes instead of %d", len(original), size)
	}
	return original, nil
}

// oneFrame puts the planes of a frame together again: byte i is byte i/w of plane i mod w.
func oneFrame(decoder *zstd.Decoder, file, entry []byte) ([]byte, error) {
	at, w := binary.LittleEndian.Uint64(entry), int(entry[28])
	if w < 1 || w > planes {
		return nil, fmt.Errorf("%d planes", w)
	}
	var sorted [planes][]byte
	total := 0
	for p := range w {
		n := uint64(binary.LittleEndian.Uint32(entry[8+4*p:]))
		if at > uint64(len(file)) || n > uint64(len(file))-at {
			return nil, fmt.Errorf("plane %d is not in the file", p)
		}
		var err error
		if sorted[p], err = decoder.DecodeAll(file[at:at+n], nil); err != nil {
			return nil, err
		}
		total += len(sorted[p])
		at += n
	}
	frame := make([]byte, total)
	for i := range frame {
		if i/w >= len(sorted[i%w]) {
			return nil, fmt.Errorf("plane %d is too short", i%w)
		}
		frame[i] = sorted[i%w][i/w]
	}
	return frame, nil
}

// hasPacked tells whether a file of a tag's model is packed.
func (c *checker) hasPacked(t tag) bool {
	raw, err := c.open(strings.TrimPrefix(t.Descriptor.Digest, "sha256:"))
	var m struct {
		Config *descriptor  `json:"config"`
		Layers []descriptor `json:"layers"`
	}
	if err != nil || json.Unmarshal(raw, &m) != nil || m.Config == nil {
		return false
	}
	for _, d := range append(m.Layers, *m.Config) {
		if c.packed[strings.TrimPrefix(d.Digest, "sha256:")] {
			return true
		}
	}
	return false
}
