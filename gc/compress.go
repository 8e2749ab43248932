package gc

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
)

// minPack is the smallest blob that is packed, in bytes: smaller ones gain little, and are read often.
const minPack = 1 << 20

// Packing is a blob that was packed, and what that saves.
type Packing struct {
	Digest digest.Digest
	Saved  int64 // bytes
}

// Compress packs the files of models that nobody is using, as [blobstore.Store.Pack] does: of at least 1 MiB, that no
// lease reaches, and whose files have no other names, as they have in a view. Manifests stay as they are. It tells what
// was packed also beside an error: ErrUnreadable, ctx's, or one of the file system. A blob with wrong bytes is logged,
// and left for whoever verifies.
func (c *Collector) Compress(ctx context.Context) ([]Packing, error) {
	m := newMarker(c)
	r, err := m.roots()
	if err != nil {
		return nil, err
	}
	marked, err := m.mark(ctx, r)
	if err != nil {
		return nil, err
	}
	var done []Packing
	for _, d := range m.files(marked) {
		saved, err := c.pack(ctx, m, d)
		if err != nil {
			return done, fmt.Errorf("pack %s: %w", d, err)
		}
		if saved > 0 {
			done = append(done, Packing{d, saved})
			c.log().Debug("blob packed", "digest", d, "saved", saved)
		}
	}
	return done, nil
}

// files are the live digests that are no manifests, sorted.
func (m *marker) files(marked live) []digest.Digest {
	var files []digest.Digest
	for d := range marked {
		if n := m.get(d); n == nil || n.err != nil {
			files = append(files, d)
		}
	}
	slices.Sort(files)
	return files
}

// pack packs one blob, unless a lease reaches it by now.
func (c *Collector) pack(ctx context.Context, m *marker, d digest.Digest) (saved int64, err error) {
	info, err := c.Store.Stat(d)
	if absent(err) || err == nil && (info.Size < minPack || info.Packed()) {
		return 0, nil
	}
	if err == nil {
		var used live
		if used, err = c.used(ctx, m); err != nil || used.has(d) {
			return 0, err
		}
		saved, err = c.Store.Pack(ctx, d)
	}
	switch {
	case absent(err):
		return 0, nil
	case errors.Is(err, blobstore.ErrMismatch):
		c.log().Warn("a blob is damaged and was not packed", "digest", d, "error", err)
		return 0, nil
	}
	return saved, err
}

// used is what leases reach now.
func (c *Collector) used(ctx context.Context, m *marker) (live, error) {
	held, err := c.Store.Held()
	if err != nil {
		return nil, fmt.Errorf("%w: leases: %w", ErrUnreadable, err)
	}
	return m.mark(ctx, roots{held: held})
}
