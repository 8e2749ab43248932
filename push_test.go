package mstore_test

import (
	"bytes"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/fetch/transfer"
)

// dock stands before a registry and counts the bytes of uploads; the first upload ends for a while after some.
type dock struct {
	host    string
	sent    atomic.Int64
	stopAt  atomic.Int64 // 0: never
	refuse  atomic.Int64 // manifests that are said to lack a blob
	patient chan struct{}
}

func newDock(t *testing.T, to string) *dock {
	t.Helper()
	d := &dock{patient: make(chan struct{})}
	reverse := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: to})
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/") && r.Method == http.MethodPut && d.refuse.Add(-1) >= 0 {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}`)
			return
		}
		if strings.Contains(r.URL.Path, "/uploads/") {
			r.Body = &docked{r.Body, d, r.Context().Done()}
		}
		reverse.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	t.Cleanup(srv.CloseClientConnections)
	t.Cleanup(func() { close(d.patient) })
	d.host = strings.TrimPrefix(srv.URL, "http://")
	return d
}

// docked is the body of an upload.
type docked struct {
	io.ReadCloser
	d    *dock
	gone <-chan struct{}
}

func (b *docked) Read(p []byte) (int, error) {
	if stop := b.d.stopAt.Load(); stop > 0 && b.d.sent.Load() >= stop {
		select {
		case <-b.gone:
			return 0, io.ErrUnexpectedEOF
		case <-b.d.patient:
		}
	}
	n, err := b.ReadCloser.Read(p)
	b.d.sent.Add(int64(n))
	return n, err
}

// uploadNotes are the files in which a store keeps what it is pushing.
func uploadNotes(t *testing.T, s *mstore.Store) (files []string) {
	t.Helper()
	all, err := os.ReadDir(filepath.Join(s.Dir(), "uploads"))
	try(t, err)
	for _, e := range all {
		if !strings.HasSuffix(e.Name(), ".lock") {
			files = append(files, filepath.Join(s.Dir(), "uploads", e.Name()))
		}
	}
	return files
}

// killedPush is a store with a model m, and a process that was killed when half of it had been pushed to ref.
func killedPush(t *testing.T, change ...func(*mstore.Options)) (s *mstore.Store, d *dock, ref string) {
	t.Helper()
	const size, half = 24 << 20, 12 << 20
	s = newStore(t, change...)
	load(t, s, folder(t, map[string]string{"model.gguf": string(content(size, 9)), "config.json": "{}"}), "m")
	d = newDock(t, fixtures.registry())
	ref = d.host + "/" + fresh(t) + ":v1"
	d.stopAt.Store(half)
	killed := start(t, "push", roleArgs{Dir: s.Dir(), As: "m", Ref: ref})
	eventually(t, "half of the blob is there", func() bool { return d.sent.Load() >= half })
	killed.kill()
	d.stopAt.Store(0)
	d.sent.Store(0)
	return s, d, ref
}

// TestAKilledPushIsResumedByAnotherProcess: real distribution keeps what came before SIGKILL.
func TestAKilledPushIsResumedByAnotherProcess(t *testing.T) {
	const size, slack = 24 << 20, 8 << 20
	r, change := recording()
	s, d, ref := killedPush(t, change)
	notes := uploadNotes(t, s)
	if len(notes) != 1 {
		t.Fatalf("after SIGKILL the store has the notes %q, want one", notes)
	}
	if info, err := os.Stat(notes[0]); err != nil || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		t.Errorf("the note, which may hold a secret, has mode %v, %v", info.Mode(), err)
	}
	r.take()
	pushed := push(t, s, "m", ref)
	t.Logf("%d of %d bytes were sent by the second process", d.sent.Load(), size)
	if sent := d.sent.Load(); sent > size/2+slack || pushed.BytesSent > sent+slack || pushed.BytesSkipped < size/2-slack {
		t.Errorf("%d bytes were sent again: %+v", sent, pushed)
	}
	if pushed.Bytes != pushed.BytesSent+pushed.BytesSkipped {
		t.Errorf("the sum is wrong: %+v", pushed)
	}
	if e := ends(r.take())["model.gguf"]; e.Done != size || e.Reused < size/2-slack || e.Reused > pushed.BytesSkipped {
		t.Errorf("the last event: %+v of %+v", e, pushed)
	}
	if left := uploadNotes(t, s); len(left) != 0 {
		t.Errorf("when all is there, %q are kept", left)
	}
	pulled := pull(t, newStore(t), ref, mstore.PullOptions{})
	if pulled.Digest != pushed.Digest {
		t.Errorf("pulled %s, want %s", pulled.Digest, pushed.Digest)
	}
}

// TestNotesOfUploadsThatAreOfNoUse: each costs bytes, and nothing else.
func TestNotesOfUploadsThatAreOfNoUse(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"torn":     func(path string) error { return os.WriteFile(path, []byte(`{"blob":`), 0o600) },
		"a folder": func(path string) error { return errs(os.Remove(path), os.Mkdir(path, 0o700)) },
		"old": func(path string) error {
			then := time.Now().Add(-8 * 24 * time.Hour)
			return os.Chtimes(path, then, then)
		},
		"of another blob": func(path string) error {
			raw, err := os.ReadFile(path)
			return errs(err, os.WriteFile(path, bytes.Replace(raw, []byte("/blobs/sha256:"), []byte("/blobs/sha256:0"), 1), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, d, ref := killedPush(t)
			for _, path := range uploadNotes(t, s) {
				try(t, spoil(path))
			}
			if pushed := push(t, s, "m", ref); pushed.BytesSkipped > 1<<20 || d.sent.Load() < 24<<20 {
				t.Errorf("%d bytes were sent: %+v", d.sent.Load(), pushed)
			}
			for _, path := range uploadNotes(t, s) {
				if info, err := os.Stat(path); err == nil && !info.IsDir() {
					t.Errorf("%s is left", path)
				}
			}
		})
	}
}

// TestTwoPushesAtOnce of one model to one place: one goes on with what a third has left, both succeed.
func TestTwoPushesAtOnce(t *testing.T) {
	s, _, ref := killedPush(t)
	other := openStore(t, s.Dir())
	var both sync.WaitGroup
	for _, s := range []*mstore.Store{s, other} {
		both.Go(func() {
			if _, err := s.Push(t.Context(), "m", ref, mstore.PushOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	pull(t, newStore(t), ref, mstore.PullOptions{})
}

// TestPushToAnotherDigestSendsNothing: what cannot end well does not begin.
func TestPushToAnotherDigestSendsNothing(t *testing.T) {
	w, change := watched(t)
	s := newStore(t, change)
	load(t, s, small(t, 1), "m")
	w.take()
	_, err := s.Push(t.Context(), "m", repo(t)+":v1@"+digest.FromString("x").String(), mstore.PushOptions{})
	wantFailure(t, "push to another digest", err, mstore.ErrVerification)
	for _, r := range w.take() {
		if strings.Contains(r, "/blobs/") || strings.Contains(r, "/manifests/") {
			t.Errorf("asked %s", r)
		}
	}
}

// TestARegistryThatMissesABlobGetsItAgain, once: after that the push fails.
func TestARegistryThatMissesABlobGetsItAgain(t *testing.T) {
	d, s := newDock(t, fixtures.registry()), newStore(t)
	load(t, s, small(t, 1), "m")
	d.refuse.Store(1)
	pushed := push(t, s, "m", d.host+"/"+fresh(t)+":v1")
	if pushed.Retries != 1 || pushed.BytesSent != pushed.Bytes || pushed.BytesSkipped != 0 {
		t.Errorf("after a manifest was refused for a blob: %+v", pushed)
	}
	d.refuse.Store(2)
	if _, err := s.Push(t.Context(), "m", d.host+"/"+fresh(t)+":v1", mstore.PushOptions{}); err == nil {
		t.Error("a manifest that is refused for ever was pushed")
	}
}

// TestRateOfAPush holds the rate over the whole, of several blobs at once.
func TestRateOfAPush(t *testing.T) {
	const size, rate = 1 << 20, 1 << 20
	s := newStore(t, func(o *mstore.Options) { o.Limits = transfer.Limits{Rate: rate} })
	load(t, s, folder(t, map[string]string{"a": string(content(size, 1)), "b": string(content(size, 2)), "config.json": "{}"}), "m")
	pushed := push(t, s, "m", repo(t)+":v1")
	if speed := float64(pushed.BytesSent) / pushed.Elapsed.Seconds(); speed > 1.02*rate+rate/50 || speed < 0.7*rate {
		t.Errorf("%.0f bytes a second, want %d", speed, rate)
	}
}

// TestAStoreThatKeepsNoNotes pushes all the same.
func TestAStoreThatKeepsNoNotes(t *testing.T) {
	s := newStore(t)
	load(t, s, folder(t, map[string]string{"model.gguf": string(content(9<<20, 1)), "config.json": "{}"}), "m")
	uploads := filepath.Join(s.Dir(), "uploads")
	try(t, os.WriteFile(uploads, nil, 0o600))
	push(t, s, "m", repo(t)+":v1")
	if info, err := os.Lstat(uploads); err != nil || info.Mode().Type()&fs.ModeType != 0 {
		t.Errorf("what lay there is %v, %v", info, err)
	}
}
