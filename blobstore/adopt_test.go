package blobstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
)

// half leaves half of b in the store, as a process that closed its ingest, and gives the partial's folder.
func half(t *testing.T, s *blobstore.Store, w blobstore.Want, b []byte) string {
	t.Helper()
	in := ingest(t, newLease(t, s), w)
	write(t, in, b[:len(b)/2], 0)
	try(t, in.Close())
	return onePartial(t, s)
}

// ownedBy makes the partial one of a process on another machine, or on this one before it was started anew.
func ownedBy(t *testing.T, partial, host, boot string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(partial, "closed"))
	var owner map[string]any
	try(t, err, json.Unmarshal(raw, &owner))
	if owner["boot"] == nil {
		t.Skip("this system does not say when it was started")
	}
	if host != "" {
		owner["host"] = host
	}
	if boot != "" {
		owner["boot"] = boot
		try(t, os.WriteFile(filepath.Join(partial, "journal"), blobstore.AppendRecord(nil, boot, 0, 1<<19, 0), 0o644))
	}
	raw, err = json.Marshal(owner)
	try(t, err, os.WriteFile(filepath.Join(partial, "owner"), append(raw, '\n'), 0o644), os.Remove(filepath.Join(partial, "closed")))
}

// Only who is dead for certain has heirs, and what was not synced may have gone with its machine.
func TestWhoInherits(t *testing.T) {
	b := content(1<<20, 1)
	known, named := want(b), blobstore.Want{Size: 1 << 20, Name: "http://example/x etag"}
	for name, c := range map[string]struct {
		want       blobstore.Want
		closed     bool
		host, boot string
		age        time.Duration
		resumed    int64
	}{
		"closed":                           {known, true, "", "", 0, 1 << 19},
		"closed, named":                    {named, true, "", "", 0, 1 << 19},
		"dead":                             {known, false, "", "", 0, 1 << 19},
		"dead, named":                      {named, false, "", "", 0, 1 << 19},
		"before a reboot":                  {known, false, "", "b", 0, 0},
		"before a reboot, named":           {named, false, "", "b", 0, 0},
		"on another machine":               {known, false, "h", "b", 0, 0},
		"on another machine, silent":       {known, false, "h", "b", 2 * time.Hour, 0},
		"another container of this kernel": {known, false, "h", "", 0, 1 << 19},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, filepath.Join(t.TempDir(), "store"), quiet)
			partial := half(t, s, c.want, b)
			if !c.closed {
				ownedBy(t, partial, c.host, c.boot)
			}
			age(t, partial, c.age)
			in := ingest(t, newLease(t, s), c.want)
			if in.Resumed() != c.resumed {
				t.Errorf("Resumed = %d, want %d", in.Resumed(), c.resumed)
			}
			off, _ := in.Missing()
			write(t, in, b[off:], off)
			try(t, errOf(in.Commit(t.Context())))
			wantBlob(t, s, b)
		})
	}
}

// age makes everything in the folder old.
func age(t *testing.T, dir string, by time.Duration) {
	t.Helper()
	then := time.Now().Add(-by)
	for _, path := range append(tree(t, dir)[1:], dir) {
		try(t, os.Chtimes(path, then, then))
	}
}

// A closed partial can be taken over at once where locks do nothing, by one of those who want it.
func TestAClosedPartialWithoutLocks(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	open(t, root, quiet)
	withoutLocks(t, root)
	s := open(t, root, quiet)
	b := content(1<<20, 1)
	half(t, s, want(b), b)
	in := ingest(t, newLease(t, s), want(b))
	if in.Resumed() != 1<<19 {
		t.Errorf("Resumed = %d", in.Resumed())
	}
}

// What a partial holds may be anything: the digest decides, and one new download heals.
func TestAPartialOfGarbage(t *testing.T) {
	b := content(1<<20, 1)
	for name, spoil := range map[string]func(data, journal string) error{
		"other bytes":       func(data, _ string) error { return os.WriteFile(data, flipped(b[:1<<19]), 0o644) },
		"too long":          func(data, _ string) error { return os.Truncate(data, 1<<20+1) },
		"shorter than said": func(data, _ string) error { return os.Truncate(data, 1000) },
		"no data":           func(data, _ string) error { return os.Remove(data) },
		"no journal":        func(_, journal string) error { return os.Remove(journal) },
		"a journal of text": func(_, journal string) error {
			return os.WriteFile(journal, []byte(strings.Repeat("garbage ", 1000)), 0o644)
		},
		"a folder for data": func(data, _ string) error { return errors.Join(os.Remove(data), os.Mkdir(data, 0o755)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, filepath.Join(t.TempDir(), "store"), quiet)
			partial := half(t, s, want(b), b)
			try(t, spoil(filepath.Join(partial, "data"), filepath.Join(partial, "journal")))
			in := ingest(t, newLease(t, s), want(b))
			for range 2 {
				off, n := in.Missing()
				write(t, in, b[off:off+n], off)
				if _, err := in.Commit(t.Context()); err == nil {
					break
				}
			}
			wantBlob(t, s, b)
		})
	}
}

// Whoever resumes a large blob and is told to stop must not hash it all before it does. This one has a terabyte.
func TestCloseDoesNotWaitForTheHash(t *testing.T) {
	s := newStore(t)
	w := want(content(1<<20, 1))
	partial := half(t, s, w, content(1<<20, 1))
	record := blobstore.AppendRecord(nil, blobstore.Boot(), 0, 1<<40, 0)
	try(t, os.Truncate(filepath.Join(partial, "data"), 1<<40), os.WriteFile(filepath.Join(partial, "journal"), record, 0o644))
	w.Size = 1 << 40
	in := ingest(t, newLease(t, s), w)
	if in.Resumed() != 1<<40 {
		t.Errorf("Resumed = %d", in.Resumed())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := in.Commit(ctx)
	wantErr(t, "Commit", err, context.Canceled)
	try(t, in.Close())
}

func TestReapIngests(t *testing.T) {
	s := newStore(t)
	b := content(1<<20, 1)
	living := ingest(t, newLease(t, s), want(flipped(b)))
	write(t, living, b[:100], 0)
	start(t, "fill", s.Root()).ready().kill()
	newborn := filepath.Join(s.Dir("ingest"), digest.FromBytes(b).Encoded()+".newborn")
	try(t, os.Mkdir(newborn, 0o755))

	if freed, err := s.ReapIngests(time.Hour); freed != 0 || err != nil || len(names(t, s, "ingest")) != 3 {
		t.Errorf("ReapIngests of young ones = %d, %v", freed, err)
	}
	if freed, err := s.ReapIngests(0); freed != int64(len(shared()))/2 || err != nil || len(names(t, s, "ingest")) != 2 {
		t.Errorf("ReapIngests = %d, %v; left %q", freed, err, names(t, s, "ingest"))
	}
	age(t, newborn, 2*time.Hour)
	if _, err := s.ReapIngests(time.Hour); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(newborn); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that says nothing of its owner stays: %v", err)
	}
	write(t, living, flipped(b)[100:], 100)
	try(t, errOf(living.Commit(t.Context())))
}
