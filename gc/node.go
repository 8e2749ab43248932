package gc

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/manifest"
)

// node is what a blob refers to.
type node struct {
	blobs     []digest.Digest // of a manifest: config and layers
	manifests []child         // of an index
	err       error           // why it is neither; nil when it is one
}

// child is an entry of an index.
type child struct {
	digest digest.Digest
	as     expect
}

// expect says what a blob is taken for by those who refer to it.
type expect bool

const (
	aManifest expect = true  // a manifest or an index: anything else is an error, and so is nothing
	whatever  expect = false // a manifest if it is one and is here
)

// leaf tells whether d is known as a manifest, of which nothing more can be learned. An index may list manifests that
// were not here when it was read, and are now.
func (m *marker) leaf(d digest.Digest) bool {
	n := m.get(d)
	return n != nil && n.err == nil && len(n.manifests) == 0
}

func (m *marker) get(d digest.Digest) *node {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known[d]
}

func (m *marker) put(d digest.Digest, n *node) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known[d] = n
}

// read makes d known, and what it refers to; above counts the indexes that led here. Indexes may list manifests that
// were never pulled: an entry that is not here refers to nothing.
func (m *marker) read(ctx context.Context, d digest.Digest, as expect, above int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n := m.get(d)
	if n == nil {
		var err error
		if n, err = m.load(d, as); err != nil {
			return err
		}
		if n == nil {
			return nil
		}
		m.put(d, n)
	}
	if n.err != nil && as == aManifest {
		return n.err
	}
	if len(n.manifests) > 0 && above == manifest.MaxDepth {
		return fmt.Errorf("%w: %s is below %d indexes already", manifest.ErrMalformed, d, above)
	}
	for _, c := range n.manifests {
		err := m.read(ctx, c.digest, c.as, above+1)
		if err != nil && !errors.Is(err, blobstore.ErrNotFound) {
			return fmt.Errorf("its entry %s: %w", c.digest, err)
		}
	}
	return nil
}

// load reads what d refers to. It is nil, without an error, where d is whatever and not here: it may come later. A
// blob that cannot be read is an error whatever it is taken for, unless it is too large for a manifest.
func (m *marker) load(d digest.Digest, as expect) (*node, error) {
	if as == whatever {
		info, err := m.store.Stat(d)
		if absent(err) {
			return nil, nil //nolint:nilnil // the digest is a root all the same; it only refers to nothing yet
		}
		if err != nil {
			return nil, err
		}
		if info.Size > manifest.MaxSize {
			return &node{err: fmt.Errorf("%w: %d bytes", manifest.ErrMalformed, info.Size)}, nil
		}
	}
	raw, err := m.store.ReadAll(d, manifest.MaxSize)
	if as == whatever && absent(err) {
		return nil, nil //nolint:nilnil // likewise
	}
	if err != nil {
		return nil, err
	}
	return parse(raw), nil
}

// absent tells whether nobody can have this blob: it is not here, it is withheld, or its name is taken by something
// that is no blob.
func absent(err error) bool {
	return errors.Is(err, blobstore.ErrNotFound) || errors.Is(err, blobstore.ErrWithheld) ||
		errors.Is(err, blobstore.ErrCorrupt)
}

// parse is what raw refers to. What it was listed as does not matter: the body alone decides, so that one answer
// serves all who refer to it. What Parse takes is no index.
func parse(raw []byte) *node {
	m, err := manifest.Parse("", raw)
	if err == nil {
		n := &node{}
		for _, d := range m.Blobs() {
			n.blobs = append(n.blobs, clone(d.Digest))
		}
		return n
	}
	if !manifest.IsIndex("", raw) {
		return &node{err: err}
	}
	x, err := manifest.ParseIndex("", raw)
	if err != nil {
		return &node{err: err}
	}
	n := &node{}
	for _, d := range x.Manifests {
		n.manifests = append(n.manifests, child{clone(d.Digest), expected(d.MediaType)})
	}
	return n
}

// clone copies a digest out of the document that it is part of, which need not stay in memory for it.
func clone(d digest.Digest) digest.Digest { return digest.Digest(strings.Clone(string(d))) }

// expected is what the media type of an index's entry promises.
func expected(mediaType string) expect {
	switch mediaType {
	case ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex,
		manifest.MediaTypeDockerManifest, manifest.MediaTypeDockerList:
		return aManifest
	}
	return whatever
}
