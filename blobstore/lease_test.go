package blobstore_test

import (
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

func wantHeld(t *testing.T, s *blobstore.Store, want ...digest.Digest) {
	t.Helper()
	held, err := s.Held()
	if err != nil || len(held) != len(want) {
		t.Errorf("Held = %v, %v; want %v", held, err, want)
	}
	for _, d := range want {
		if _, ok := held[d]; !ok {
			t.Errorf("%s is not held", d)
		}
	}
}

func TestHold(t *testing.T) {
	s := newStore(t)
	a, b := digest.FromString("a"), digest.FromString("b")
	one, two := newLease(t, s), newLease(t, s)
	wantHeld(t, s)
	try(t, one.Hold(), one.Hold(a, a), one.Hold(a), two.Hold(a, b))
	wantHeld(t, s, a, b)
	if err := one.Hold(digest.FromString("c"), "sha256:bad"); err == nil {
		t.Error("Hold took what is no digest")
	}
	wantHeld(t, s, a, b)
	try(t, two.Release(), two.Release())
	wantHeld(t, s, a)
	wantErr(t, "Hold after Release", two.Hold(a), fs.ErrClosed)
	try(t, one.Release())
	wantHeld(t, s)
}

// What an ingest brings in is held when it is admitted, even by a name; and a released lease admits nothing.
func TestCommitHolds(t *testing.T) {
	s := newStore(t)
	b := content(100, 1)
	l := newLease(t, s)
	in := ingest(t, l, blobstore.Want{Size: 100})
	write(t, in, b, 0)
	wantHeld(t, s)
	try(t, errOf(in.Commit(t.Context())))
	wantHeld(t, s, digest.FromBytes(b))

	other := content(100, 2)
	in = ingest(t, l, want(other))
	write(t, in, other, 0)
	try(t, l.Release())
	_, err := in.Commit(t.Context())
	wantErr(t, "Commit after Release", err, fs.ErrClosed)
	_, err = l.Ingest(t.Context(), want(content(1, 3)))
	wantErr(t, "Ingest after Release", err, fs.ErrClosed)
}

// Hold comes before the look, so that a sweep that has moved the blob aside puts it back, or the look finds it gone.
func TestIngestAndStatHoldWhatIsNotThere(t *testing.T) {
	s := newStore(t)
	a, b := digest.FromString("a"), content(10, 1)
	l := newLease(t, s)
	_, err := l.Stat(a)
	wantErr(t, "Stat", err, blobstore.ErrNotFound)
	ingest(t, l, want(b))
	wantHeld(t, s, a, digest.FromBytes(b))
}

func TestAKilledProcessHoldsNothing(t *testing.T) {
	s := newStore(t)
	c := start(t, "lease", s.Root()).ready()
	wantHeld(t, s, digest.FromBytes(shared()))
	c.kill()
	wantHeld(t, s)
	if left := names(t, s, "leases"); len(left) != 0 {
		t.Errorf("leases/ holds %q", left)
	}
}

// Leases that this test writes itself, as files, each of a process that cannot be asked.
func TestWhoseLeaseCounts(t *testing.T) {
	d := digest.FromString("held")
	const elsewhere = `{"host":"elsewhere","boot":"another","pid":1}` + "\n"
	for name, c := range map[string]struct {
		file, text string
		age        time.Duration
		held, gone bool
	}{
		"of another machine":         {"x", elsewhere + d.String() + "\n", 0, true, false},
		"of another machine, silent": {"x", elsewhere + d.String() + "\n", 2 * time.Hour, false, true},
		"a line not whole":           {"x", elsewhere + d.String()[:70], 0, false, false},
		"nothing":                    {"x", "", 0, false, false},
		"garbage":                    {"x", strings.Repeat("\x00", 4096), 0, false, false},
		"garbage, old":               {"x", strings.Repeat("\x00", 4096), 2 * time.Hour, false, true},
		"garbage and a digest":       {"x", "?\n" + d.String() + "\n", 0, true, false},
		"being born":                 {".new-x", elsewhere + d.String() + "\n", 0, false, false},
		"killed at its birth":        {".new-x", "", 2 * time.Hour, false, true},
	} {
		s := open(t, filepath.Join(t.TempDir(), "store"), quiet)
		path := filepath.Join(s.Dir("leases"), c.file)
		then := time.Now().Add(-c.age)
		try(t, os.WriteFile(path, []byte(c.text), 0o644), os.Chtimes(path, then, then))
		held, err := s.Held()
		if _, ok := held[d]; ok != c.held || err != nil {
			t.Errorf("%s: Held = %v, %v", name, held, err)
		}
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) != c.gone {
			t.Errorf("%s: the file: %v", name, err)
		}
	}
}

func TestALeaseThatCannotBeReadIsAnError(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store"), quiet)
	path := filepath.Join(s.Dir("leases"), "x")
	try(t, os.WriteFile(path, nil, 0o644), os.Truncate(path, 1<<30))
	if held, err := s.Held(); err == nil {
		t.Errorf("Held = %v: who cannot read must not sweep", held)
	}
}
