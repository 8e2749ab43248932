package mstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mstore/mstore"
)

// stuck is a model on a way on which its one large file stops in the middle, until release.
type stuck struct {
	*proxy
	ref, dir string
	size     int64
}

const (
	stuckAt    = 8 << 20
	stuckSlack = 1 << 20
)

func newStuck(t *testing.T) *stuck {
	t.Helper()
	const size = 16 << 20
	dir := folder(t, map[string]string{"model.gguf": string(content(size, 3)), "config.json": "{}"})
	ref := repo(t) + ":v1"
	publish(t, dir, ref)
	p := newProxy(t, fixtures.registry())
	p.stopAfter(stuckAt)
	return &stuck{proxy: p, ref: strings.Replace(ref, fixtures.registry(), p.Host, 1), dir: dir, size: size}
}

func startPull(t *testing.T, s *mstore.Store, ref string, o mstore.PullOptions) *mstore.Pull {
	t.Helper()
	h, err := s.StartPull(t.Context(), ref, o)
	try(t, err)
	return h
}

func pulls(t *testing.T, s *mstore.Store) []mstore.PullRecord {
	t.Helper()
	all, err := s.Pulls()
	try(t, err)
	return all
}

func TestAKilledPullIsResumedByItsID(t *testing.T) {
	m := newStuck(t)
	s := newStore(t)
	anHourLater(t, s)
	killed := start(t, "pull", roleArgs{Dir: s.Dir(), Ref: m.ref, As: "mine"})
	eventually(t, "half of the blob is here", func() bool {
		return m.blobBytes() >= stuckAt-stuckSlack && ingested(t, s.Dir()) >= stuckAt-stuckSlack
	})
	all := pulls(t, s)
	if len(all) != 1 || !all[0].Running || all[0].Reference != m.ref || all[0].As != "mine" || time.Since(all[0].Started) > time.Hour {
		t.Fatalf("while another process is at it: %+v", all)
	}
	killed.kill()
	if all = pulls(t, s); len(all) != 1 || all[0].Running {
		t.Fatalf("after it was killed: %+v", all)
	}
	m.release()
	h, err := s.ResumePull(t.Context(), all[0].ID)
	try(t, err)
	got, err := h.Wait(t.Context())
	try(t, err)
	if got.Name != "mine:latest" || got.BytesReused < stuckAt-4*stuckSlack || got.BytesFetched > m.size-stuckAt+4*stuckSlack {
		t.Errorf("resumed: %s, %d reused, %d fetched", got.Name, got.BytesReused, got.BytesFetched)
	}
	if all = pulls(t, s); len(all) != 0 || h.ID() == "" {
		t.Errorf("after it succeeded: %+v", all)
	}
	wantExport(t, s, "mine", m.dir)
}

func TestACancelledPullEndsAndResumes(t *testing.T) {
	m := newStuck(t)
	s := newStore(t)
	h := startPull(t, s, m.ref, mstore.PullOptions{})
	eventually(t, "half of the blob is here", func() bool { return h.Progress().Done >= stuckAt-4*stuckSlack })
	if p := h.Progress(); p.State != mstore.Fetching || p.Total < m.size || p.Files != 2 || p.Done > p.Total {
		t.Errorf("halfway: %+v", p)
	}
	begun := time.Now()
	h.Cancel()
	_, err := h.Wait(t.Context())
	if took := time.Since(begun); took > time.Second {
		t.Errorf("it took %v to end", took)
	}
	wantFailure(t, "Wait", err, mstore.ErrInterrupted)
	if p := h.Progress(); p.State != mstore.Failed {
		t.Errorf("cancelled: %+v", p)
	}
	if all := pulls(t, s); len(all) != 1 || all[0].ID != h.ID() || all[0].Running {
		t.Errorf("after it was cancelled: %+v", all)
	}
	m.release()
	again, err := s.ResumePull(t.Context(), h.ID())
	try(t, err)
	got, err := again.Wait(t.Context())
	try(t, err)
	if again.ID() != h.ID() || got.BytesReused < stuckAt-4*stuckSlack {
		t.Errorf("resumed as %s, %d reused", again.ID(), got.BytesReused)
	}
	if p := again.Progress(); p.State != mstore.Succeeded || p.Done != p.Total || p.Reused < stuckAt-4*stuckSlack || p.Finished != 2 {
		t.Errorf("in the end: %+v", p)
	}
	h.Cancel() // twice, and after the end
	if _, err := again.Wait(t.Context()); err != nil {
		t.Errorf("a second Wait: %v", err)
	}
}

// Whoever waits may give up without the pull doing so; the context of the start ends it.
func TestWaitEndsWithItsContext(t *testing.T) {
	m := newStuck(t)
	s := newStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	h, err := s.StartPull(ctx, m.ref, mstore.PullOptions{})
	try(t, err)
	impatient, giveUp := context.WithCancel(t.Context())
	giveUp()
	_, err = h.Wait(impatient)
	wantFailure(t, "Wait", err, mstore.ErrInterrupted)
	if p := h.Progress(); p.State == mstore.Failed {
		t.Errorf("the pull has ended: %+v", p)
	}
	cancel()
	_, err = h.Wait(t.Context())
	wantFailure(t, "Wait", err, mstore.ErrInterrupted)
}

func TestWhatIsRememberedOfPulls(t *testing.T) {
	f := newFake(t)
	f.model(t, "v1", content(1000, 1))
	f.manifests["down"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	s := newStore(t)
	pull(t, s, f.Host+"/m:v1", once)
	_, err := s.Pull(t.Context(), f.Host+"/m:none", once)
	wantFailure(t, "Pull", err, mstore.ErrNotFound)
	_, err = s.StartPull(t.Context(), "no such://reference", once)
	wantFailure(t, "StartPull", err, mstore.ErrUsage)
	if all := pulls(t, s); len(all) != 0 {
		t.Errorf("of pulls that are over: %+v", all)
	}
	_, err = s.Pull(t.Context(), f.Host+"/m:down", mstore.PullOptions{Retries: -1, Include: []string{"*.gguf"}, Priority: mstore.Low})
	wantFailure(t, "Pull", err, mstore.ErrNetwork)
	all := pulls(t, s)
	if len(all) != 1 || all[0].Priority != mstore.Low || len(all[0].Include) != 1 || all[0].Retries != -1 {
		t.Fatalf("of one that may do better: %+v", all)
	}
	h := startPull(t, s, f.Host+"/m:down", mstore.PullOptions{Retries: -1, Include: []string{"*.gguf"}, Timeout: time.Minute})
	if _, err := h.Wait(t.Context()); err == nil || h.ID() != all[0].ID {
		t.Errorf("the same request has the ids %s and %s", all[0].ID, h.ID())
	}
	if other := startPull(t, s, f.Host+"/m:down", once); other.ID() == h.ID() {
		t.Error("another request has the same id")
	} else if _, err := other.Wait(t.Context()); err == nil {
		t.Error("it has succeeded")
	}
	for _, r := range pulls(t, s) {
		try(t, s.ForgetPull(r.ID), s.ForgetPull(r.ID))
	}
	_, err = s.ResumePull(t.Context(), h.ID())
	wantFailure(t, "ResumePull", err, mstore.ErrNotFound)
}

// A process that is killed while it writes down what it was asked for leaves a file that nobody finishes.
func TestGCRemovesUnfinishedRequests(t *testing.T) {
	s := newStore(t)
	dir := filepath.Join(s.Dir(), "pulls")
	dead, young := filepath.Join(dir, ".tmp-1"), filepath.Join(dir, ".tmp-2")
	try(t, os.MkdirAll(dir, 0o755), os.WriteFile(dead, nil, 0o600), os.WriteFile(young, nil, 0o600))
	old := time.Now().Add(-8 * 24 * time.Hour)
	try(t, os.Chtimes(dead, old, old))
	_, err := s.GC(t.Context(), mstore.GCOptions{})
	try(t, err)
	if left := glob(t, dir, "*"); !slices.Equal(left, []string{young}) {
		t.Errorf("left: %q", left)
	}
	try(t, os.Remove(young))
}

func TestRequestsHaveNoPasswordsAndNoRelativePaths(t *testing.T) {
	s := newStore(t)
	_, err := s.Pull(t.Context(), "http://me:secret@127.0.0.1:9/model.gguf", once)
	wantFailure(t, "Pull", err, mstore.ErrNetwork)
	t.Chdir(folder(t, map[string]string{"model.gguf": "GGUF"}))
	here, err := os.Getwd()
	try(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Pull(ctx, "file:model.gguf", mstore.PullOptions{To: "out"})
	wantFailure(t, "Pull", err, mstore.ErrInterrupted)
	var refs []string
	for _, r := range pulls(t, s) {
		refs = append(refs, r.Reference+" "+r.To)
	}
	want := fmt.Sprintf("[http://127.0.0.1:9/model.gguf  file:%s %s]", filepath.Join(here, "model.gguf"), filepath.Join(here, "out"))
	if got := fmt.Sprint(refs); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// What lies in the folder and is no request is left out; an id leads nowhere else.
func TestIDsFromOutside(t *testing.T) {
	s := newStore(t)
	dir := filepath.Join(s.Dir(), "pulls")
	id := strings.Repeat("0a", 16)
	try(t, os.MkdirAll(filepath.Join(dir, strings.Repeat("0b", 16)+".json"), 0o755),
		os.WriteFile(filepath.Join(dir, id+".json"), []byte(`{"reference":`), 0o600),
		os.WriteFile(filepath.Join(dir, "README.json"), []byte(`{"reference":"a"}`), 0o600),
		os.WriteFile(filepath.Join(s.Dir(), "outside.json"), []byte(`{"reference":"a"}`), 0o600))
	if all := pulls(t, s); len(all) != 0 {
		t.Errorf("Pulls = %+v", all)
	}
	_, err := s.ResumePull(t.Context(), id)
	wantFailure(t, "ResumePull", err, mstore.ErrNotFound)
	for _, bad := range []string{"", "../outside", "README", strings.ToUpper(id), id + "00", "/" + id} {
		_, err := s.ResumePull(t.Context(), bad)
		wantFailure(t, "ResumePull", err, mstore.ErrUsage)
		wantFailure(t, "ForgetPull", s.ForgetPull(bad), mstore.ErrUsage)
	}
	try(t, os.Remove(filepath.Join(s.Dir(), "outside.json")))
}

func TestPullToAFolder(t *testing.T) {
	ref := repo(t) + ":v1"
	dir := small(t, 1)
	publish(t, dir, ref)
	s := newStore(t)
	to := filepath.Join(t.TempDir(), "to")
	for range 2 { // the second finds all of it there
		p := pull(t, s, ref, mstore.PullOptions{To: to})
		if p.To != to {
			t.Errorf("To = %q", p.To)
		}
		wantSameFiles(t, dir, to)
	}
	_, err := s.Pull(t.Context(), ref, mstore.PullOptions{To: filepath.Join(s.Dir(), "x")})
	wantFailure(t, "Pull", err, mstore.ErrUsage)
	taken := folder(t, map[string]string{"config.json": "mine"})
	_, err = s.Pull(t.Context(), ref, mstore.PullOptions{As: "other", To: taken})
	wantFailure(t, "Pull", err, mstore.ErrUsage)
	if ok, err := s.Has(t.Context(), "other"); !ok || err != nil {
		t.Errorf("the model is here: %v, %v", ok, err)
	}
}

func TestASecondPullOfOneRequestDoesNotEndTheFirst(t *testing.T) {
	m := newStuck(t)
	s := newStore(t)
	first, second := startPull(t, s, m.ref, mstore.PullOptions{}), startPull(t, s, m.ref, mstore.PullOptions{})
	eventually(t, "half of the blob is here", func() bool { return first.Progress().Done+second.Progress().Done >= stuckAt })
	eventually(t, "one waits for the other", func() bool { return first.Progress().Waiting+second.Progress().Waiting > 0 })
	m.release()
	for _, h := range []*mstore.Pull{first, second} {
		if _, err := h.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if all := pulls(t, s); len(all) != 0 {
		t.Errorf("Pulls = %+v", all)
	}
}

// Where nothing can be written down, a pull goes on.
func TestAPullWithoutARecord(t *testing.T) {
	f := newFake(t)
	f.model(t, "v1", content(1000, 1))
	s := newStore(t)
	try(t, os.WriteFile(filepath.Join(s.Dir(), "pulls"), nil, 0o600))
	pull(t, s, f.Host+"/m:v1", mstore.PullOptions{})
	if _, err := s.Pulls(); err == nil || errors.Is(err, mstore.ErrInternal) {
		t.Errorf("Pulls = %v", err)
	}
	try(t, os.Remove(filepath.Join(s.Dir(), "pulls")))
}
