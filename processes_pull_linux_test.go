package mstore_test

import (
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/fetch"
	"github.com/mstore/mstore/internal/faultserver"
)

// A disk that fills up while eight connections write to it ends the pull. With room again it goes on where it was.
func TestADiskThatFillsUpMidway(t *testing.T) {
	if !withMounts(t) {
		return
	}
	const size = 32 << 20
	o := newOrigin(t, 4_000_000)
	weights := faultserver.Content(1, size)
	ref := o.model(t, "v1", weights)
	dir := tmpfs(t, 40)
	ballast := filepath.Join(dir, "ballast")
	var fill sync.Once
	s := openStore(t, filepath.Join(dir, "store"), func(o *mstore.Options) {
		o.Limits.Connections = 8
		o.Events = func(e mstore.Event) {
			if e.Kind == fetch.Progress { // there was room when it began
				fill.Do(func() { try(t, os.WriteFile(ballast, make([]byte, 20<<20), 0o600)) })
			}
		}
	})
	_, err := s.Pull(t.Context(), ref, mstore.PullOptions{})
	wantFailure(t, "Pull onto a disk that fills up", err, mstore.ErrStorage)
	wantIs(t, err, syscall.ENOSPC)
	if c := look(t, s); len(c.Tags) > 0 {
		t.Errorf("there are tags: %v", c.Tags)
	}
	if ok, err := s.Has(t.Context(), ref); ok || err != nil {
		t.Errorf("Has = %v, %v", ok, err)
	}
	t.Log(err)
	try(t, os.Remove(ballast))
	p := pull(t, s, ref, mstore.PullOptions{})
	if fileOf(t, p.Model, "file-0000.bin").Digest.String() != weights.Digest() || p.BytesReused < size/2 {
		t.Errorf("Pull = %+v", p)
	}
	o.wantSent(t, size, 5)
	checkStore(t, s.Dir())
}
