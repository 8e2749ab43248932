package faultserver

import (
	"encoding/json"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociConfig   = "application/vnd.oci.image.config.v1+json"
	ociLayer    = "application/octet-stream"
	ociTitle    = "org.opencontainers.image.title"
)

// Manifest is a manifest of a repository.
type Manifest struct {
	Repository string
	Tag        string // empty: it is there by its digest only
	MediaType  string // empty: an OCI image manifest
	Raw        []byte
}

// Digest is that of its bytes.
func (m *Manifest) Digest() string {
	return DigestOf(strings.NewReader(string(m.Raw)), int64(len(m.Raw)))
}

func (m *Manifest) mediaType() string {
	if m.MediaType == "" {
		return ociManifest
	}
	return m.MediaType
}

// digest is the blob's, worked out where it is not said.
func (b *Blob) digest() string {
	if b.Digest != "" {
		return b.Digest
	}
	if g, ok := b.Data.(*Generated); ok {
		return g.Digest()
	}
	return DigestOf(b.Data, b.Size)
}

// Image makes a manifest that names blobs as layers, each by the last part of its path, and the blob of its config. It
// works out the digests of blobs that do not say theirs.
func Image(repository, tag string, blobs ...Blob) (Manifest, Blob) {
	type descriptor struct {
		MediaType   string            `json:"mediaType"`
		Digest      string            `json:"digest"`
		Size        int64             `json:"size"`
		Annotations map[string]string `json:"annotations,omitempty"`
	}
	const empty = "{}"
	config := Blob{Data: strings.NewReader(empty), Size: int64(len(empty))}
	config.Digest = config.digest()
	var layers []descriptor
	for _, b := range blobs {
		title := map[string]string{ociTitle: path.Base(b.Path)}
		layers = append(layers, descriptor{ociLayer, b.digest(), b.Size, title})
	}
	raw, _ := json.Marshal(map[string]any{ // it cannot fail for strings and numbers
		"schemaVersion": 2, "mediaType": ociManifest,
		"config": descriptor{ociConfig, config.Digest, config.Size, nil}, "layers": layers,
	})
	return Manifest{Repository: repository, Tag: tag, Raw: raw}, config
}

// registry is the face of a registry: it has the server's blobs in every repository, and what was pushed.
type registry struct {
	s *Server

	mu        sync.Mutex
	ready     bool // blobs of the options are in the map
	blobs     map[string]*Blob
	manifests []Manifest
	sessions  map[string]*session
}

func newRegistry(s *Server) *registry {
	return &registry{
		s: s, blobs: make(map[string]*Blob), sessions: make(map[string]*session),
		manifests: append([]Manifest(nil), s.opts.Manifests...),
	}
}

// blob finds a blob by digest; nil when there is none.
func (g *registry) blob(digest string) *Blob {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.ready {
		for i := range g.s.opts.Blobs {
			b := &g.s.opts.Blobs[i]
			g.blobs[b.digest()] = b
		}
		g.ready = true
	}
	return g.blobs[digest]
}

// Pushed is the content of a blob that the registry has by digest, its own or pushed; false when it has none.
func (s *Server) Pushed(digest string) (Blob, bool) {
	if b := s.registry.blob(digest); b != nil {
		return *b, true
	}
	return Blob{}, false
}

// manifest finds one by tag or digest; the last one pushed wins. nil when there is none.
func (g *registry) manifest(repository, name string) *Manifest {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range slices.Backward(g.manifests) {
		if m.Repository == repository && (m.Tag == name && name != "" || m.Digest() == name) {
			return &m
		}
	}
	return nil
}

// apiPath takes /v2/<repository>/<what>/<name> apart; uploads are what "uploads" with the session as name.
func apiPath(p string) (repository, what, name string) {
	rest, ok := strings.CutPrefix(p, "/v2/")
	if !ok {
		return "", "", ""
	}
	for _, what := range []string{"/blobs/uploads/", "/blobs/", "/manifests/"} {
		if at := strings.LastIndex(rest, what); at > 0 {
			return rest[:at], path.Base(what), rest[at+len(what):]
		}
	}
	return "", "", ""
}

func (x *exchange) repository() string {
	name, _, _ := apiPath(x.r.URL.Path)
	return name
}

// route says what of the registry a request asks for.
func (g *registry) route(x *exchange, get bool) {
	repository, what, name := apiPath(x.r.URL.Path)
	switch {
	case what == "blobs" && get:
		x.blob = g.blob(name)
	case what == "manifests" && get:
		x.kind, x.manifest = manifestGet, g.manifest(repository, name)
	case what == "uploads":
		x.session = name
		switch x.r.Method {
		case http.MethodPost:
			x.kind = uploadStart
		case http.MethodPatch:
			x.kind = uploadPatch
		case http.MethodPut:
			x.kind = uploadPut
		}
	}
}

// answer is the right answer to all but a GET of a blob that is there.
func (g *registry) answer(x *exchange) *reply {
	repository, what, name := apiPath(x.r.URL.Path)
	switch {
	case x.r.URL.Path == "/v2/":
		return text(http.StatusOK, "application/json", "{}", field{"Docker-Distribution-Api-Version", "registry/2.0"})
	case what == "uploads":
		return g.upload(x)
	case what == "manifests" && x.r.Method == http.MethodPut:
		return g.putManifest(x, repository, name)
	case x.manifest != nil:
		return manifestReply(x.manifest)
	case what == "manifests":
		return registryError(http.StatusNotFound, "MANIFEST_UNKNOWN")
	case what == "blobs":
		return registryError(http.StatusNotFound, "BLOB_UNKNOWN")
	}
	return registryError(http.StatusNotFound, "NAME_UNKNOWN")
}

func manifestReply(m *Manifest) *reply {
	return text(http.StatusOK, m.mediaType(), string(m.Raw), field{"Docker-Content-Digest", m.Digest()})
}

func registryError(status int, code string) *reply {
	return text(status, "application/json", `{"errors":[{"code":`+strconv.Quote(code)+`,"message":"said by the fault server"}]}`)
}

// layers are the digests of the blobs that a manifest names.
func layers(raw []byte) []string {
	type named struct {
		Digest string `json:"digest"`
	}
	var m struct {
		Config *named  `json:"config"`
		Layers []named `json:"layers"`
	}
	if json.Unmarshal(raw, &m) != nil {
		return nil
	}
	var digests []string
	if m.Config != nil {
		digests = append(digests, m.Config.Digest)
	}
	for _, l := range m.Layers {
		digests = append(digests, l.Digest)
	}
	return digests
}
