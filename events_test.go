package mstore_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/fetch"
)

// recorder keeps the events of a store.
type recorder struct {
	mu  sync.Mutex
	all []mstore.Event
}

func recording() (r *recorder, change func(*mstore.Options)) {
	r = &recorder{}
	return r, func(o *mstore.Options) {
		o.Events = func(e mstore.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.all = append(r.all, e)
		}
	}
}

// take is what came since the last take.
func (r *recorder) take() []mstore.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.all
	r.all = nil
	return all
}

// wantLife wants the events to be those of a model whose files all end well: Resolved first; of each file counters that
// never go back within a try and never beyond the size, and Done at its end.
func wantLife(t *testing.T, name string, all []mstore.Event) {
	t.Helper()
	if len(all) == 0 || all[0].Kind != fetch.Resolved {
		t.Fatalf("events begin with %+v", all[:min(1, len(all))])
	}
	last := make(map[digest.Digest]mstore.Event)
	for i, e := range all {
		if e.Model != name {
			t.Errorf("event %d is of model %q: %+v", i, e.Model, e)
		}
		if e.Kind == fetch.Resolved {
			if i > 0 {
				t.Errorf("resolved again: %+v", e)
			}
			continue
		}
		before, known := last[e.Digest]
		again := before.Kind == fetch.Retry
		switch {
		case e.Size >= 0 && e.Done > e.Size, e.Reused > e.Done:
			t.Errorf("event %d: %d done and %d reused of %d", i, e.Done, e.Reused, e.Size)
		case known && before.Kind == fetch.Done && e.Digest != "":
			t.Errorf("event %d: after the end of its file: %+v", i, e)
		case known && !again && e.Kind != fetch.Start && e.Done < before.Done:
			t.Errorf("event %d: from %d back to %d: %+v", i, before.Done, e.Done, e)
		case e.Kind == fetch.Done && e.Done != e.Size:
			t.Errorf("event %d: ends with %d of %d", i, e.Done, e.Size)
		}
		last[e.Digest] = e
	}
	for d, e := range last {
		if e.Kind != fetch.Done && d != "" {
			t.Errorf("the last event of %s (%s) is %q", e.Path, d, e.Kind)
		}
	}
}

// ends are the events of kind Done, by path; those without one are the config and the manifest.
func ends(all []mstore.Event) map[string]mstore.Event {
	done := make(map[string]mstore.Event)
	for _, e := range all {
		if e.Kind == fetch.Done {
			done[e.Path] = e
		}
	}
	return done
}

func TestEventsOfAPullAndAPush(t *testing.T) {
	ref := repo(t) + ":v1"
	r, change := recording()
	s := newStore(t, change)
	m := load(t, s, small(t, 1), "m")
	if imported := ends(r.take()); len(imported) != 7 { // six files, and the others
		t.Errorf("files that ended: %v", imported)
	}
	pushed := push(t, s, "m", ref)
	all := r.take()
	wantLife(t, "m:latest", all)
	if all[0].Size != m.Size || ends(all)["model.safetensors"].Reused != 0 {
		t.Errorf("of a push: %+v", all[0])
	}
	push(t, s, "m", ref)
	all = r.take()
	wantLife(t, "m:latest", all)
	if e := ends(all)["model.safetensors"]; e.Reused != e.Size {
		t.Errorf("of a push again: %+v", e)
	}

	r, change = recording()
	s = newStore(t, change)
	pull(t, s, ref, mstore.PullOptions{})
	all = r.take()
	wantLife(t, ref, all)
	if all[0].Size != m.Size || all[0].Digest != pushed.Digest || all[0].Files != 6 {
		t.Errorf("of a pull: %+v", all[0])
	}
	var total int64
	for _, e := range all {
		if e.Kind == fetch.Done {
			total += e.Done
		}
	}
	if total != m.Size {
		t.Errorf("the files end with %d bytes in all, want %d", total, m.Size)
	}
	pull(t, s, ref, mstore.PullOptions{As: "other"})
	all = r.take()
	wantLife(t, "other:latest", all)
	for path, e := range ends(all) {
		if e.Reused != e.Size {
			t.Errorf("%q was in the store: %+v", path, e)
		}
	}
}

func TestEventsOfAResume(t *testing.T) {
	const size, first = 2 << 20, 1 << 20
	b := content(size, 1)
	f := newFake(t)
	d := f.model(t, "v1", b).Digest
	r, change := recording()
	s := newStore(t, change)
	f.serve(d, func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("Content-Length", fmt.Sprint(size))
		_, _ = w.Write(b[:first])
	})
	_, err := s.Pull(t.Context(), f.Host+"/m:v1", once)
	wantFailure(t, "Pull", err, mstore.ErrNetwork)
	if _, ended := ends(r.take())["model.gguf"]; ended {
		t.Error("what failed has ended well")
	}
	f.serve(d, func(w http.ResponseWriter, req *http.Request, _ int) {
		if !strings.HasPrefix(req.Header.Get("Range"), fmt.Sprintf("bytes=%d-", first)) {
			t.Errorf("asked for the range %q", req.Header.Get("Range"))
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, size-1, size))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(b[first:])
	})
	p := pull(t, s, f.Host+"/m:v1", once)
	all := r.take()
	wantLife(t, f.Host+"/m:v1", all)
	if e := ends(all)["model.gguf"]; e.Reused != first || p.BytesReused < first || p.BytesFetched >= size {
		t.Errorf("ended as %+v; reused %d, fetched %d", e, p.BytesReused, p.BytesFetched)
	}
	for _, e := range all {
		if e.Kind == fetch.Start && e.Path == "model.gguf" && (e.Done != first || e.Reused != first) {
			t.Errorf("started as %+v", e)
		}
	}
}

func TestEventsOfARetry(t *testing.T) {
	right := content(300<<10, 1)
	f := newFake(t)
	d := f.model(t, "v1", right).Digest
	f.serve(d, func(w http.ResponseWriter, _ *http.Request, try int) {
		switch try {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			_, _ = w.Write(flipped(right))
		default:
			_, _ = w.Write(right)
		}
	})
	r, change := recording()
	s := newStore(t, change)
	p := pull(t, s, f.Host+"/m:v1", mstore.PullOptions{})
	all := r.take()
	wantLife(t, f.Host+"/m:v1", all)
	var retries []mstore.Event
	for _, e := range all {
		if e.Kind == fetch.Retry {
			retries = append(retries, e)
		}
	}
	if len(retries) != 2 || p.Retries != 2 || retries[0].Err == nil || retries[0].Path != "model.gguf" {
		t.Errorf("%d retries, as events %+v", p.Retries, retries)
	}
}

func TestEventsOfAVerify(t *testing.T) {
	r, change := recording()
	s := newStore(t, change)
	load(t, s, small(t, 1), "m")
	r.take()
	report, err := s.Verify(t.Context(), mstore.VerifyOptions{})
	try(t, err)
	all := r.take()
	wantLife(t, "", all)
	if all[0].Size != report.Bytes || len(ends(all)) == 0 {
		t.Errorf("resolved %+v; verified %d bytes", all[0], report.Bytes)
	}
}
