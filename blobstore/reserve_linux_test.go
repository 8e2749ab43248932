package blobstore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/internal/durable"
)

// needs is the figures of a refusal; nil when there was room.
func needs(t *testing.T, err error) *blobstore.SpaceError {
	t.Helper()
	short, ok := errors.AsType[*blobstore.SpaceError](err)
	if err != nil && (!ok || !errors.Is(err, syscall.ENOSPC)) {
		t.Fatal(err)
	}
	return short
}

func TestReserve(t *testing.T) {
	s := open(t, t.TempDir(), blobstore.Options{})
	free, _, err := durable.Space(s.Root())
	try(t, err)
	room := free / 4 // what is not reserved here changes while the test runs
	first, second := newLease(t, s), newLease(t, s)
	here := put(t, s, []byte("here"))
	a := blobstore.Want{Digest: digest.FromString("a"), Size: 3 * room}
	b := blobstore.Want{Digest: digest.FromString("b"), Size: 2 * room}

	if short := needs(t, first.Reserve(t.Context(), a, b)); short == nil || short.Needed != a.Size+b.Size || short.Reserved != 0 {
		t.Fatalf("more than there is: %+v", short)
	}
	try(t, first.Reserve(t.Context(), a, blobstore.Want{Digest: here, Size: 9 * room}))
	if short := needs(t, second.Reserve(t.Context(), b)); short == nil || short.Needed != b.Size || short.Reserved != a.Size {
		t.Fatalf("what another has reserved: %+v", short)
	}
	try(t, second.Reserve(t.Context(), a)) // the same blob is written once
	held, err := s.Held()
	try(t, err)
	if len(held) != 0 {
		t.Errorf("a reservation holds %v", held)
	}
	try(t, first.Release(), second.Release())
	third := newLease(t, s)
	try(t, third.Reserve(t.Context(), b))
}

// What is written of a reserved blob is no longer free, and no longer to be written.
func TestAReservationShrinks(t *testing.T) {
	s := open(t, t.TempDir(), blobstore.Options{})
	raw := content(8<<20, 1)
	l := newLease(t, s)
	try(t, l.Reserve(t.Context(), want(raw)))
	reserved := func() int64 {
		other := newLease(t, s)
		short := needs(t, other.Reserve(t.Context(), blobstore.Want{Digest: digest.FromString("huge"), Size: 1 << 60}))
		try(t, other.Release())
		return short.Reserved
	}
	if got := reserved(); got != int64(len(raw)) {
		t.Errorf("%d bytes are reserved of %d", got, len(raw))
	}
	in := ingest(t, l, want(raw))
	write(t, in, raw[:6<<20], 0)
	try(t, syncAll(s))
	if got := reserved(); got > 2<<20 {
		t.Errorf("%d bytes are reserved when 2 MiB are to be written", got)
	}
	write(t, in, raw[6<<20:], 6<<20)
	_, err := in.Commit(t.Context())
	try(t, err)
	if got := reserved(); got != 0 {
		t.Errorf("%d bytes are reserved of a blob that is here", got)
	}
}

// syncAll makes the file system allocate what was written.
func syncAll(s *blobstore.Store) error {
	files, err := filepath.Glob(filepath.Join(s.Dir("ingest"), "*", "data"))
	for _, path := range files {
		f, openErr := os.Open(path)
		if openErr != nil {
			return openErr
		}
		err = errors.Join(err, f.Sync(), f.Close())
	}
	return err
}

// Of many that want more than there is, those that were told that there is room have it.
func TestManyReserve(t *testing.T) {
	s := open(t, t.TempDir(), blobstore.Options{})
	free, _, err := durable.Space(s.Root())
	try(t, err)
	const n = 16
	granted := make(chan bool, n)
	for i := range n {
		l := newLease(t, s)
		go func() {
			err := l.Reserve(context.Background(), blobstore.Want{Digest: digest.FromBytes([]byte{byte(i)}), Size: free / 4})
			granted <- err == nil
		}()
	}
	got := 0
	for range n {
		if <-granted {
			got++
		}
	}
	if got != 3 && got != 4 { // other processes take and free space meanwhile
		t.Errorf("%d of %d were told that a quarter of the disk is free", got, n)
	}
}
