// Package ollamatest is a registry of Ollama models for tests, in the test's own process. It answers as Ollama's does:
// manifests and blobs and no lists, blobs by a redirect to a storage server of its own, and, where it is told to, only
// for who signs with the right key.
package ollamatest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/crypto/ssh"

	"github.com/mstore/mstore/manifest"
)

// Options make a Registry. The zero value lets everybody in.
type Options struct {
	// Key is whose signature opens the registry; nil: nobody has to sign.
	Key ssh.PublicKey
	// NoStorage makes the registry send blobs itself.
	NoStorage bool
}

// Registry is an http.Handler; Start makes it listen too. It may be used by several goroutines.
type Registry struct {
	// Host is where it listens, as host:port; empty for one that New made.
	Host string

	opts    Options
	storage *httptest.Server

	mu        sync.Mutex
	manifests map[string][]byte // by namespace/model:tag
	blobs     map[digest.Digest][]byte
	nonces    map[string]bool
	token     int // the one that is valid
	link      int // as token
	signed    int
	stored    []*http.Request
}

// Layer is one layer of a model; Type is what follows application/vnd.ollama.image. in its media type.
type Layer struct{ Type, Content string }

// New makes a registry that does not listen. Its storage does, until the test ends.
func New(t *testing.T, opts Options) *Registry {
	t.Helper()
	r := &Registry{
		opts: opts, manifests: make(map[string][]byte), blobs: make(map[digest.Digest][]byte), nonces: make(map[string]bool),
		token: 1, link: 1,
	}
	r.storage = httptest.NewServer(http.HandlerFunc(r.serveStorage))
	t.Cleanup(r.storage.Close)
	return r
}

// Start makes a registry that listens on loopback, without TLS, until the test ends.
func Start(t *testing.T, opts Options) *Registry {
	t.Helper()
	r := New(t, opts)
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	r.Host = srv.Listener.Addr().String()
	return r
}

// Add puts a model into the registry, under a name such as library/tiny:latest, and returns its manifest.
func (r *Registry) Add(name string, layers ...Layer) []byte {
	m := map[string]any{
		"schemaVersion": 2, "mediaType": manifest.MediaTypeDockerManifest,
		"config": r.blob("application/vnd.docker.container.image.v1+json", `{"model_format":"gguf","model_family":"llama"}`),
	}
	var list []any
	for _, l := range layers {
		list = append(list, r.blob("application/vnd.ollama.image."+l.Type, l.Content))
	}
	m["layers"] = list
	raw, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		panic(err) // it is made of texts
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.manifests[name] = raw
	return raw
}

func (r *Registry) blob(mediaType, content string) map[string]any {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := digest.FromString(content)
	r.blobs[d] = []byte(content)
	return map[string]any{"mediaType": mediaType, "digest": d, "size": len(content), "from": "/tmp/x"}
}

// ExpireTokens makes the tokens that were given out worthless.
func (r *Registry) ExpireTokens() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.token++
}

// ExpireLinks does so with the links to the storage.
func (r *Registry) ExpireLinks() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.link++
}

// Signed is how often somebody has signed for a token and got it.
func (r *Registry) Signed() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.signed
}

// Stored are the requests that the storage has got.
func (r *Registry) Stored() []*http.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*http.Request(nil), r.stored...)
}

// ServeHTTP is http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if req.URL.Path == "/token" {
		r.giveToken(w, req)
		return
	}
	parts := strings.Split(strings.TrimPrefix(req.URL.Path, "/v2/"), "/")
	if len(parts) != 4 || req.Method != http.MethodGet { // what Ollama's registry has no answer for
		http.NotFound(w, req)
		return
	}
	model := parts[0] + "/" + parts[1]
	if r.opts.Key != nil && req.Header.Get("Authorization") != fmt.Sprint("Bearer token-", r.token) {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(
			`Bearer realm="http://%s/token",service="ollama.com",scope="repository:%s:pull repository:other:pull"`, req.Host, model))
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
		return
	}
	switch content, ok := r.blobs[digest.Digest(parts[3])]; {
	case parts[2] == "manifests" && r.manifests[model+":"+parts[3]] != nil:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write(r.manifests[model+":"+parts[3]])
	case parts[2] == "blobs" && ok && r.opts.NoStorage:
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(content))
	case parts[2] == "blobs" && ok:
		to := fmt.Sprintf("%s/%s?signature=secret-%d", r.storage.URL, parts[3], r.link)
		http.Redirect(w, req, to, http.StatusTemporaryRedirect)
	default:
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
	}
}

func (r *Registry) serveStorage(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stored = append(r.stored, req)
	content, ok := r.blobs[digest.Digest(strings.TrimPrefix(req.URL.Path, "/"))]
	if !ok || req.URL.RawQuery != fmt.Sprint("signature=secret-", r.link) {
		http.Error(w, "<Error><Code>ExpiredRequest</Code></Error>", http.StatusForbidden)
		return
	}
	http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(content))
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]string{"code": code, "message": message}}})
}

// Blob is the descriptor of a layer that Add was given.
func (l Layer) Blob() ocispec.Descriptor {
	return ocispec.Descriptor{
		MediaType: "application/vnd.ollama.image." + l.Type, Digest: digest.FromString(l.Content), Size: int64(len(l.Content)),
	}
}
