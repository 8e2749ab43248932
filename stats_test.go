package mstore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore"
)

func statsOf(t *testing.T, s *mstore.Store) *mstore.Stats {
	t.Helper()
	r, err := s.Stats(t.Context(), mstore.StatsOptions{})
	try(t, err)
	return r
}

func TestStatsOfWhatIsThere(t *testing.T) {
	s := newStore(t)
	load(t, s, folder(t, map[string]string{"shared": string(content(3000, 1)), "own": string(content(500, 2))}), "a")
	load(t, s, folder(t, map[string]string{"shared": string(content(3000, 1)), "other": string(content(700, 3))}), "b")
	load(t, s, folder(t, map[string]string{"gone": string(content(900, 4))}), "c")
	_, err := s.Tag(t.Context(), "a", "alias")
	try(t, err)
	_, err = s.Remove(t.Context(), "c")
	try(t, err)
	try(t, os.WriteFile(filepath.Join(s.Dir(), "trash", "x"), make([]byte, 10), 0o600))
	r := statsOf(t, s)
	try(t, os.Remove(filepath.Join(s.Dir(), "trash", "x")))
	if len(r.Models) != 3 || r.Models[0].Tag.Name != "a:latest" || r.Models[0].Alone != 0 || r.Models[1].Tag.Name != "alias:latest" {
		t.Errorf("models: %+v", r.Models)
	}
	if b := r.Models[2]; b.Bytes < 3700 || b.Alone < 700 || b.Alone > 3000 {
		t.Errorf("b: %+v", b)
	}
	if r.Shared < 3000 || r.Shared > 3300 { // and a config
		t.Errorf("%d bytes are shared", r.Shared)
	}
	if free := r.Used - r.Needed; free < 900 || free > 2500 || r.Used != bytesOf(t, s) || r.Blobs != len(blobsOf(t, s)) {
		t.Errorf("%d bytes in %d blobs are used, %d could go", r.Used, r.Blobs, free)
	}
	if r.Trash != (mstore.Pile{Count: 1, Bytes: 10}) || r.Leases != 0 || r.TotalSpace <= 0 || r.FreeSpace > r.TotalSpace {
		t.Errorf("%+v", r)
	}
	done, err := s.GC(t.Context(), mstore.GCOptions{})
	try(t, err)
	if done.FreedBytes != r.Used-r.Needed {
		t.Errorf("%d bytes went, %d were said", done.FreedBytes, r.Used-r.Needed)
	}
}

// TestEveryActIsCounted: what succeeded, and what failed by its class.
func TestEveryActIsCounted(t *testing.T) {
	ref := repo(t) + ":v1"
	publish(t, small(t, 1), ref)
	s := newStore(t)
	start := time.Now()
	pull(t, s, ref, mstore.PullOptions{As: "m"})
	pull(t, s, "m", mstore.PullOptions{})
	publish(t, small(t, 1), repo(t, "other")+":v1") // in a store of its own: it counts there
	load(t, s, small(t, 2), "here")
	push(t, s, "here", repo(t, "to")+":v1")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, fail := range []func() error{
		func() error { _, err := s.Pull(t.Context(), repo(t, "nosuch")+":v1", once); return err },
		func() error { _, err := s.Pull(t.Context(), "127.0.0.1:1/a/b:v1", once); return err },
		func() error {
			_, err := s.Pull(t.Context(), ref, mstore.PullOptions{As: "x", Digest: digest.FromString("other")})
			return err
		},
		func() error { _, err := s.Pull(cancelled, ref, mstore.PullOptions{As: "y"}); return err },
		func() error { _, err := s.Push(t.Context(), "nosuch", ref, mstore.PushOptions{}); return err },
		func() error {
			_, err := s.Import(t.Context(), []string{"/nosuch"}, "z", mstore.ImportOptions{})
			return err
		},
	} {
		if fail() == nil {
			t.Error("no error")
		}
	}
	_, err := s.GC(t.Context(), mstore.GCOptions{})
	try(t, err)
	_, err = s.GC(t.Context(), mstore.GCOptions{DryRun: true})
	try(t, err)
	r := statsOf(t, s).Acts
	for name, c := range map[string]struct{ got, want map[string]int64 }{
		"pulls":   {r.Pulls, map[string]int64{"ok": 2, "not found": 1, "network": 1, "verification": 1, "interrupted": 1}},
		"pushes":  {r.Pushes, map[string]int64{"ok": 1, "not found": 1}},
		"imports": {r.Imports, map[string]int64{"ok": 1, "not found": 1}},
		"gc":      {r.Sweeps, map[string]int64{"ok": 1}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if r.Cached != 1 || r.Fetched < 200<<10 || r.Pushed < 200<<10 || r.Speed() <= 0 || r.HitRate() <= 0 || r.From.Before(start) {
		t.Errorf("%+v", r)
	}
}

// TestNoRecordIsNoFailure: what cannot be recorded is done all the same.
func TestNoRecordIsNoFailure(t *testing.T) {
	s := newStore(t)
	try(t, os.WriteFile(filepath.Join(s.Dir(), "stats"), nil, 0o600))
	load(t, s, small(t, 1), "m")
	if _, err := s.Stats(t.Context(), mstore.StatsOptions{}); errors.Is(err, mstore.ErrInternal) {
		t.Error(err)
	}
	try(t, os.Remove(filepath.Join(s.Dir(), "stats")))
}
