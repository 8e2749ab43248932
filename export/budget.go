package export

import (
	"context"
	"fmt"
	"io"

	"github.com/mstore/mstore/manifest"
)

// What the archives of one model may expand to, together. Weights hardly compress and text does five to twenty times;
// archives that were made to fill a disk do a thousand times and more.
const (
	maxEntries = 100_000   // as many as a manifest may have descriptors
	maxRatio   = 200       // bytes out for a byte in
	headroom   = 256 << 20 // bytes that are free of the ratio: small archives of zeros are no attack
	maxBytes   = 16 << 40  // 16 TiB
)

// budget is what unpacking may still use. One goroutine uses it at a time.
type budget struct {
	entries int
	bytes   int64 // of the files' content
	stream  int64 // of the decompressed archives: content, headers, and what no file gets
}

func newBudget(archives []manifest.File) *budget {
	allowed := int64(headroom)
	for _, a := range archives {
		size := max(0, min(a.Descriptor.Size, maxBytes/maxRatio))
		allowed = min(maxBytes, allowed+size*maxRatio)
	}
	return &budget{maxEntries, allowed, 2 * allowed}
}

// entry pays for one entry of an archive with n bytes of content.
func (b *budget) entry(n int64) error {
	b.entries--
	b.bytes -= n
	switch {
	case b.entries < 0:
		return fmt.Errorf("%w: more than %d entries", ErrUnsafe, maxEntries)
	case b.bytes < 0:
		return fmt.Errorf("%w: it expands to too many bytes (a bomb?)", ErrUnsafe)
	}
	return nil
}

// metered is a decompressed archive that is read within a budget and a context.
type metered struct {
	ctx    context.Context //nolint:containedctx // an io.Reader has no other place for it; it lives as long as one unpacking
	r      io.Reader
	budget *budget
}

func (m *metered) Read(p []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.r.Read(p)
	if m.budget.stream -= int64(n); m.budget.stream < 0 {
		return 0, fmt.Errorf("%w: it expands to too many bytes (a bomb?)", ErrUnsafe)
	}
	return n, err
}
