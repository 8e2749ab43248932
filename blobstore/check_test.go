package blobstore_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
)

func TestAModeThatWasChangedIsMended(t *testing.T) {
	for _, mode := range []fs.FileMode{0o644, 0o666, 0o600, 0o755} {
		s := newStore(t)
		b := content(1<<20, 1)
		d := put(t, s, b)
		try(t, os.Chmod(blobPath(s, d), mode))
		wantBlob(t, s, b)
		if info, err := os.Lstat(blobPath(s, d)); err != nil || info.Mode() != 0o444 {
			t.Errorf("mode %v became %v, %v", mode, info.Mode(), err)
		}
	}
}

func TestAModeThatWasChangedWithTheBytesIsNot(t *testing.T) {
	s := newStore(t)
	b := content(1<<20, 1)
	d := put(t, s, b)
	damage(t, s, d, 0o644)
	for name, err := range map[string]error{
		"Stat": errOf(s.Stat(d)), "Open": errOf(s.Open(d)), "Check": s.Check(t.Context(), d, nil), "ReadAll": errOf(s.ReadAll(d, 1<<20)),
	} {
		wantErr(t, name, err, blobstore.ErrMismatch)
	}
	if info, err := os.Lstat(blobPath(s, d)); err != nil || info.Mode() != 0o644 {
		t.Errorf("the mode became %v, %v", info.Mode(), err)
	}
	put(t, s, b) // a pull heals
	wantBlob(t, s, b)
}

func errOf[T any](_ T, err error) error { return err }

// damage flips a bit of a blob and leaves it with mode.
func damage(tb testing.TB, s *blobstore.Store, d digest.Digest, mode fs.FileMode) {
	tb.Helper()
	path := blobPath(s, d)
	b, err := os.ReadFile(path)
	try(tb, err, os.Chmod(path, 0o644), os.WriteFile(path, flipped(b), 0o644), os.Chmod(path, mode))
}

// A blob that was cut short under the right mode is found by its size, and replaced.
func TestABlobOfAnotherSizeIsReplaced(t *testing.T) {
	s := newStore(t)
	b := content(1000, 1)
	d := put(t, s, b)
	path := blobPath(s, d)
	try(t, os.Chmod(path, 0o644), os.Truncate(path, 999), os.Chmod(path, 0o444))
	if ok, err := s.Exists(t.Context(), descriptor(d, 1000)); ok || err != nil {
		t.Errorf("Exists = %v, %v", ok, err)
	}
	put(t, s, b)
	wantBlob(t, s, b)
}

func TestCheckSeesAFlippedBit(t *testing.T) {
	s := newStore(t)
	b := content(1<<20, 1)
	d := put(t, s, b)
	damage(t, s, d, 0o444)
	var read int64
	err := s.Check(t.Context(), d, func(n int64) { read += n })
	var mismatch *blobstore.MismatchError
	if !errors.As(err, &mismatch) || mismatch.Want != d || mismatch.Got != digest.FromBytes(flipped(b)) || read != 1<<20 {
		t.Errorf("Check = %v, after %d bytes", err, read)
	}
	_, err = s.ReadAll(d, 1<<20)
	wantErr(t, "ReadAll", err, blobstore.ErrMismatch)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, "Check that is cancelled", s.Check(ctx, d, nil), context.Canceled)

	ward := filepath.Join(t.TempDir(), "bad")
	try(t, s.Expel(t.Context(), d, func(path string) error { return os.Rename(path, ward) }))
	_, err = s.Stat(d)
	wantErr(t, "Stat", err, blobstore.ErrNotFound, fs.ErrNotExist)
	if got, err := os.ReadFile(ward); err != nil || digest.FromBytes(got) != digest.FromBytes(flipped(b)) {
		t.Errorf("what was expelled: %v", err)
	}
}

func TestExpelLeavesWhatIsRight(t *testing.T) {
	s := newStore(t)
	d := put(t, s, content(1000, 1))
	if err := s.Expel(t.Context(), d, take(t)); err == nil {
		t.Error("a right blob was expelled")
	}
	try(t, s.Check(t.Context(), d, nil))
	wantErr(t, "Expel of nothing", s.Expel(t.Context(), digest.FromString("no"), take(t)), blobstore.ErrNotFound)

	bad := put(t, s, content(1000, 2))
	damage(t, s, bad, 0o600) // Open reads it already, and says so
	fault := errors.New("no room in the ward")
	wantErr(t, "Expel", s.Expel(t.Context(), bad, func(string) error { return fault }), fault)
	try(t, s.Expel(t.Context(), bad, os.Remove))
}

// The blob that is checked and the one that take would get must be one.
func TestExpelSeesThatTheBlobWasReplaced(t *testing.T) {
	s := newStore(t)
	b := content(3<<20, 1)
	d := put(t, s, b)
	damage(t, s, d, 0o444)
	ctx := &afterSome{Context: t.Context(), some: func() {
		try(t, os.Remove(blobPath(s, d)))
		l := newLease(t, s)
		in := ingest(t, l, blobstore.Want{Size: int64(len(b))}) // its digest is not known: no lock is in its way
		write(t, in, b, 0)
		try(t, errOf(in.Commit(t.Context())))
	}}
	if err := s.Expel(ctx, d, take(t)); err == nil {
		t.Error("Expel succeeded")
	}
	try(t, s.Check(t.Context(), d, nil))
}

// afterSome does something at the third look at the context.
type afterSome struct {
	context.Context
	looks int
	some  func()
}

func (c *afterSome) Err() error {
	if c.looks++; c.looks == 3 {
		c.some()
	}
	return nil
}
