package blobstore_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mstore/mstore/blobstore"
)

// fileOf is an open file that holds b.
func fileOf(tb testing.TB, b []byte) *os.File {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "src")
	try(tb, os.WriteFile(path, b, 0o600))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	try(tb, err)
	tb.Cleanup(func() { _ = f.Close() })
	return f
}

func TestCopyFrom(t *testing.T) {
	for name, n := range map[string]int{"nothing": 0, "a byte": 1, "some": 3<<20 + 1} {
		for _, w := range []blobstore.Want{want(content(n, 1)), {Size: -1}, {Size: int64(n), Name: "x"}} {
			s := newStore(t)
			b := content(n, 1)
			src := fileOf(t, b)
			in := ingest(t, newLease(t, s), w)
			var seen int64
			try(t, in.CopyFrom(t.Context(), src, func(n int64) { seen += n }))
			if seen != int64(n) {
				t.Errorf("%s: progress said %d", name, seen)
			}
			try(t, errOf(in.Commit(t.Context())))
			wantBlob(t, s, b)
			if info, err := src.Stat(); err != nil || info.Mode() != 0o600 || info.Size() != int64(n) {
				t.Errorf("%s: the source became %v, %v", name, info, err)
			}
		}
	}
}

// What is here already is not read again, wherever the holes are.
func TestCopyFromFillsHoles(t *testing.T) {
	s := newStore(t)
	b := content(5<<20, 1)
	in := ingest(t, newLease(t, s), want(b))
	for _, at := range []int{0, 2 << 20, 4 << 20} {
		write(t, in, b[at:at+1<<20], int64(at))
	}
	var read int64
	try(t, in.CopyFrom(t.Context(), fileOf(t, b), func(n int64) { read += n }))
	if read != 2<<20 {
		t.Errorf("%d bytes were copied; 2 MiB were missing", read)
	}
	try(t, errOf(in.Commit(t.Context())))
}

func TestCopyFromOfAnotherSize(t *testing.T) {
	s := newStore(t)
	b := content(2<<20, 1)
	for name, here := range map[string]int{"nothing here": 0, "some here": 1 << 20, "all here": 2 << 20} {
		in := ingest(t, newLease(t, s), want(b))
		write(t, in, b[:here], 0)
		wantErr(t, name, in.CopyFrom(t.Context(), fileOf(t, b[:1<<20]), nil), blobstore.ErrMismatch)
		try(t, in.Discard())
	}
}

func TestCopyFromOfWhatChanges(t *testing.T) {
	b := content(4<<20, 1)
	for name, change := range map[string]func(f *os.File) error{
		"shorter": func(f *os.File) error { return f.Truncate(1 << 20) },
		"longer":  func(f *os.File) error { return f.Truncate(5 << 20) },
		"touched": func(f *os.File) error { return os.Chtimes(f.Name(), time.Time{}, time.Now().Add(time.Hour)) },
	} {
		s := newStore(t)
		src := fileOf(t, b)
		in := ingest(t, newLease(t, s), blobstore.Want{Size: 4 << 20})
		changed := false
		err := in.CopyFrom(t.Context(), src, func(int64) {
			if !changed {
				changed = true
				try(t, change(src))
			}
		})
		if err == nil || name == "shorter" && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: CopyFrom = %v", name, err)
		}
	}
}

func TestCopyFromEnds(t *testing.T) {
	s := newStore(t)
	b := content(4<<20, 1)
	in := ingest(t, newLease(t, s), want(b))
	ctx, cancel := context.WithCancel(t.Context())
	err := in.CopyFrom(ctx, fileOf(t, b), func(int64) { cancel() })
	wantErr(t, "CopyFrom", err, context.Canceled)
	if off, n := in.Missing(); off == 0 || n == 0 {
		t.Errorf("Missing = %d, %d", off, n)
	}
	dir, err := os.Open(t.TempDir())
	try(t, err)
	defer func() { _ = dir.Close() }()
	if err := in.CopyFrom(t.Context(), dir, nil); err == nil {
		t.Error("a folder was copied")
	}
}
