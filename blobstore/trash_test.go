package blobstore_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/blobstore/storetest"
)

func TestTrash(t *testing.T) {
	s := newStore(t)
	b := content(1000, 1)
	d := put(t, s, b)
	for name, end := range map[string]func(blobstore.Trashed) error{
		"restored":           blobstore.Trashed.Restore,
		"found by Stat":      func(blobstore.Trashed) error { return errOf(s.Stat(d)) },
		"found by Open":      func(blobstore.Trashed) error { b, err := s.Open(d); return errors.Join(err, b.Close()) },
		"found by an ingest": func(blobstore.Trashed) error { return isExists(ingestErr(t, newLease(t, s), want(b))) },
		"found by Exists":    func(blobstore.Trashed) error { return errOf(s.Exists(t.Context(), descriptor(d, 1000))) },
	} {
		moved, err := s.Trash(d)
		try(t, err)
		trashed := moved[0]
		if len(moved) != 1 || trashed.Digest() != d || trashed.Size() != 1000 {
			t.Fatalf("Trash = %v", moved)
		}
		if all, err := s.Trashed(); err != nil || len(all) != 1 || all[0] != trashed {
			t.Errorf("Trashed = %v, %v", all, err)
		}
		if got := names(t, s, "blobs/sha256"); len(got) != 0 {
			t.Errorf("blobs/ holds %q", got)
		}
		if err := end(trashed); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantBlob(t, s, b)
		try(t, trashed.Restore(), errOf(trashed.Delete())) // somebody did it already
		wantBlob(t, s, b)
	}
}

func isExists(err error) error {
	if errors.Is(err, blobstore.ErrExists) {
		return nil
	}
	return errors.Join(errors.New("not there"), err)
}

func TestDelete(t *testing.T) {
	s := newStore(t)
	d := put(t, s, content(1000, 1))
	opened, err := s.Open(d)
	try(t, err)
	defer func() { _ = opened.Close() }()
	moved, err := s.Trash(d)
	try(t, err)
	trashed := moved[0]
	try(t, errOf(trashed.Delete()), errOf(trashed.Delete()), trashed.Restore())
	_, err = s.Stat(d)
	wantErr(t, "Stat", err, blobstore.ErrNotFound)
	_, err = s.Trash(d)
	wantErr(t, "Trash", err, blobstore.ErrNotFound)
	if n, err := opened.ReadAt(make([]byte, 1000), 0); n != 1000 || err != nil {
		t.Errorf("a blob that was open reads %d, %v", n, err)
	}
}

// Two sweeps may each have moved a copy aside.
func TestTwoInTheTrash(t *testing.T) {
	s := newStore(t)
	b := content(1000, 1)
	d := put(t, s, b)
	first, err := s.Trash(d)
	try(t, err)
	path := filepath.Join(s.Dir("trash"), d.Encoded()+".another")
	raw, err := os.ReadFile(filepath.Join(s.Dir("trash"), names(t, s, "trash")[0]))
	try(t, err, os.WriteFile(path, raw, 0o444))
	if all, err := s.Trashed(); len(all) != 2 || err != nil {
		t.Fatalf("Trashed = %v, %v", all, err)
	}
	wantBlob(t, s, b) // one is put back, the other is left for the next sweep
	all, err := s.Trashed()
	if len(all) != 1 || err != nil {
		t.Fatalf("Trashed = %v, %v", all, err)
	}
	try(t, all[0].Restore(), errOf(first[0].Delete()))
	wantBlob(t, s, b)
}

// Readers, while a sweep takes the blob away and puts it back, find it every time.
func TestReadersDoNotMissWhatASweepPutsBack(t *testing.T) {
	s := newStore(t)
	d := put(t, s, content(1000, 1))
	done := make(chan struct{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200 {
				if _, err := s.Stat(d); err != nil {
					t.Errorf("Stat = %v", err)
				}
			}
		})
	}
	go func() { all.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			trashed, err := s.Trash(d)
			_, heldErr := s.Held() // as a sweep does between its moves
			if err == nil {
				err = trashed[0].Restore()
			}
			_, err2 := s.Held()
			try(t, heldErr, err2)
			if err != nil && !errors.Is(err, blobstore.ErrNotFound) {
				t.Error(err)
			}
		}
	}
}

func TestTheKeeper(t *testing.T) {
	refusal := errors.New("I do not like it")
	var asked blobstore.Candidate
	var s *blobstore.Store
	bad := digest.FromBytes(content(1000, 9))
	opts := quiet
	opts.Admit = func(_ context.Context, c blobstore.Candidate) error {
		head := make([]byte, 4)
		if _, err := c.Bytes.ReadAt(head, 0); err != nil {
			return err
		}
		asked = c
		if held, err := s.Held(); err != nil || len(held) != 1 { // what is being asked about
			t.Errorf("Held = %v, %v", held, err)
		}
		if c.Digest == bad {
			return refusal
		}
		return nil
	}
	s = storetest.New(t, opts)
	for name, w := range map[string]blobstore.Want{
		"known": {Digest: bad, Size: 1000}, "unknown": {Size: 1000}, "named": {Size: 1000, Name: "x"},
	} {
		l := newLease(t, s)
		in := ingest(t, l, w)
		write(t, in, content(1000, 9), 0)
		_, err := in.Commit(t.Context())
		try(t, l.Release())
		wantErr(t, name, err, blobstore.ErrRefused, refusal)
		if asked.Digest != bad || asked.Size != 1000 {
			t.Errorf("%s: the keeper was asked for %v", name, asked)
		}
		if left := names(t, s, "ingest"); len(left) != 0 {
			t.Errorf("%s: what was refused stays: %q", name, left)
		}
	}
	_, err := s.Stat(bad)
	wantErr(t, "Stat", err, blobstore.ErrNotFound)
	put(t, s, content(1000, 1))
}

func TestWhatIsWithheldIsNotThere(t *testing.T) {
	b := content(1000, 1)
	d := digest.FromBytes(b)
	withheld := false
	opts := quiet
	opts.Withheld = func(asked digest.Digest) bool { return withheld && asked == d }
	s := storetest.New(t, opts)
	l := newLease(t, s)
	in := ingest(t, l, blobstore.Want{Size: 1000})
	put(t, s, b)
	withheld = true
	write(t, in, b, 0)
	for name, err := range map[string]error{
		"Stat": errOf(s.Stat(d)), "Open": errOf(s.Open(d)), "ReadAll": errOf(s.ReadAll(d, 1000)), "Lease.Stat": errOf(l.Stat(d)),
		"Check": s.Check(t.Context(), d, nil), "Ingest": ingestErr(t, l, want(b)),
		"Exists": errOf(s.Exists(t.Context(), descriptor(d, 1000))), "Fetch": errOf(s.Fetch(t.Context(), descriptor(d, 1000))),
		"Commit of what was not known": errOf(in.Commit(t.Context())),
	} {
		wantErr(t, name, err, blobstore.ErrWithheld)
	}
	if left := names(t, s, "ingest"); len(left) != 0 {
		t.Errorf("what is withheld stays: %q", left)
	}
	moved, err := s.Trash(d) // a sweep may take it away
	try(t, err)
	trashed := moved[0]
	_, err = s.Stat(d)
	wantErr(t, "Stat", err, blobstore.ErrWithheld)
	if _, err := s.Stat(d); err == nil || len(names(t, s, "blobs/sha256")) > 0 {
		t.Error("a reader put back what is withheld")
	}
	try(t, errOf(trashed.Delete()))
}

// A verdict may fall while the bytes are on their way, for a digest that was known and allowed when the ingest began.
func TestWhatBecomesWithheldIsNotCommitted(t *testing.T) {
	b := content(1000, 1)
	d := digest.FromBytes(b)
	withheld := false
	opts := quiet
	opts.Withheld = func(asked digest.Digest) bool { return withheld && asked == d }
	opts.Admit = func(context.Context, blobstore.Candidate) error {
		t.Error("the keeper was asked of what is withheld")
		return nil
	}
	s := storetest.New(t, opts)
	in := ingest(t, newLease(t, s), want(b))
	write(t, in, b, 0)
	withheld = true
	wantErr(t, "Commit", errOf(in.Commit(t.Context())), blobstore.ErrWithheld)
	wantErr(t, "Commit again", errOf(in.Commit(t.Context())), fs.ErrClosed)
	withheld = false
	wantErr(t, "Stat", errOf(s.Stat(d)), blobstore.ErrNotFound)
	if left := append(names(t, s, "blobs/sha256"), names(t, s, "ingest")...); len(left) != 0 {
		t.Errorf("what became withheld stays: %q", left)
	}
}
