package mstore_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/manifest"
)

// fake is a registry that serves what a test tells it to.
type fake struct {
	Host string

	mu        sync.Mutex
	manifests map[string]http.HandlerFunc // by what is asked for: a tag or a digest
	blobs     map[string]blobHandler      // by digest, as it is asked for
	asked     map[string]int
}

// blobHandler answers the try'th request for a blob, from 1 on.
type blobHandler func(w http.ResponseWriter, r *http.Request, try int)

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{manifests: make(map[string]http.HandlerFunc), blobs: make(map[string]blobHandler), asked: make(map[string]int)}
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	f.Host = strings.TrimPrefix(srv.URL, "http://")
	return f
}

// ServeHTTP has one repository, called m.
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	kind, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/m/"), "/")
	f.asked[r.Method+" "+kind+"/"+name]++
	try := f.asked[r.Method+" "+kind+"/"+name]
	m, blob := f.manifests[name], f.blobs[name]
	f.mu.Unlock()
	switch {
	case kind == "manifests" && m != nil:
		m(w, r)
	case kind == "blobs" && blob != nil:
		blob(w, r, try)
	case r.URL.Path == "/v2/":
	default:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`))
	}
}

// tries is how often a blob was asked for.
func (f *fake) tries(d digest.Digest) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked["GET blobs/"+d.String()]
}

// manifest serves raw under a tag, as mediaType, with the digest that it has.
func (f *fake) manifest(tag, mediaType string, raw []byte, headers ...string) {
	h := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		w.Header().Set("Docker-Content-Digest", digest.FromBytes(raw).String())
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(raw)))
		_, _ = w.Write(raw)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.manifests[tag], f.manifests[digest.FromBytes(raw).String()] = h, h
}

// blob serves b, whole, whatever range is asked for.
func (f *fake) blob(b []byte) ocispec.Descriptor {
	d := digest.FromBytes(b)
	f.serve(d, func(w http.ResponseWriter, _ *http.Request, _ int) { _, _ = w.Write(b) })
	return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: int64(len(b))}
}

func (f *fake) serve(d digest.Digest, h blobHandler) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blobs[d.String()] = h
}

// model serves a model of one file under a tag.
func (f *fake) model(t *testing.T, tag string, file []byte) ocispec.Descriptor {
	t.Helper()
	desc := f.blob(file)
	m, config, err := manifest.Build(manifest.Draft{Files: []manifest.File{{Path: "model.gguf", Descriptor: desc}}})
	try(t, err)
	f.blob(config)
	f.manifest(tag, m.Descriptor.MediaType, m.Raw)
	return desc
}

// doc is a manifest that nobody has checked.
type doc map[string]any

func layer(d any, size any, title string) doc {
	return doc{
		"mediaType": "application/octet-stream", "digest": d, "size": size,
		"annotations": doc{ocispec.AnnotationTitle: title},
	}
}

// artifact is a manifest of the layers, which a test then spoils.
func artifact(layers ...doc) doc {
	empty := ocispec.DescriptorEmptyJSON
	return doc{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "artifactType": "application/x-model",
		"config": doc{"mediaType": empty.MediaType, "digest": empty.Digest, "size": empty.Size},
		"layers": layers,
	}
}

func (d doc) with(key string, value any) doc {
	d[key] = value
	return d
}

func (d doc) raw(t *testing.T) []byte {
	t.Helper()
	raw, err := json.Marshal(d)
	try(t, err)
	return raw
}
