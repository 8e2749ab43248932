package fetch_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/fetch"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/manifest/tags"
)

func TestThePullsOrder(t *testing.T) {
	p, w := newPuller(t), newWorld(t, map[string]string{"a": "A", "b": "B"})
	m := w.model.Manifest
	w.replace("A", &origin{text: "A", look: func() {
		held, err := p.Store.Held()
		try(t, err)
		for _, d := range m.Blobs() { // all of them, before any is asked for
			if _, ok := held[d.Digest]; !ok {
				t.Errorf("%s is not held", d.Digest)
			}
		}
		if _, err := p.Store.Stat(m.Descriptor.Digest); !errors.Is(err, blobstore.ErrNotFound) {
			t.Errorf("the manifest is there before its blobs: %v", err)
		}
		wantNoTags(t, p)
	}})
	r, err := p.Pull(t.Context(), w, "ref", nil, fetch.Options{})
	try(t, err)
	if r.Tag.Name != "world/m:v1" || r.Cached || r.Fetched != m.Size() || r.Reused != 0 || r.Tag.Files != 2 || r.Tag.Bytes != m.Size() {
		t.Errorf("Pull = %+v", r)
	}
	if held, err := p.Store.Held(); err != nil || len(held) != 0 {
		t.Errorf("after the pull, %d are held, %v", len(held), err)
	}
}

func TestWhatFailsMovesNoTag(t *testing.T) {
	down := errors.New("down")
	for name, c := range map[string]struct {
		spoil func(w *world, o *fetch.Options) (ref string)
		want  error
		tries int // of the blob "B"
	}{
		"no such reference": {func(*world, *fetch.Options) string { return "other" }, errNoSuchRef, 0},
		"an origin is down": {func(w *world, _ *fetch.Options) string { w.replace("A", &origin{err: down}); return "ref" }, down, -1},
		"wrong bytes":       {func(w *world, _ *fetch.Options) string { w.replace("A", &origin{text: "X"}); return "ref" }, blobstore.ErrMismatch, -1},
		"another digest": {func(_ *world, o *fetch.Options) string {
			o.Digest = digest.FromString("other")
			return "ref"
		}, fetch.ErrPinned, 0},
		"a name that is none":          {func(w *world, _ *fetch.Options) string { w.model.Name = "-x"; return "ref" }, tags.ErrName, 0},
		"a name to be that is none":    {func(_ *world, o *fetch.Options) string { o.As = "-x"; return "ref" }, tags.ErrName, 0},
		"no origin has it":             {func(w *world, _ *fetch.Options) string { w.replace("A"); return "ref" }, nil, -1},
		"the name of nothing, unnamed": {func(w *world, _ *fetch.Options) string { w.model.Name = ""; return "ref" }, tags.ErrName, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p, w, opts := newPuller(t), newWorld(t, map[string]string{"a": "A", "b": "B"}), impatient
			other := &origin{text: "B"}
			w.replace("B", other)
			ref := c.spoil(w, &opts)
			_, err := p.Pull(t.Context(), w, ref, nil, opts)
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("Pull = %v, want %v", err, c.want)
			}
			if c.tries >= 0 && other.times() != c.tries {
				t.Errorf("a blob was asked for %d times, want %d", other.times(), c.tries)
			}
			wantNoTags(t, p)
			if _, err := p.Store.Stat(digest.FromString("A")); !errors.Is(err, blobstore.ErrNotFound) {
				t.Errorf("the blob is there: %v", err)
			}
		})
	}
}

func TestUnchanged(t *testing.T) {
	p, w := newPuller(t), newWorld(t, map[string]string{"a": "A"})
	a := &origin{text: "A"}
	w.replace("A", a)
	first, err := p.Pull(t.Context(), w, "ref", nil, fetch.Options{})
	try(t, err)
	again, err := p.Pull(t.Context(), w, "ref", &first.Tag, fetch.Options{})
	if err != nil || !again.Cached || again.Fetched != 0 || again.Reused != first.Manifest.Size() || a.times() != 1 {
		t.Errorf("Pull again = %+v, %v", again, err)
	}
	try(t, os.Remove(filepath.Join(p.Store.Dir("blobs"), "sha256", digest.FromString("A").Encoded())))
	if _, err := p.Present(first.Tag); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Present without a blob = %v", err)
	}
	w.asked = nil
	again, err = p.Pull(t.Context(), w, "ref", &first.Tag, fetch.Options{})
	if err != nil || again.Cached || again.Fetched != 1 || a.times() != 2 {
		t.Errorf("Pull of what was lost = %+v, %v", again, err)
	}
	if len(w.asked) != 2 || w.asked[0].Have != first.Tag.Source.Digest || w.asked[1].Have != "" {
		t.Errorf("the source was asked %+v", w.asked)
	}
	if present, err := p.Present(first.Tag); err != nil || !present.Cached {
		t.Errorf("Present = %+v, %v", present, err)
	}
}

func TestTheNextOriginIsAskedForWrongBytes(t *testing.T) {
	p, w := newPuller(t), newWorld(t, map[string]string{"a": "A"})
	bad, good := &origin{text: "X"}, &origin{text: "A"}
	w.replace("A", bad, good)
	r, err := p.Pull(t.Context(), w, "ref", nil, impatient)
	if err != nil || r.Retries != 1 || bad.times() != 1 || good.times() != 1 {
		t.Errorf("Pull = %+v, %v; asked %d and %d times", r, err, bad.times(), good.times())
	}
}

func TestRestore(t *testing.T) {
	p, w := newPuller(t), newWorld(t, map[string]string{"a": "A"})
	r, err := p.Pull(t.Context(), w, "ref", nil, fetch.Options{As: "mine:v1"})
	try(t, err)
	before, err := p.Tags.Get("mine:v1")
	try(t, err)
	for _, d := range []digest.Digest{digest.FromString("A"), r.Manifest.Descriptor.Digest} {
		try(t, os.Remove(filepath.Join(p.Store.Dir("blobs"), "sha256", d.Encoded())))
	}
	try(t, p.Restore(t.Context(), w, "ref", r.Tag, source.Options{}))
	if after, err := p.Tags.Get("mine:v1"); err != nil || !cmp.Equal(after, before) {
		t.Errorf("the tag is %+v, %v; was %+v", after, err, before)
	}
	if _, err := fetch.Load(p.Store, r.Tag); err != nil {
		t.Error(err)
	}
	err = p.Restore(t.Context(), newWorld(t, map[string]string{"a": "other"}), "ref", r.Tag, source.Options{})
	if !errors.Is(err, fetch.ErrPinned) {
		t.Errorf("Restore from what has moved = %v", err)
	}
}

// TestFilesOfUnknownDigest pulls a model that has no manifest: one is made of its files, whose sizes may not be known.
func TestFilesOfUnknownDigest(t *testing.T) {
	local := filepath.Join(t.TempDir(), "file")
	try(t, os.WriteFile(local, []byte("local"), 0o600))
	file := func(path, text string, size int64) source.File {
		return source.File{Path: path, Descriptor: ocispec.Descriptor{Size: size}, Origins: []transfer.Origin{&origin{text: text}}}
	}
	w := &world{model: source.Model{Name: "m:v1", Reference: "web:m", Files: []source.File{
		file("a", "A", 1), file("b", "size unknown", -1), file("empty", "", -1),
		{Path: "local", Local: local, Descriptor: ocispec.Descriptor{Size: 5}},
	}}}
	p := newPuller(t)
	r, err := p.Pull(t.Context(), w, "ref", nil, impatient)
	try(t, err)
	got := make(map[string]digest.Digest)
	for _, f := range r.Manifest.Files {
		got[f.Path] = f.Descriptor.Digest
	}
	for path, text := range map[string]string{"a": "A", "b": "size unknown", "empty": "", "local": "local"} {
		if got[path] != digest.FromString(text) {
			t.Errorf("%s is %s", path, got[path])
		}
	}
	if r.Tag.Source.Digest != r.Manifest.Descriptor.Digest {
		t.Errorf("the tag came from %+v", r.Tag.Source)
	}
}
