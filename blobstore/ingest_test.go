package blobstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/blobstore/storetest"
)

func TestCommit(t *testing.T) {
	small, large := content(10, 1), content(3<<20+17, 2)
	for name, c := range map[string]struct {
		want    blobstore.Want
		bytes   []byte
		setSize int64 // -1: not called
		err     error
	}{
		"empty":                        {want(nil), nil, -1, nil},
		"small":                        {want(small), small, -1, nil},
		"large":                        {want(large), large, -1, nil},
		"size not known":               {blobstore.Want{Digest: digest.FromBytes(large), Size: -1}, large, int64(len(large)), nil},
		"digest not known":             {blobstore.Want{Size: 10}, small, -1, nil},
		"digest not known, named":      {blobstore.Want{Size: 10, Name: "http://x/y 1"}, small, -1, nil},
		"nothing known":                {blobstore.Want{Size: -1}, large, int64(len(large)), nil},
		"nothing known, nothing there": {blobstore.Want{Size: -1}, nil, 0, nil},
		"a bit is wrong":               {want(large), flipped(large), -1, blobstore.ErrMismatch},
		"not all is there":             {want(small), small[:9], -1, blobstore.ErrIncomplete},
		"size is never told":           {blobstore.Want{Size: -1}, small, -1, blobstore.ErrIncomplete},
		"size said too small":          {blobstore.Want{Size: -1}, small, 9, blobstore.ErrMismatch},
		"size said too large":          {blobstore.Want{Size: -1}, small, 11, blobstore.ErrIncomplete},
		"size of a known blob lies":    {blobstore.Want{Digest: digest.FromBytes(small), Size: 9}, small[:9], -1, blobstore.ErrMismatch},
		"a known size cannot change":   {want(small), small, 5, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			in := ingest(t, newLease(t, s), c.want)
			write(t, in, c.bytes, 0)
			if c.setSize >= 0 {
				in.SetSize(c.setSize)
			}
			info, err := in.Commit(t.Context())
			if c.err != nil {
				wantErr(t, "Commit", err, c.err)
				if got := names(t, s, "blobs/sha256"); len(got) != 0 {
					t.Errorf("published all the same: %q", got)
				}
				return
			}
			if err != nil || info.Digest != digest.FromBytes(c.bytes) || info.Size != int64(len(c.bytes)) {
				t.Fatalf("Commit = %v, %v", info, err)
			}
			wantBlob(t, s, c.bytes)
			if left := names(t, s, "ingest"); len(left) != 0 {
				t.Errorf("ingest/ holds %q", left)
			}
		})
	}
}

// wantBlob reads a blob in the ways there are.
func wantBlob(t *testing.T, s *blobstore.Store, want []byte) {
	t.Helper()
	d := digest.FromBytes(want)
	b, err := s.Open(d)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	got, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(got, want) || b.Size() != int64(len(want)) || b.Digest() != d {
		t.Errorf("read %d bytes of %s, %v; want %d", len(got), b.Digest(), err, len(want))
	}
	if again, err := s.ReadAll(d, int64(len(want))); err != nil || !bytes.Equal(again, want) {
		t.Errorf("ReadAll = %d bytes, %v", len(again), err)
	}
	try(t, s.Check(t.Context(), d, nil))
}

func TestAMismatchStartsOver(t *testing.T) {
	s := newStore(t)
	right := content(1<<20, 1)
	in := ingest(t, newLease(t, s), want(right))
	write(t, in, flipped(right), 0)
	_, err := in.Commit(t.Context())
	var mismatch *blobstore.MismatchError
	if !errors.As(err, &mismatch) || mismatch.Want != digest.FromBytes(right) || mismatch.Got != digest.FromBytes(flipped(right)) {
		t.Fatalf("Commit = %v", err)
	}
	if off, n := in.Missing(); off != 0 || n != int64(len(right)) || in.Resumed() != 0 {
		t.Fatalf("Missing = %d, %d; want everything", off, n)
	}
	write(t, in, right, 0)
	if _, err := in.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Where nothing can be begun anew, the ingest has ended, and others are not kept waiting for it.
func TestAMismatchWithoutAFolder(t *testing.T) {
	s := newStore(t)
	b := content(1000, 1)
	l := newLease(t, s)
	in := ingest(t, l, want(b))
	write(t, in, flipped(b), 0)
	try(t, os.RemoveAll(s.Dir("ingest")))
	_, err := in.Commit(t.Context())
	wantErr(t, "Commit", err, blobstore.ErrMismatch, fs.ErrNotExist)
	_, err = in.WriteAt(b, 0)
	wantErr(t, "WriteAt", err, fs.ErrClosed)
	try(t, os.Mkdir(s.Dir("ingest"), 0o755))
	put(t, s, b)
}

// A size that is learnt with the first answer may be wrong; the second answer may say another.
func TestAMismatchForgetsTheSizeThatWasLearnt(t *testing.T) {
	s := newStore(t)
	right := content(1000, 1)
	in := ingest(t, newLease(t, s), blobstore.Want{Digest: digest.FromBytes(right), Size: -1})
	write(t, in, right[:999], 0)
	in.SetSize(999)
	_, err := in.Commit(t.Context())
	wantErr(t, "Commit", err, blobstore.ErrMismatch)
	write(t, in, right, 0)
	in.SetSize(1000)
	if _, err := in.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestIngestOfWhatIsThere(t *testing.T) {
	s := newStore(t)
	b := content(100, 1)
	d := put(t, s, b)
	l := newLease(t, s)
	for _, size := range []int64{100, -1} {
		_, err := l.Ingest(t.Context(), blobstore.Want{Digest: d, Size: size})
		wantErr(t, "Ingest", err, blobstore.ErrExists, fs.ErrExist)
	}
	_, err := l.Ingest(t.Context(), blobstore.Want{Digest: d, Size: 99})
	wantErr(t, "Ingest with a size that lies", err, blobstore.ErrMismatch)

	before, err := s.Stat(d)
	try(t, err)
	in := ingest(t, l, blobstore.Want{Size: -1, Name: "of unknown digest"})
	write(t, in, b, 0)
	in.SetSize(100)
	info, err := in.Commit(t.Context())
	if err != nil || info != before {
		t.Errorf("Commit of what is there = %v, %v; want %v", info, err, before)
	}
}

func TestAnEndedIngest(t *testing.T) {
	s := newStore(t)
	b := content(100, 1)
	for name, end := range map[string]func(*blobstore.Ingest) error{
		"closed":    (*blobstore.Ingest).Close,
		"discarded": (*blobstore.Ingest).Discard,
		"committed": func(in *blobstore.Ingest) error { _, err := in.Commit(t.Context()); return err },
	} {
		in := ingest(t, newLease(t, s), want(append(b, name...)))
		write(t, in, append(b, name...), 0)
		try(t, end(in))
		_, err := in.Commit(t.Context())
		wantErr(t, name+": Commit", err, fs.ErrClosed)
		_, err = in.WriteAt(b, 0)
		wantErr(t, name+": WriteAt", err, fs.ErrClosed)
		_, err = in.Digest(t.Context())
		wantErr(t, name+": Digest", err, fs.ErrClosed)
		try(t, in.Close(), in.Discard())
	}
}

func TestACommitThatIsCancelledKeepsTheBytes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	keeper := func(ctx context.Context, _ blobstore.Candidate) error {
		cancel()
		return ctx.Err()
	}
	opts := quiet
	opts.Admit = func(c context.Context, candidate blobstore.Candidate) error {
		if c == ctx {
			return keeper(c, candidate)
		}
		return nil
	}
	s := storetest.New(t, opts)
	b := content(1<<20, 1)
	in := ingest(t, newLease(t, s), want(b))
	write(t, in, b, 0)
	for range 2 { // in the keeper, then before it
		_, err := in.Commit(ctx)
		wantErr(t, "Commit", err, context.Canceled)
		if errors.Is(err, blobstore.ErrRefused) {
			t.Error("a question that was cut short was taken for an answer")
		}
	}
	try(t, in.Close())
	in = ingest(t, newLease(t, s), want(b))
	if in.Resumed() != int64(len(b)) {
		t.Errorf("Resumed = %d, want all", in.Resumed())
	}
	if _, err := in.Commit(t.Context()); err != nil {
		t.Error(err)
	}
}

// Two that commit at once: the keeper is asked once, one has the blob, the other is told that the ingest has ended.
func TestCommitAndCloseAtOnce(t *testing.T) {
	var asked int
	opts := quiet
	opts.Admit = func(context.Context, blobstore.Candidate) error { asked++; return nil }
	s := storetest.New(t, opts)
	b := content(4<<20, 1)
	in := ingest(t, newLease(t, s), want(b))
	write(t, in, b, 0)
	errs := make([]error, 4)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { _, errs[i] = in.Commit(t.Context()) })
	}
	all.Wait()
	try(t, in.Close())
	var done int
	for _, err := range errs {
		if err == nil {
			done++
		} else {
			wantErr(t, "Commit", err, fs.ErrClosed)
		}
	}
	if done != 1 || asked != 1 {
		t.Errorf("%d commits succeeded, the keeper was asked %d times; want one", done, asked)
	}
}
