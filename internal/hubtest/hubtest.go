// Package hubtest runs a model hub for tests and the demo: a server on loopback that speaks the protocol of Hugging
// Face's as its public clients know it, with a second one in the place of its CDN. It holds no logic of mstore.
//
// What it speaks: the commit of a revision, the list of a commit's files in pages, files by commit (small ones at once,
// LFS objects by a signed link that runs out), tokens, repositories that are private, gated or disabled, and the
// headers that tell these apart. Every fault of a test's own goes in front of it, by Options.Before.
package hubtest

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Main is the branch that a repository has.
const Main = "main"

// pageSize is how many files the hub lists at a time.
const pageSize = 1000

// Options say what kind of hub is wanted. The zero value has no users.
type Options struct {
	Token    string // the one user's; empty: nobody has one
	Granted  bool   // the user has accepted the terms of the gated repositories
	PageSize int    // files in a page of a list; 0 means 1000
	Prefix   string // of every path, such as "/hub"
	// Before, when not nil, sees each request to the hub first, and tells that it has answered it.
	Before func(w http.ResponseWriter, r *http.Request) (done bool)
}

// Repo is a repository of models.
type Repo struct {
	ID                       string // "org/name", or "name" as the oldest have
	Files                    []File // of its branch main
	Private, Gated, Disabled bool
}

// File is a file of a repository.
type File struct {
	Path string
	Data []byte
	LFS  bool // kept outside of git, by its sha256

	// Size, when it is not 0, is that of a file of zeros, in the place of Data.
	Size int64
	// ListedOID and ListedSHA256 are what the list says in the place of what is right.
	ListedOID, ListedSHA256 string
}

// Text makes a small file that git has itself.
func Text(path, content string) File { return File{Path: path, Data: []byte(content)} }

// LFS makes a file that is kept outside of git.
func LFS(path, content string) File { return File{Path: path, Data: []byte(content), LFS: true} }

// Hub is a hub that runs.
type Hub struct {
	// Endpoint is its URL, with the prefix; CDN is the host and port of the second server.
	Endpoint, CDN string

	opts     Options
	hub, cdn *httptest.Server

	mu    sync.Mutex
	repos map[string]*repo
	links int // signed so far
	from  int // the first link that is good still
	seen  []Request
}

// Request is one that was made.
type Request struct {
	Method, Path, Query string // the path as it was sent, escaped
	Header              http.Header
	CDN                 bool // by the second server
}

// repo is a repository with all commits that it ever had.
type repo struct {
	Repo
	commits map[string]commit
	refs    map[string]string // of branch, tag or pull request to commit
}

type commit map[string]File

// Start runs a hub until the test ends.
func Start(tb testing.TB, opts Options, repos ...Repo) *Hub {
	tb.Helper()
	h := Serve(opts, repos...)
	tb.Cleanup(h.Close)
	return h
}

// Serve runs a hub. The caller closes it.
func Serve(opts Options, repos ...Repo) *Hub {
	if opts.PageSize == 0 {
		opts.PageSize = pageSize
	}
	h := &Hub{opts: opts, repos: make(map[string]*repo)}
	for _, r := range repos {
		h.repos[r.ID] = &repo{Repo: r, commits: make(map[string]commit), refs: make(map[string]string)}
		h.Commit(r.ID, Main, r.Files...)
	}
	h.hub = httptest.NewServer(http.HandlerFunc(h.serve))
	h.cdn = httptest.NewServer(http.HandlerFunc(h.serveCDN))
	h.Endpoint, h.CDN = h.hub.URL+opts.Prefix, h.cdn.Listener.Addr().String()
	return h
}

// Close ends it.
func (h *Hub) Close() {
	h.hub.CloseClientConnections()
	h.cdn.CloseClientConnections()
	h.hub.Close()
	h.cdn.Close()
}

// Commit makes files all that a revision of a repository has, and returns its commit. What was there can be had by the
// commit before.
func (h *Hub) Commit(id, revision string, files ...File) (sha string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := make(commit)
	for _, f := range files {
		c[f.Path] = f
	}
	sum := sha1.New()
	for _, path := range slices.Sorted(maps.Keys(c)) {
		fmt.Fprintf(sum, "%q %s\n", path, c[path].sha256())
	}
	sha = hex.EncodeToString(sum.Sum(nil))
	h.repos[id].commits[sha], h.repos[id].refs[revision] = c, sha
	return sha
}

// ExpireLinks makes every link that was signed so far one that has run out.
func (h *Hub) ExpireLinks() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.from = h.links + 1
}

// Requests are all that were made so far.
func (h *Hub) Requests() []Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.seen)
}

// IsBlob tells whether a request is for a file.
func IsBlob(r *http.Request) bool { return strings.Contains(r.URL.Path, "/resolve/") }

func (h *Hub) note(r *http.Request, cdn bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen = append(h.seen, Request{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Clone(), cdn})
}

// content is the bytes of a file.
func (f File) content() io.ReadSeeker {
	return io.NewSectionReader(f, 0, f.size())
}

func (f File) size() int64 {
	if f.Size != 0 {
		return f.Size
	}
	return int64(len(f.Data))
}

// ReadAt is io.ReaderAt, for the section of it that size is.
func (f File) ReadAt(p []byte, off int64) (int, error) {
	if f.Size != 0 {
		clear(p)
		return len(p), nil
	}
	return copy(p, f.Data[min(off, int64(len(f.Data))):]), nil
}
