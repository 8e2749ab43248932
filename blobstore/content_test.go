package blobstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	orascontent "oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/memory"
	"oras.land/oras-go/v2/errdef"

	"github.com/mstore/mstore/blobstore"
)

// artifact puts an image of two layers into an oras-go store and gives its manifest.
func artifact(t *testing.T, to orascontent.Pusher) ocispec.Descriptor {
	t.Helper()
	push := func(mediaType string, b []byte) ocispec.Descriptor {
		desc := orascontent.NewDescriptorFromBytes(mediaType, b)
		try(t, to.Push(t.Context(), desc, bytes.NewReader(b)))
		return desc
	}
	desc, err := oras.PackManifest(t.Context(), to, oras.PackManifestVersion1_1, "application/vnd.test", oras.PackManifestOptions{
		Layers: []ocispec.Descriptor{push("application/x", content(3<<20, 1)), push("application/x", content(100, 2))},
	})
	try(t, err)
	return desc
}

func TestInteropOrasCopiesIntoAndOutOfAStore(t *testing.T) {
	s := newStore(t)
	from, back := memory.New(), memory.New()
	root := artifact(t, from)
	for range 2 { // the second time everything is there
		try(t, oras.CopyGraph(t.Context(), from, s, root, oras.DefaultCopyGraphOptions))
	}
	wantBlob(t, s, content(3<<20, 1))
	held, err := s.Held()
	try(t, err)
	for d := range s.All() {
		if _, ok := held[d]; !ok {
			t.Errorf("%s was pushed and is not held", d)
		}
	}
	try(t, oras.CopyGraph(t.Context(), s, back, root, oras.DefaultCopyGraphOptions))
	if ok, err := back.Exists(t.Context(), root); !ok || err != nil {
		t.Errorf("the manifest came back: %v, %v", ok, err)
	}
	try(t, s.Close())
	wantHeld(t, s)
}

func TestPush(t *testing.T) {
	b := content(2<<20+5, 1)
	fault := errors.New("the line went dead")
	for name, c := range map[string]struct {
		r    io.Reader
		want error
	}{
		"all":      {bytes.NewReader(b), nil},
		"a few":    {bytes.NewReader(b[:1000]), blobstore.ErrIncomplete},
		"too many": {bytes.NewReader(append(b, 1)), blobstore.ErrMismatch},
		"other":    {bytes.NewReader(flipped(b)), blobstore.ErrMismatch},
		"cut":      {io.MultiReader(bytes.NewReader(b[:1<<20]), readErr{fault}), fault},
	} {
		s := newStore(t)
		desc := descriptor(digest.FromBytes(b), int64(len(b)))
		err := s.Push(t.Context(), desc, c.r)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: Push = %v, want %v", name, err, c.want)
		}
		if ok, err := s.Exists(t.Context(), desc); ok != (c.want == nil) || err != nil {
			t.Errorf("%s: Exists = %v, %v", name, ok, err)
		}
		err = s.Push(t.Context(), desc, bytes.NewReader(b))
		if c.want == nil {
			wantErr(t, "a second Push", err, errdef.ErrAlreadyExists, blobstore.ErrExists)
		} else if err != nil {
			t.Errorf("%s: Push after it = %v", name, err)
		}
		wantBlob(t, s, b)
	}
}

type readErr struct{ err error }

func (r readErr) Read([]byte) (int, error) { return 0, r.err }

func TestPushEndsWithItsContext(t *testing.T) {
	s := newStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, "Push", s.Push(ctx, descriptor(digest.FromString("x"), 1), strings.NewReader("x")), context.Canceled)
}

func TestFetch(t *testing.T) {
	s := newStore(t)
	_, err := s.Fetch(t.Context(), descriptor(digest.FromString("no"), 2))
	wantErr(t, "Fetch", err, errdef.ErrNotFound, blobstore.ErrNotFound)
	raw := []byte(`{"schemaVersion":2}`)
	put(t, s, raw)
	got, err := orascontent.FetchAll(t.Context(), s, ocispec.Descriptor{Digest: digest.FromBytes(raw), Size: int64(len(raw))})
	if err != nil || !bytes.Equal(got, raw) {
		t.Errorf("FetchAll = %q, %v", got, err)
	}
}
