package faultserver

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"sync"
)

const (
	noisePeriod = 1 << 20 // bytes of noise that are kept
	page        = 4096    // each begins with a stamp of its own, so that no two ranges of a blob are alike
	stampSize   = 8
)

// Generated is content that is made as it is read: it takes a mebibyte whatever its size, and is the same for the same
// seed and size. It may be read from several goroutines.
type Generated struct {
	seed   uint64
	size   int64
	noise  []byte
	digest func() string
}

// Content makes size bytes of noise.
func Content(seed uint64, size int64) *Generated {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	g := &Generated{seed: seed, size: size, noise: make([]byte, min(max(size, 1), noisePeriod))}
	_, _ = rand.NewChaCha8(key).Read(g.noise) // it has no error
	g.digest = sync.OnceValue(func() string { return DigestOf(g, g.size) })
	return g
}

// Size is how many bytes there are.
func (g *Generated) Size() int64 { return g.size }

// Digest is "sha256:" and the digest of all bytes. It is worked out by the first call, which takes a second for a GB.
func (g *Generated) Digest() string { return g.digest() }

// Bytes are all of them; for content that fits into memory.
func (g *Generated) Bytes() []byte {
	b := make([]byte, g.size)
	_, _ = g.ReadAt(b, 0) // it is as long as the content
	return b
}

// ReadAt implements [io.ReaderAt].
func (g *Generated) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= g.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), g.size-off))
	for done := 0; done < n; {
		done += copy(p[done:n], g.noise[(off+int64(done))%int64(len(g.noise)):])
	}
	for at, number := -(off % page), off/page; at < int64(n); at, number = at+page, number+1 {
		g.stamp(p[:n], at, number)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// stamp writes what of a page's stamp lies in p; at is where the page begins in it, which may be before.
func (g *Generated) stamp(p []byte, at, number int64) {
	var stamp [stampSize]byte
	binary.LittleEndian.PutUint64(stamp[:], (g.seed+uint64(number)+1)*0x9E3779B97F4A7C15)
	switch {
	case at >= 0:
		copy(p[at:], stamp[:])
	case at > -stampSize:
		copy(p, stamp[-at:])
	}
}

// DigestOf is "sha256:" and the digest of the first size bytes of r, or of those it has.
func DigestOf(r io.ReaderAt, size int64) string {
	hash := sha256.New()
	_, _ = io.CopyBuffer(hash, onlyReader{io.NewSectionReader(r, 0, size)}, make([]byte, chunk)) // what is read is what counts
	return "sha256:" + hex.EncodeToString(hash.Sum(nil))
}

// onlyReader hides WriteTo, so that the buffer is used.
type onlyReader struct{ io.Reader }
