package sourcetest

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Front stands before the handler of a place: it counts, and can keep silent or answer in its stead. It makes the Hang,
// Blobs and Faults of a World.
type Front struct {
	// URL and Host are where it listens, until the test ends.
	URL, Host string

	isBlob func(*http.Request) bool
	silent chan struct{} // closed: go on

	mu     sync.Mutex
	blobs  int
	asked  chan struct{}    // not nil: nobody is answered; closed by the first who asks
	answer http.HandlerFunc // not nil: answers everybody
}

// NewFront listens before next. isBlob tells which requests are for blobs.
func NewFront(t *testing.T, next http.Handler, isBlob func(*http.Request) bool) *Front {
	t.Helper()
	f := &Front{isBlob: isBlob, silent: make(chan struct{})}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, next) }))
	t.Cleanup(func() {
		close(f.silent)
		srv.Close()
	})
	f.URL, f.Host = srv.URL, srv.Listener.Addr().String()
	return f
}

func (f *Front) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	f.mu.Lock()
	if f.isBlob(r) {
		f.blobs++
	}
	asked, answer := f.asked, f.answer
	if asked != nil {
		select {
		case <-asked:
		default:
			close(asked)
		}
	}
	f.mu.Unlock()
	switch {
	case asked != nil:
		select {
		case <-f.silent:
		case <-r.Context().Done():
		}
	case answer != nil:
		answer(w, r)
	default:
		next.ServeHTTP(w, r)
	}
}

// Blobs is [World.Blobs].
func (f *Front) Blobs() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.blobs
}

// Hang is [World.Hang].
func (f *Front) Hang(*testing.T) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = make(chan struct{})
	return f.asked
}

// Answers makes a Fault: from then on h answers everything.
func (f *Front) Answers(h http.HandlerFunc) func(*testing.T) {
	return func(*testing.T) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.answer = h
	}
}

// WebPage answers as a web site does that is no place of models.
func WebPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte("<!doctype html><title>Sign in \x1b[31m</title>"))
}

// Status answers everything with a status and a text that nobody should print as it is.
func Status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(code)
		_, _ = w.Write([]byte("no\x1b[2J\u202e" + http.StatusText(code) + "\r\n"))
	}
}
