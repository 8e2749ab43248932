package blobstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/blobstore/storetest"
)

// TestMain lets the test binary be another process: BLOBSTORE_CHILD names its role, see roles.
func TestMain(m *testing.M) {
	role, ok := roles[os.Getenv("BLOBSTORE_CHILD")]
	if !ok {
		os.Exit(m.Run())
	}
	if err := role(context.Background(), os.Getenv("BLOBSTORE_ROOT")); err != nil {
		fmt.Println("error:", strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1)
	}
}

var quiet = blobstore.Options{Log: slog.New(slog.DiscardHandler)}

// newStore is a checked store that keeps its warnings to itself.
func newStore(tb testing.TB) *blobstore.Store {
	tb.Helper()
	return storetest.New(tb, quiet)
}

// checked is the store at root, checked when the test ends.
func checked(tb testing.TB, root string, opts blobstore.Options) *blobstore.Store {
	tb.Helper()
	tb.Cleanup(func() { storetest.Check(tb, root) })
	return open(tb, root, opts)
}

// open opens a store that is not checked when the test ends.
func open(tb testing.TB, root string, opts blobstore.Options) *blobstore.Store {
	tb.Helper()
	opts.Log = quiet.Log
	s, err := blobstore.Open(root, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { try(tb, s.Close()) })
	return s
}

// newLease is a lease that ends with the test.
func newLease(tb testing.TB, s *blobstore.Store) *blobstore.Lease {
	tb.Helper()
	l, err := s.Lease()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { try(tb, l.Release()) })
	return l
}

// ingest begins an ingest that is closed when the test ends.
func ingest(tb testing.TB, l *blobstore.Lease, want blobstore.Want) *blobstore.Ingest {
	tb.Helper()
	in, err := l.Ingest(tb.Context(), want)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { try(tb, in.Close()) })
	return in
}

// put brings b into the store and gives its digest.
func put(tb testing.TB, s *blobstore.Store, b []byte) digest.Digest {
	tb.Helper()
	l, err := s.Lease()
	if err != nil {
		tb.Fatal(err)
	}
	try(tb, bring(tb.Context(), l, b), l.Release())
	return digest.FromBytes(b)
}

// bring is put with a lease of the caller's. It is ErrExists when the blob is there.
func bring(ctx context.Context, l *blobstore.Lease, b []byte) (err error) {
	in, err := l.Ingest(ctx, want(b))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	off, n := in.Missing()
	if _, err := in.WriteAt(b[off:off+n], off); err != nil {
		return err
	}
	_, err = in.Commit(ctx)
	return err
}

func want(b []byte) blobstore.Want {
	return blobstore.Want{Digest: digest.FromBytes(b), Size: int64(len(b))}
}

// write writes b at off, whole.
func write(tb testing.TB, in *blobstore.Ingest, b []byte, off int64) {
	tb.Helper()
	if n, err := in.WriteAt(b, off); n != len(b) || err != nil {
		tb.Fatalf("WriteAt(%d bytes, %d) = %d, %v", len(b), off, n, err)
	}
}

// content is n bytes, the same for the same seed.
func content(n int, seed byte) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func flipped(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)/2] ^= 1
	return b
}

// try ends the test with the first error.
func try(tb testing.TB, errs ...error) {
	tb.Helper()
	for _, err := range errs {
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// wantErr reports an error that is none of those wanted.
func wantErr(tb testing.TB, what string, got error, want ...error) {
	tb.Helper()
	for _, w := range want {
		if !errors.Is(got, w) {
			tb.Errorf("%s = %v; want %v", what, got, w)
		}
	}
}

// blobPath is where the blob of d lies.
func blobPath(s *blobstore.Store, d digest.Digest) string {
	return filepath.Join(s.Dir("blobs"), "sha256", d.Encoded())
}

// names are the names in one of the store's folders.
func names(tb testing.TB, s *blobstore.Store, dir string) []string {
	tb.Helper()
	entries, err := os.ReadDir(s.Dir(dir))
	try(tb, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
