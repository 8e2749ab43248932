package mstore_test

import (
	"crypto/rand"
	"io/fs"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore"
)

// tinyLlama is a true model: weights, a tokenizer, configs, a sub-folder.
const tinyLlama = "testdata/tiny-llama"

// once are the options of a pull that tries everything once, so that what fails fails at once.
var once = mstore.PullOptions{Retries: -1}

// content is n bytes, the same for the same seed.
func content(n int, seed byte) []byte {
	b := make([]byte, n)
	_, _ = mathrand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// folder makes a folder of files.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		try(t, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600))
	}
	return dir
}

// small is a folder with what models have: a sub-folder, an empty file, a name in Unicode, two files of one content.
func small(t testing.TB, seed byte) string {
	t.Helper()
	return folder(t, map[string]string{
		"model.safetensors": string(content(200<<10, seed)), "config.json": `{"model_type":"none"}`, "empty": "",
		"sub/deeper/vocab.txt": "a\nb\n", "sub/same.txt": "a\nb\n", "Größe.md": "Ü\n",
	})
}

// load imports a folder as name.
func load(t testing.TB, s *mstore.Store, dir, name string) *mstore.Pulled {
	t.Helper()
	p, err := s.Import(t.Context(), []string{dir}, name, mstore.ImportOptions{})
	try(t, err)
	return p
}

// publish imports a folder into a store of its own and pushes it to ref.
func publish(t testing.TB, dir, ref string) *mstore.Pushed {
	t.Helper()
	s := newStore(t)
	load(t, s, dir, "publish")
	return push(t, s, "publish", ref)
}

func push(t testing.TB, s *mstore.Store, name, ref string) *mstore.Pushed {
	t.Helper()
	p, err := s.Push(t.Context(), name, ref, mstore.PushOptions{})
	try(t, err)
	return p
}

func pull(t testing.TB, s *mstore.Store, ref string, o mstore.PullOptions) *mstore.Pulled {
	t.Helper()
	p, err := s.Pull(t.Context(), ref, o)
	try(t, err)
	return p
}

// wantExport exports a model and compares it with the folder that it should be.
func wantExport(t testing.TB, s *mstore.Store, name, want string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "out")
	_, err := s.Export(t.Context(), name, dir, mstore.ExportOptions{})
	try(t, err)
	wantSameFiles(t, want, dir)
}

func wantSameFiles(t testing.TB, want, got string) {
	t.Helper()
	if diff := cmp.Diff(digests(t, want), digests(t, got)); diff != "" {
		t.Errorf("%s has not the files of %s (-want +got):\n%s", got, want, diff)
	}
}

// digests are the files below a folder, with the digest of each.
func digests(t testing.TB, dir string) map[string]digest.Digest {
	t.Helper()
	all := make(map[string]digest.Digest)
	try(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		all[filepath.ToSlash(rel)] = digest.FromBytes(raw)
		return err
	}))
	return all
}

// repo is a repository of the shared registry that nobody else has, with a suffix where a test needs several.
func repo(t testing.TB, suffix ...string) string {
	t.Helper()
	return strings.Join(append([]string{fixtures.registry(), fresh(t)}, suffix...), "/")
}

// fresh is a name for a repository that was not there before.
func fresh(t testing.TB) string {
	t.Helper()
	name := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(t.Name()), "-")
	return strings.Trim(name, "-") + "/" + strings.ToLower(rand.Text())
}

// contents is what a store has: its tags, and its blobs.
type contents struct {
	Tags  map[string]digest.Digest
	Blobs []digest.Digest
}

func look(t testing.TB, s *mstore.Store) contents {
	t.Helper()
	c := contents{Tags: make(map[string]digest.Digest)}
	all, err := s.List(t.Context())
	try(t, err)
	for _, m := range all {
		c.Tags[m.Name] = m.Digest
	}
	for d, err := range s.Blobs().All() {
		try(t, err)
		c.Blobs = append(c.Blobs, d)
	}
	slices.Sort(c.Blobs)
	return c
}

// blobPath is where a blob's file lies.
func blobPath(s *mstore.Store, d digest.Digest) string {
	return filepath.Join(s.Dir(), "blobs", "sha256", d.Encoded())
}

// lose removes a blob behind the store's back.
func lose(t testing.TB, s *mstore.Store, d digest.Digest) {
	t.Helper()
	try(t, os.Remove(blobPath(s, d)))
}

// fileOf is a file of a model.
func fileOf(t testing.TB, m mstore.Model, path string) mstore.File {
	t.Helper()
	for _, f := range m.Files {
		if f.Path == path {
			return f
		}
	}
	t.Fatalf("%s has no file %s", m.Name, path)
	return mstore.File{}
}

// wire is a transport that remembers what was asked.
type wire struct {
	next *http.Transport
	mu   sync.Mutex
	all  []string
}

// watched makes a store send its requests through w.
func watched(t testing.TB) (w *wire, change func(*mstore.Options)) {
	t.Helper()
	w = &wire{next: http.DefaultTransport.(*http.Transport).Clone()}
	t.Cleanup(w.next.CloseIdleConnections)
	return w, func(o *mstore.Options) { o.HTTP = &http.Client{Transport: w} }
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.all = append(w.all, r.Method+" "+r.URL.Path)
	w.mu.Unlock()
	return w.next.RoundTrip(r)
}

// take is what was asked since the last take.
func (w *wire) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.all
	w.all = nil
	return all
}
