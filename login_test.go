package mstore_test

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/fetch"
	"github.com/mstore/mstore/internal/registrytest"
)

func TestLogin(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	r := registrytest.Start(t, registrytest.Options{Basic: true})
	s, ref := newStore(t), r.Host+"/m:v1"
	load(t, s, small(t, 1), "m")
	wantFailure(t, "wrong password", mstore.Login(t.Context(), r.Host, registrytest.User, "wrong", quiet()), mstore.ErrAuthentication)
	wantFailure(t, "nobody there", mstore.Login(t.Context(), closedPort(t), "u", "p", quiet()), mstore.ErrNetwork)
	wantFailure(t, "no host", mstore.Login(t.Context(), "", "u", "p", quiet()), mstore.ErrUsage)
	changesNothing(t, "push before", s, mstore.ErrAuthentication, func() error {
		_, err := s.Push(t.Context(), "m", ref, mstore.PushOptions{})
		return err
	})
	try(t, mstore.Login(t.Context(), r.Host, registrytest.User, registrytest.Password, quiet()))
	another := newStore(t) // credentials are read once a store
	pushed := push(t, another, load(t, another, small(t, 1), "m").Name, ref)
	if p := pull(t, another, ref, mstore.PullOptions{}); p.Digest != pushed.Digest {
		t.Errorf("Pull = %+v", p)
	}
	for range 2 {
		try(t, mstore.Logout(t.Context(), r.Host))
	}
	_, err := newStore(t).Pull(t.Context(), ref, mstore.PullOptions{})
	wantFailure(t, "pull after logout", err, mstore.ErrAuthentication)
}

func TestAPushIsRetried(t *testing.T) {
	var failed atomic.Int32
	p := newProxy(t, fixtures.registry())
	p.fail = func(r *http.Request) int {
		if r.Method == http.MethodPost && failed.Add(1) <= 2 {
			return http.StatusServiceUnavailable
		}
		return 0
	}
	rec, change := recording()
	s := newStore(t, change)
	load(t, s, small(t, 1), "m")
	rec.take()
	pushed, err := s.Push(t.Context(), "m", p.Host+"/"+fresh(t)+":v1", mstore.PushOptions{Jobs: 1})
	try(t, err)
	retries := 0
	for _, e := range rec.take() {
		if e.Kind == fetch.Retry {
			retries++
		}
	}
	if pushed.Retries != 2 || retries != 2 || pushed.BytesSent != pushed.Bytes {
		t.Errorf("Push = %+v, %d events of retries", pushed, retries)
	}
}

func TestAUseIsKept(t *testing.T) {
	s := newStore(t)
	load(t, s, small(t, 1), "m")
	use, err := s.Use(t.Context(), "m")
	try(t, err)
	kept, err := use.Keep()
	try(t, err)
	_, err = s.GC(t.Context(), mstore.GCOptions{All: true})
	try(t, err)
	if ok, err := s.Has(t.Context(), "m"); !ok || err != nil {
		t.Errorf("a model in use was dropped: %v", err)
	}
	wantSameFiles(t, small(t, 1), use.Dir)
	try(t, kept.Close(), use.Release(), use.Release())
	done, err := s.GC(t.Context(), mstore.GCOptions{All: true})
	if err != nil || len(done.Dropped) != 1 || done.Kept != 0 {
		t.Errorf("GC after the use = %+v, %v", done, err)
	}
}
