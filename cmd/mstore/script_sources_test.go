package main

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mstore/mstore/internal/hubtest"
	"github.com/mstore/mstore/internal/ollamatest"
)

// gguf is the content of one file that all of the worlds have.
const gguf = "GGUF, as far as anybody looks\n"

// theRepos are what the hubs of scripts have.
func theRepos() []hubtest.Repo {
	small := []hubtest.File{hubtest.Text("config.json", "{}")}
	return []hubtest.Repo{
		{ID: "org/model", Files: []hubtest.File{
			hubtest.Text("config.json", `{"model_type":"tiny"}`), hubtest.Text("README.md", "read me\n"),
			hubtest.LFS("model.safetensors", "weights as safetensors"), hubtest.LFS("pytorch_model.bin", "weights as pickle"),
		}},
		{ID: "org/model-GGUF", Files: []hubtest.File{
			hubtest.Text("README.md", "read me\n"), hubtest.LFS("model-Q4_K_M.gguf", gguf),
			hubtest.LFS("model-Q8_0.gguf", "GGUF, with twice the bits"),
		}},
		{ID: "org/gated", Gated: true, Files: small},
		{ID: "org/private", Private: true, Files: small},
		{ID: "org/disabled", Disabled: true, Files: small},
		{ID: "org/hostile", Files: []hubtest.File{hubtest.Text("config.json", "{}"), hubtest.LFS("../../../evil", "evil")}},
		{ID: "org/wrong", Files: []hubtest.File{{
			Path: "model.gguf", LFS: true, Data: []byte(gguf), ListedSHA256: strings.Repeat("0", 64),
		}}},
	}
}

// counted is a server of a script that knows how often it was asked.
type counted struct {
	asked func() int
	last  int
}

// hubKey, ollamaKey and webKey find the servers of a script, and askedKey the counters of all by their names.
type (
	hubKey    struct{}
	ollamaKey struct{}
	webKey    struct{}
	askedKey  struct{}
)

// named makes asked know a server of the script.
func (c *counted) named(ts *testscript.TestScript, name string) {
	all, _ := ts.Value(askedKey{}).(map[string]*counted)
	all[name] = c
}

// asked SERVER N: the hub, ollama or web was asked N times since the last asked of it.
func asked(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: asked SERVER N")
	}
	all, _ := ts.Value(askedKey{}).(map[string]*counted)
	c := all[args[0]]
	if c == nil {
		ts.Fatalf("no such server: %s", args[0])
	}
	now := c.asked()
	if got := now - c.last; strconv.Itoa(got) != args[1] {
		ts.Fatalf("%s was asked %d times, want %s", args[0], got, args[1])
	}
	c.last = now
}

// hub start [TOKEN]|commit ID PATH TEXT: a hub, which HF_ENDPOINT names then, with a user who has the token.
func hub(ts *testscript.TestScript, _ bool, args []string) {
	h, _ := ts.Value(hubKey{}).(*holder[hubtest.Hub])
	switch args[0] {
	case "start":
		var opts hubtest.Options
		if len(args) > 1 {
			opts.Token = args[1]
		}
		h.it = hubtest.Serve(opts, theRepos()...)
		ts.Defer(h.it.Close)
		ts.Setenv("HF_ENDPOINT", h.it.Endpoint)
		(&counted{asked: func() int { return len(h.it.Requests()) }}).named(ts, "hub")
	case "commit":
		h.it.Commit(args[1], hubtest.Main, hubtest.Text(args[2], args[3]))
	default:
		ts.Fatalf("usage: hub start [TOKEN]|commit ID PATH TEXT")
	}
}

// holder is a server of a script once it was started.
type holder[T any] struct{ it *T }

// ollama start|update: a registry of Ollama's models, whose host and port is $OLLAMA then; it has library/tiny.
func ollama(t *testing.T) func(*testscript.TestScript, bool, []string) {
	t.Helper()
	return func(ts *testscript.TestScript, _ bool, args []string) {
		h, _ := ts.Value(ollamaKey{}).(*holder[ollamatest.Registry])
		switch args[0] {
		case "start":
			h.it = ollamatest.New(t, ollamatest.Options{})
			h.it.Add("library/tiny:latest", theLayers()...)
			var n counter
			s := httptest.NewServer(n.before(h.it))
			ts.Defer(s.Close)
			ts.Setenv("OLLAMA", s.Listener.Addr().String())
			(&counted{asked: n.value}).named(ts, "ollama")
		case "update":
			h.it.Add("library/tiny:latest", append(theLayers(), ollamatest.Layer{Type: "system", Content: "Be terse."})...)
		default:
			ts.Fatalf("usage: ollama start|update")
		}
	}
}

// theLayers are those of Ollama's model tiny.
func theLayers() []ollamatest.Layer {
	return []ollamatest.Layer{
		{Type: "model", Content: gguf},
		{Type: "template", Content: "{{ .Prompt }}"},
		{Type: "params", Content: `{"stop":["<|end|>"]}`},
		{Type: "license", Content: "free"},
	}
}

// counter counts requests.
type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) value() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func (c *counter) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.n++
		c.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

// website is a server of files, the one of which changes when it is told to.
type website struct {
	mu      sync.Mutex
	content string
}

// web start|update: a web server, whose host and port is $WEB then.
func web(ts *testscript.TestScript, _ bool, args []string) {
	site, _ := ts.Value(webKey{}).(*website)
	switch args[0] {
	case "start":
		var n counter
		s := httptest.NewServer(n.before(site))
		ts.Defer(s.Close)
		ts.Setenv("WEB", s.Listener.Addr().String())
		(&counted{asked: n.value}).named(ts, "web")
	case "update":
		site.mu.Lock()
		defer site.mu.Unlock()
		site.content += ", and newer"
	default:
		ts.Fatalf("usage: web start|update")
	}
}

// ServeHTTP gives files by the names that end in .gguf; by others a page, a file that has a name of its own (called/NAME)
// or nothing.
func (s *website) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	content := s.content
	s.mu.Unlock()
	name := path.Base(r.URL.Path)
	switch {
	case name == "page":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		content = "<html><body>Please log in.</body></html>"
	case strings.HasPrefix(r.URL.Path, "/called/"):
		w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", r.URL.Query().Get("name")))
	case !strings.HasSuffix(name, ".gguf"):
		http.NotFound(w, r)
		return
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/octet-stream")
	}
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256([]byte(content))))
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
}
