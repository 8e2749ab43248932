package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/mstore/mstore/fetch/registry"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/internal/memsink"
	"github.com/mstore/mstore/internal/registrytest"
	"github.com/mstore/mstore/manifest"
)

// client is a client whose docker configuration is empty and its own.
func client(t *testing.T, change ...func(*registry.Options)) *registry.Client {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	var opts registry.Options
	for _, c := range change {
		c(&opts)
	}
	return registry.New(opts)
}

// as gives a client the credentials of the one user, for host.
func as(host string) func(*registry.Options) {
	return func(o *registry.Options) { o.Credentials = secret(host, registrytest.Password) }
}

// secret is a keyring with one entry.
func secret(host, password string) credentials.Store {
	store := credentials.NewMemoryStore()
	_ = store.Put(context.Background(), host, auth.Credential{Username: registrytest.User, Password: password})
	return store
}

// trust lets a client give credentials to the token server of a registry.
func trust(r *registrytest.Registry) func(*registry.Options) {
	return func(o *registry.Options) { o.TrustedRealms = []string{r.Tokens.Host()} }
}

// model is a model with one blob of n bytes beside its config.
type model struct {
	m      *manifest.Manifest
	config []byte
	layers [][]byte
}

func newModel(t *testing.T, sizes ...int) model {
	t.Helper()
	var d manifest.Draft
	var out model
	for i, n := range sizes {
		layer := noise(uint64(n)*31+uint64(i), n)
		out.layers = append(out.layers, layer)
		d.Files = append(d.Files, manifest.File{Path: string(rune('a'+i)) + ".bin", Descriptor: describe(layer)})
	}
	var err error
	out.m, out.config, err = manifest.Build(d)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	_, _ = src.Read(b)
	return b
}

func describe(b []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: digest.FromBytes(b), Size: int64(len(b))}
}

// push pushes m whole and gives the outcome of each blob by digest.
func (m model) push(t *testing.T, target *registry.Target) map[digest.Digest]registry.Outcome {
	t.Helper()
	outcomes := make(map[digest.Digest]registry.Outcome)
	for _, b := range append(m.layers, m.config) {
		outcome, err := target.PushBlob(t.Context(), describe(b), bytes.NewReader(b), nil)
		if err != nil {
			t.Fatal(err)
		}
		outcomes[digest.FromBytes(b)] = outcome
	}
	if _, err := target.PushManifest(t.Context(), m.m.Descriptor.MediaType, m.m.Raw); err != nil {
		t.Fatal(err)
	}
	return outcomes
}

func target(t *testing.T, c *registry.Client, ref string, change ...func(*registry.TargetOptions)) *registry.Target {
	t.Helper()
	opts := registry.TargetOptions{Transfer: quick}
	for _, f := range change {
		f(&opts)
	}
	target, err := c.Target(t.Context(), ref, opts)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func resolve(t *testing.T, c *registry.Client, ref string, opts source.Options) *source.Model {
	t.Helper()
	m, err := c.Resolve(t.Context(), ref, opts)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// quick retries without waiting.
var quick = transfer.Options{Stall: 5 * time.Second, Jitter: func(time.Duration) time.Duration { return 0 }}

// fetch gets a blob of a resolved model.
func fetch(t *testing.T, m *source.Model, desc ocispec.Descriptor) ([]byte, transfer.Stats, error) {
	t.Helper()
	sink := memsink.New(int(desc.Size), nil)
	stats, err := transfer.New(transfer.Limits{}).Run(t.Context(), sink, m.Origins(desc), quick)
	data, _ := sink.Bytes()
	return data, stats, err
}

// seen is a request that a server has got.
type seen struct {
	Method, Path string
	Header       http.Header
	Body         int64
}

// log records requests.
type log struct {
	mu  sync.Mutex
	all []seen
}

func (l *log) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		l.all = append(l.all, seen{r.Method, r.URL.Path, r.Header.Clone(), 0})
		r.Body = &counting{r.Body, l, len(l.all) - 1}
		l.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

func (l *log) requests() []seen {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]seen(nil), l.all...)
}

// counting is the body of a request, whose bytes are noted as they are read.
type counting struct {
	io.ReadCloser
	log *log
	at  int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	c.log.all[c.at].Body += int64(n)
	return n, err
}

// serve runs a handler and gives its host and what it was asked.
func serve(t *testing.T, h http.HandlerFunc) (host string, asked *log) {
	t.Helper()
	asked = &log{}
	srv := httptest.NewServer(asked.wrap(h))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://"), asked
}

// serveTLS runs a handler behind a certificate that only the server's own client trusts.
func serveTLS(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

// wantNoSecrets fails for a request that carried what is secret.
func wantNoSecrets(t *testing.T, who string, asked *log) {
	t.Helper()
	for _, r := range asked.requests() {
		for _, name := range []string{"Authorization", "Cookie", "Proxy-Authorization", "Referer"} {
			if v := r.Header.Get(name); v != "" {
				t.Errorf("%s was sent %s: %q with %s %s", who, name, v, r.Method, r.Path)
			}
		}
		if r.Body > 0 {
			t.Errorf("%s was sent %d bytes with %s %s", who, r.Body, r.Method, r.Path)
		}
	}
}

func toJSON(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func index(t *testing.T, entries ...ocispec.Descriptor) []byte {
	t.Helper()
	return toJSON(t, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: entries,
	})
}
