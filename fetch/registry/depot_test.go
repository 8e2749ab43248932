package registry_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/fetch/registry"
)

// depot is the uploading half of a registry, in memory: it keeps what came of a request that broke off, and does what
// a test wants beside.
type depot struct {
	host  string
	asked *log

	// change is called before each request, with the number of those of its method so far, this one counted, and tells
	// whether it has answered.
	change func(d *depot, w http.ResponseWriter, r *http.Request, n int) bool
	header http.Header // of the answers to POST
	stays  bool        // the Location is one and the same
	absent bool        // it does not know what GET of an upload is
	forget bool        // what came of a request that broke off is thrown away

	mu       sync.Mutex
	counts   map[string]int
	sessions map[string][]byte
	next     int
	blobs    map[digest.Digest][]byte
}

func newDepot(t *testing.T, d *depot) *depot {
	t.Helper()
	d.counts, d.sessions, d.blobs = map[string]int{}, map[string][]byte{}, map[digest.Digest][]byte{}
	d.host, d.asked = serve(t, d.serve)
	return d
}

func (d *depot) serve(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	d.counts[r.Method]++
	n := d.counts[r.Method]
	d.mu.Unlock()
	if d.change != nil && d.change(d, w, r, n) {
		return
	}
	id := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	switch {
	case r.Method == http.MethodHead:
		d.head(w, digest.Digest(id))
	case r.Method == http.MethodPost:
		d.mu.Lock()
		d.next++
		id = fmt.Sprint(d.next)
		d.sessions[id] = nil
		d.mu.Unlock()
		maps.Copy(w.Header(), d.header)
		d.state(w, id, http.StatusAccepted)
	case r.Method == http.MethodGet && d.absent:
		w.WriteHeader(http.StatusBadRequest)
	case r.Method == http.MethodGet:
		d.state(w, id, http.StatusNoContent)
	case r.Method == http.MethodPatch:
		if d.take(w, r, id) {
			d.state(w, id, http.StatusAccepted)
		}
	case r.Method == http.MethodPut:
		d.put(w, r, id)
	}
}

func (d *depot) head(w http.ResponseWriter, want digest.Digest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, ok := d.blobs[want]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
}

// state is the answer that says how much of an upload is there. Its Location is relative, and another each time.
func (d *depot) state(w http.ResponseWriter, id string, status int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	got, ok := d.sessions[id]
	if !ok {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}`)
		return
	}
	location := "/v2/m/blobs/uploads/" + id
	if !d.stays {
		location += fmt.Sprintf("?_state=secret%d", len(got))
	}
	w.Header().Set("Location", location)
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(0, len(got)-1)))
	w.WriteHeader(status)
}

// take adds the body of a request to an upload.
func (d *depot) take(w http.ResponseWriter, r *http.Request, id string) bool {
	d.mu.Lock()
	got, ok := d.sessions[id]
	d.mu.Unlock()
	var first, last int
	if span := r.Header.Get("Content-Range"); span != "" {
		if _, err := fmt.Sscanf(span, "%d-%d", &first, &last); err != nil || int64(last-first+1) != r.ContentLength {
			w.WriteHeader(http.StatusBadRequest)
			return false
		}
	}
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return false
	}
	if first != len(got) || !d.stays && r.URL.Query().Get("_state") != fmt.Sprintf("secret%d", len(got)) {
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return false
	}
	more, err := io.ReadAll(r.Body)
	if err != nil && d.forget {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sessions[id] = append(slices.Clip(got), more...)
	return err == nil
}

func (d *depot) put(w http.ResponseWriter, r *http.Request, id string) {
	want := digest.Digest(r.URL.Query().Get("digest"))
	if strings.Contains(r.URL.Path, "/manifests/") {
		w.WriteHeader(http.StatusCreated)
		return
	}
	if !d.take(w, r, id) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.sessions[id]
	delete(d.sessions, id)
	if digest.FromBytes(b) != want {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	d.blobs[want] = b
	w.Header().Set("Docker-Content-Digest", string(want))
	w.WriteHeader(http.StatusCreated)
}

// has tells whether a blob has arrived.
func (d *depot) has(b []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.blobs[digest.FromBytes(b)]
	return ok
}

// count is how many requests of a method came.
func (d *depot) count(method string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts[method]
}

// sent is how many bytes of blobs came.
func (l *log) sent() (n int64) {
	for _, r := range l.requests() {
		if strings.Contains(r.Path, "/uploads/") {
			n += r.Body
		}
	}
	return n
}

// chunks makes the first request for a blob one of n bytes.
func chunks(t *testing.T, host string, n int64, change ...func(*registry.TargetOptions)) *registry.Target {
	t.Helper()
	to := target(t, client(t), host+"/m:v1", append(change, plainHTTP)...)
	to.SetChunk(n)
	return to
}

// dropping breaks the connection after n bytes of a request's body.
func dropping(w http.ResponseWriter, r *http.Request, n int64, keep func(w http.ResponseWriter, r *http.Request)) {
	r.Body = &ending{ReadCloser: r.Body, left: n}
	keep(w, r)
	panic(http.ErrAbortHandler)
}

// ending is a body that breaks off.
type ending struct {
	io.ReadCloser
	left int64
}

var errDropped = errors.New("dropped")

func (e *ending) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, errDropped
	}
	n, err := e.ReadCloser.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	return n, err
}

// shelf keeps sessions in memory.
type shelf struct {
	mu   sync.Mutex
	urls map[string]string
}

func (s *shelf) Load(key string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	url, ok := s.urls[key]
	return url, ok
}

func (s *shelf) Save(key, url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.urls == nil {
		s.urls = map[string]string{}
	}
	s.urls[key] = url
}

func (s *shelf) Delete(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.urls, key)
}

func (s *shelf) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, url := range s.urls {
		all = append(all, url)
	}
	return all
}
