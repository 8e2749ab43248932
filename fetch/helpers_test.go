package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/blobstore/storetest"
	"github.com/mstore/mstore/fetch"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/manifest"
	"github.com/mstore/mstore/manifest/tags"
)

// newPuller is a puller of a store of its own, which is checked when the test ends.
func newPuller(t *testing.T) *fetch.Puller {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store := storetest.New(t, blobstore.Options{Log: log})
	named, err := tags.Open(store.Root(), tags.Options{})
	try(t, err)
	return &fetch.Puller{Store: store, Tags: named, Engine: transfer.New(transfer.Limits{}), Log: log}
}

func try(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// world is a source of one model, whose bytes are in memory.
type world struct {
	model source.Model
	blobs map[digest.Digest][]transfer.Origin

	mu    sync.Mutex
	asked []source.Options
}

// Resolve is source.Source: it says Unchanged when it is asked with what it has.
func (w *world) Resolve(_ context.Context, ref string, opts source.Options) (*source.Model, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, opts)
	if ref != "ref" {
		return nil, errNoSuchRef
	}
	m := w.model
	m.Unchanged = opts.Have != "" && opts.Have == m.Digest
	return &m, nil
}

var errNoSuchRef = errors.New("no such reference")

// newWorld has a model of these files, under the path that each has.
func newWorld(t *testing.T, files map[string]string) *world {
	t.Helper()
	w := &world{blobs: make(map[digest.Digest][]transfer.Origin)}
	var d manifest.Draft
	for path, text := range files {
		d.Files = append(d.Files, manifest.File{Path: path, Descriptor: w.add(text)})
	}
	m, config, err := manifest.Build(d)
	try(t, err)
	w.add(string(config))
	w.model = source.Model{
		Name: "world/m:v1", Reference: "world:m", Digest: m.Descriptor.Digest, Manifest: m,
		Origins: func(desc ocispec.Descriptor) []transfer.Origin { return w.blobs[desc.Digest] },
	}
	return w
}

func (w *world) add(text string) ocispec.Descriptor {
	d := digest.FromString(text)
	w.blobs[d] = []transfer.Origin{&origin{text: text}}
	return ocispec.Descriptor{Digest: d, Size: int64(len(text))}
}

// replace makes the blob of text come from these origins.
func (w *world) replace(text string, origins ...transfer.Origin) {
	w.blobs[digest.FromString(text)] = origins
}

// origin has one blob.
type origin struct {
	text string
	err  error
	look func() // called with each request

	mu    sync.Mutex
	asked int
}

func (o *origin) Fetch(_ context.Context, off, n int64) (*transfer.Answer, error) {
	o.mu.Lock()
	o.asked++
	o.mu.Unlock()
	if o.look != nil {
		o.look()
	}
	if o.err != nil {
		return nil, o.err
	}
	b := []byte(o.text)[off:]
	if n >= 0 {
		b = b[:min(n, int64(len(b)))]
	}
	return &transfer.Answer{Body: io.NopCloser(bytes.NewReader(b)), At: off}, nil
}

func (o *origin) times() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked
}

var impatient = fetch.Options{Source: source.Options{Transfer: transfer.Options{Retries: -1}}}

// wantNoTags wants a store without names.
func wantNoTags(t *testing.T, p *fetch.Puller) {
	t.Helper()
	if all, err := p.Tags.List(); err != nil || len(all) != 0 {
		t.Errorf("there are tags: %v, %v", all, err)
	}
}
