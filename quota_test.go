package mstore_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/gc"
)

// TestAPullKeepsTheQuota: what a pull brought stays, and what was not used for the longest time goes.
func TestAPullKeepsTheQuota(t *testing.T) {
	ref := repo(t)
	s := newStore(t, func(o *mstore.Options) { o.Quota.MaxSize = 450 << 10 })
	for i, want := range [][]string{nil, nil, {"m0:latest"}, {"m1:latest"}} {
		name := string([]byte{'m', byte('0' + i)})
		publish(t, small(t, byte(i)), ref+":"+name)
		p := pull(t, s, ref+":"+name, mstore.PullOptions{As: name})
		if diff := cmp.Diff(want, p.Dropped); diff != "" || p.Over != 0 {
			t.Errorf("the pull of %s dropped (-want +got), and %d bytes are too many:\n%s", name, p.Over, diff)
		}
	}
	wantExport(t, s, "m3", small(t, 3))
	if used := bytesOf(t, s); used > 450<<10 {
		t.Errorf("%d bytes of blobs are left", used)
	}
}

// TestWhatNobodyNeedsGoesFirst: no model is dropped for a quota that is kept once garbage is gone.
func TestWhatNobodyNeedsGoesFirst(t *testing.T) {
	s := newStore(t, func(o *mstore.Options) { o.Quota.MaxSize = 450 << 10 })
	load(t, s, small(t, 1), "gone")
	load(t, s, small(t, 2), "stays")
	_, err := s.Remove(t.Context(), "gone")
	try(t, err)
	if p := load(t, s, small(t, 3), "new"); len(p.Dropped) > 0 {
		t.Errorf("%q were dropped", p.Dropped)
	}
	if used := bytesOf(t, s); used > 450<<10 {
		t.Errorf("%d bytes of blobs are left", used)
	}
}

// TestAQuotaThatCannotBeKept: a model in use stays, the one that came stays, and the pull tells by how much.
func TestAQuotaThatCannotBeKept(t *testing.T) {
	s := newStore(t, func(o *mstore.Options) { o.Quota.MaxSize = 1000 })
	load(t, s, small(t, 1), "used")
	use, err := s.Use(t.Context(), "used")
	try(t, err)
	p := load(t, s, small(t, 2), "new")
	if len(p.Dropped) > 0 || p.Over < 400<<10-1000 {
		t.Errorf("%q were dropped, and %d bytes are too many", p.Dropped, p.Over)
	}
	try(t, use.Release())
	done, err := s.GC(t.Context(), mstore.GCOptions{})
	if slices.Sort(done.Dropped); err != nil || !slices.Equal(done.Dropped, []string{"new:latest", "used:latest"}) {
		t.Errorf("GC = %+v, %v", done, err)
	}
}

func TestQuotasThatAreNone(t *testing.T) {
	s := newStore(t)
	for name, q := range map[string]mstore.Quota{
		"size": {MaxSize: -1}, "age": {MaxAge: -1}, "order": {MaxSize: 1, First: gc.Order("oldest")},
	} {
		if _, err := s.GC(t.Context(), mstore.GCOptions{Quota: q}); !errors.Is(err, mstore.ErrUsage) {
			t.Errorf("%s: %v, want ErrUsage", name, err)
		}
	}
}

func bytesOf(t *testing.T, s *mstore.Store) (n int64) {
	t.Helper()
	for _, d := range blobsOf(t, s) {
		size, err := s.Blobs().Size(d)
		try(t, err)
		n += size
	}
	return n
}
