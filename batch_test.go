package mstore_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/mstore/mstore"
)

func TestPullAllTriesEachAndKeepsTheOrder(t *testing.T) {
	f := newFake(t)
	var all []mstore.Request
	for i := range 7 {
		f.model(t, fmt.Sprint("v", i), content(1000, byte(i)))
		all = append(all, mstore.Request{Reference: fmt.Sprintf("%s/m:v%d", f.Host, i)})
	}
	all[2].Reference = f.Host + "/m:none"
	all[5].Priority = "urgent"
	s := newStore(t)
	i := 0
	for o := range s.PullAll(t.Context(), all) {
		if o.Reference != all[i].Reference {
			t.Errorf("outcome %d is of %s", i, o.Reference)
		}
		switch i {
		case 2:
			wantFailure(t, "PullAll", o.Err, mstore.ErrNotFound)
		case 5:
			wantFailure(t, "PullAll", o.Err, mstore.ErrUsage)
		default:
			if o.Err != nil || o.Pulled.Name != o.Reference {
				t.Errorf("%s: %+v, %v", o.Reference, o.Pulled, o.Err)
			}
		}
		i++
	}
	if i != len(all) {
		t.Errorf("%d outcomes of %d", i, len(all))
	}
	for range s.PullAll(t.Context(), nil) {
		t.Error("an outcome of nothing")
	}
}

// gate lets requests for manifests through one by one, and tells what was asked for.
type gate struct {
	mu    sync.Mutex
	asked []string
	open  chan struct{}
}

func (g *gate) handler(name string, then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		g.asked = append(g.asked, name)
		g.mu.Unlock()
		select {
		case <-g.open:
			then(w, r)
		case <-r.Context().Done():
		}
	}
}

func (g *gate) waiting() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(slices.Values(g.asked))
}

func TestPullAllStartsTheHighOnesFirstAndAFewAtOnce(t *testing.T) {
	f := newFake(t)
	g := &gate{open: make(chan struct{})}
	var all []mstore.Request
	for name, p := range map[string]mstore.Priority{"a": mstore.Low, "b": mstore.High, "c": "", "d": mstore.High, "e": mstore.Low, "f": mstore.High} {
		f.model(t, name, []byte(name))
		f.manifests[name] = g.handler(name, f.manifests[name])
		all = append(all, mstore.Request{Reference: f.Host + "/m:" + name, PullOptions: mstore.PullOptions{Priority: p}})
	}
	s := newStore(t)
	done := make(chan int)
	go func() {
		n := 0
		for o := range s.PullAll(t.Context(), all) {
			if o.Err == nil {
				n++
			}
		}
		done <- n
	}()
	eventually(t, "three are under way", func() bool { return len(g.waiting()) == 3 })
	if got := g.waiting(); !slices.Equal(got, []string{"b", "d", "f"}) {
		t.Errorf("the first are %v", got)
	}
	close(g.open)
	if n := <-done; n != len(all) {
		t.Errorf("%d of %d succeeded", n, len(all))
	}
}

func TestLeavingABatchCancelsTheRest(t *testing.T) {
	f := newFake(t)
	g := &gate{open: make(chan struct{})}
	var all []mstore.Request
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		f.model(t, name, []byte(name))
		if name != "a" {
			f.manifests[name] = g.handler(name, f.manifests[name])
		}
		all = append(all, mstore.Request{Reference: f.Host + "/m:" + name})
	}
	s := newStore(t)
	for o := range s.PullAll(t.Context(), all) {
		try(t, o.Err)
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n := 0
	for o := range s.PullAll(ctx, all) {
		wantFailure(t, "PullAll", o.Err, mstore.ErrInterrupted)
		n++
	}
	if n != len(all) {
		t.Errorf("%d outcomes of %d", n, len(all))
	}
}
