package ollama_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/fetch/guard"
	"github.com/mstore/mstore/fetch/ollama"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/sourcetest"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/internal/ollamatest"
	"github.com/mstore/mstore/manifest"
)

// large is more than the buffers between a server and a client on loopback hold: a body can be left in its middle.
const large = sourcetest.MinLarge

var (
	weights = ollamatest.Layer{Type: "model", Content: strings.Repeat("0123456789abcdef", large/16)}
	params  = ollamatest.Layer{Type: "params", Content: `{"stop":["<|end|>"]}`}
	newer   = ollamatest.Layer{Type: "model", Content: strings.Repeat("fedcba9876543210", large/16+2)}
)

// TestConformance: see package sourcetest.
func TestConformance(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.World {
		file, key := ollamatest.NewKey(t)
		reg := ollamatest.New(t, ollamatest.Options{Key: key})
		reg.Add("me/tiny:v1", weights, params)
		front := sourcetest.NewFront(t, reg, func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/blobs/") })
		return sourcetest.World{
			Source: ollama.New(ollama.Options{KeyFile: file}),
			Ref:    front.Host + "/me/tiny:v1",
			Files:  map[string][]byte{"model.gguf": []byte(weights.Content), "params.json": []byte(params.Content)},
			Missing: []string{
				front.Host + "/me/tiny:v2", front.Host + "/me/other", front.Host + "/you/tiny:v1",
			},
			Malformed: []string{"a/b/c/d", "me/x:", "me/x@sha256:0", "x y"},
			Change: func(*testing.T) map[string][]byte {
				reg.Add("me/tiny:v1", newer, params)
				return map[string][]byte{"model.gguf": []byte(newer.Content), "params.json": []byte(params.Content)}
			},
			Faults: map[string]sourcetest.Fault{
				"a web page":   {Make: front.Answers(sourcetest.WebPage), Want: source.ErrProtocol},
				"forbidden":    {Make: front.Answers(sourcetest.Status(http.StatusForbidden)), Want: source.ErrAuth},
				"gone":         {Make: front.Answers(sourcetest.Status(http.StatusGone)), Want: source.ErrNotFound},
				"out of order": {Make: front.Answers(sourcetest.Status(http.StatusBadGateway))},
				"no JSON":      {Make: front.Answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("\x1b[2J")) }), Want: manifest.ErrMalformed},
				"too much":     {Make: front.Answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, manifest.MaxSize+1)) }), Want: manifest.ErrMalformed},
			},
			Hang: front.Hang, Blobs: front.Blobs,
			Secrets: []string{"secret-1", "token-1"},
		}
	})
}

func resolve(t *testing.T, c *ollama.Client, ref string, opts source.Options) *source.Model {
	t.Helper()
	opts.Transfer = sourcetest.Quick()
	m, err := c.Resolve(t.Context(), ref, opts)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// fetch reads a whole blob.
func fetch(t *testing.T, m *source.Model, desc ocispec.Descriptor) ([]byte, error) {
	t.Helper()
	return read(t, m.Origins(desc)[0], 0, -1)
}

func read(t *testing.T, o transfer.Origin, off, n int64) ([]byte, error) {
	t.Helper()
	answer, err := o.Fetch(t.Context(), off, n)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return io.ReadAll(answer.Body)
}

// TestFiles: every kind of layer is a file with a name that says what it is, and the manifest's bytes stay as they came.
func TestFiles(t *testing.T) {
	reg := ollamatest.Start(t, ollamatest.Options{})
	raw := reg.Add("library/x:latest", weights,
		ollamatest.Layer{Type: "projector", Content: "p"}, ollamatest.Layer{Type: "adapter", Content: "a"},
		ollamatest.Layer{Type: "template", Content: "t"}, ollamatest.Layer{Type: "system", Content: "s"},
		ollamatest.Layer{Type: "prompt", Content: "o"}, params, ollamatest.Layer{Type: "messages", Content: "[]"},
		ollamatest.Layer{Type: "license", Content: "MIT"}, ollamatest.Layer{Type: "license", Content: "BSD"},
		ollamatest.Layer{Type: "embed", Content: "e"}, ollamatest.Layer{Type: "draft", Content: "d"},
		ollamatest.Layer{Type: "adapter", Content: "b"})
	m := resolve(t, ollama.New(ollama.Options{}), reg.Host+"/library/x", source.Options{})
	if m.Digest != digest.FromBytes(raw) || !bytes.Equal(m.Manifest.Raw, raw) || m.Manifest.Kind != manifest.KindOllama {
		t.Errorf("manifest %s of kind %s, want %s of Ollama's", m.Digest, m.Manifest.Kind, digest.FromBytes(raw))
	}
	var got []string
	for _, f := range m.Manifest.Files {
		got = append(got, f.Path+" "+string(f.Role))
	}
	if diff := cmp.Diff([]string{
		"model.gguf weight", "mmproj.gguf projector", "adapter.gguf adapter", "template template", "system system",
		"prompt prompt", "params.json params", "messages.json messages", "license license", "license-2 license",
		"embed config", "draft.gguf weight", "adapter-2.gguf adapter",
	}, got); diff != "" {
		t.Error(diff)
	}
}

// TestUnchangedIsOneRequest, for the manifest, and without one for a digest that no header names.
func TestUnchangedIsOneRequest(t *testing.T) {
	reg := ollamatest.Start(t, ollamatest.Options{})
	raw := reg.Add("library/x:latest", params)
	var asked []string
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path+" "+r.Header.Get("Accept"))
		reg.ServeHTTP(w, r)
	})
	m := resolve(t, ollama.New(ollama.Options{}), host+"/library/x", source.Options{Have: digest.FromBytes(raw)})
	if !m.Unchanged || m.Manifest != nil || m.Origins != nil {
		t.Errorf("%+v is not unchanged", m)
	}
	want := []string{"GET /v2/library/x/manifests/latest application/vnd.docker.distribution.manifest.v2+json"}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
}

func serve(t *testing.T, h http.HandlerFunc) (host string) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// TestStorage: ranges go to the storage that the registry sent to, without the token, and back to the registry when the
// link has run out.
func TestStorage(t *testing.T) {
	file, key := ollamatest.NewKey(t)
	reg := ollamatest.New(t, ollamatest.Options{Key: key})
	reg.Add("library/x:latest", weights)
	front := sourcetest.NewFront(t, reg, func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/blobs/") })
	m := resolve(t, ollama.New(ollama.Options{KeyFile: file}), front.Host+"/library/x", source.Options{})
	origin := m.Origins(weights.Blob())[0]
	for i, want := range []int{1, 1, 2, 2} {
		if i == 2 {
			reg.ExpireLinks()
		}
		off := int64(i * 1000)
		got, err := read(t, origin, off, 500)
		if err != nil || string(got) != weights.Content[off:off+500] {
			t.Errorf("range %d: %d bytes, %v", i, len(got), err)
		}
		if n := front.Blobs(); n != want {
			t.Errorf("after range %d the registry was asked %d times, want %d", i, n, want)
		}
	}
	for _, r := range reg.Stored() {
		for _, secret := range []string{"Authorization", "Cookie", "Referer"} {
			if v := r.Header.Get(secret); v != "" {
				t.Errorf("the storage was sent %s: %q", secret, v)
			}
		}
	}
}

// TestErrorBodies: what a registry says of a refusal is found, in each form, and made fit to print.
func TestErrorBodies(t *testing.T) {
	for body, says := range map[string]string{
		`{"errors":[{"code":"DENIED","message":"no entry\u001b[2J\nhere"}]}`: "no entry[2J here",
		`{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`:                           "manifest unknown",
		`{"error":"a newer version of Ollama is required"}`:                  "a newer version of Ollama is required",
		"pull \x1b model":   "pull model",
		"  <html>secret":    "",
		`{"errors":"none"}`: "",
	} {
		host := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusPreconditionFailed)
			_, _ = io.WriteString(w, body)
		})
		_, err := ollama.New(ollama.Options{}).Resolve(t.Context(), host+"/library/x", source.Options{})
		status, ok := errors.AsType[*transfer.StatusError](err)
		if !ok || status.Status != http.StatusPreconditionFailed || !strings.Contains(err.Error(), says) ||
			strings.ContainsAny(err.Error(), "\x1b\n") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %q, want 412 that says %q", body, err, says)
		}
	}
}

// TestNotOllama: other servers that answer, well or with a page.
func TestNotOllama(t *testing.T) {
	other, _, err := manifest.Build(manifest.Draft{Files: []manifest.File{
		{Path: "a.bin", Descriptor: ocispec.Descriptor{Digest: digest.FromString("a"), Size: 1}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]http.HandlerFunc{
		"a page for 404": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte("<html>"))
		},
		"a page":            sourcetest.WebPage,
		"an OCI registry's": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(other.Raw) },
	} {
		if _, err := ollama.New(ollama.Options{}).Resolve(t.Context(), serve(t, h)+"/library/x", source.Options{}); !errors.Is(err, source.ErrProtocol) {
			t.Errorf("%s: %v, want source.ErrProtocol", name, err)
		}
	}
}

// TestPlainHTTP: a host that is not on loopback is spoken to without TLS only where that was said.
func TestPlainHTTP(t *testing.T) {
	reg := ollamatest.Start(t, ollamatest.Options{NoStorage: true})
	reg.Add("library/x:latest", params)
	transport := &http.Transport{DialContext: dialTo(reg.Host)}
	far := ollama.Options{HTTP: &http.Client{Transport: transport}}
	if _, err := ollama.New(far).Resolve(t.Context(), "far.example/library/x", source.Options{Transfer: sourcetest.Quick()}); !errors.Is(err, http.ErrSchemeMismatch) {
		t.Errorf("Resolve = %v, want http.ErrSchemeMismatch", err)
	}
	said := far
	said.PlainHTTP = func(host string) bool { return host == "far.example" }
	for name, m := range map[string]*source.Model{
		"by the client": resolve(t, ollama.New(said), "far.example/library/x", source.Options{}),
		"by the call":   resolve(t, ollama.New(far), "far.example/library/x", source.Options{PlainHTTP: true}),
		"on loopback":   resolve(t, ollama.New(ollama.Options{}), reg.Host+"/library/x", source.Options{}),
	} {
		if !m.PlainHTTP {
			t.Errorf("%s: %+v is with TLS", name, m)
		}
	}
}

// TestRedirectsAreGuarded: blobs may come from elsewhere, but not from anywhere.
func TestRedirectsAreGuarded(t *testing.T) {
	for _, to := range []string{"http://169.254.169.254/x", "file:///etc/passwd", "http://0.0.0.0/"} {
		reg := ollamatest.New(t, ollamatest.Options{})
		reg.Add("library/x:latest", params)
		host := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/blobs/") {
				w.Header().Set("Location", to)
				w.WriteHeader(http.StatusTemporaryRedirect)
				return
			}
			reg.ServeHTTP(w, r)
		})
		m := resolve(t, ollama.New(ollama.Options{}), host+"/library/x", source.Options{})
		if _, err := fetch(t, m, params.Blob()); !errors.Is(err, guard.ErrRedirect) {
			t.Errorf("redirect to %s: %v, want guard.ErrRedirect", to, err)
		}
	}
}
