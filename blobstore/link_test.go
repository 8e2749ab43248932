package blobstore_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/blobstore/storetest"
)

// theirs is a file of another tool, on the file system of the store.
func theirs(t *testing.T, s *blobstore.Store, content []byte) *os.File {
	t.Helper()
	path := filepath.Join(filepath.Dir(s.Root()), "theirs")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func leased(t *testing.T, s *blobstore.Store) *blobstore.Lease {
	t.Helper()
	l, err := s.Lease()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Release() })
	return l
}

// TestLink: one file of two names, read-only; and a blob like any other.
func TestLink(t *testing.T) {
	for name, content := range map[string][]byte{"empty": {}, "small": []byte("x"), "large": bytes.Repeat([]byte("0123456789"), 3<<20)} {
		t.Run(name, func(t *testing.T) {
			s := storetest.New(t)
			f, l := theirs(t, s, content), leased(t, s)
			want := blobstore.Want{Digest: digest.FromBytes(content), Size: int64(len(content))}
			info, err := l.Adopt(t.Context(), f, want)
			if err != nil || info.Digest != want.Digest || info.Size != want.Size {
				t.Fatalf("Link = %+v, %v", info, err)
			}
			b, err := s.Open(want.Digest)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = b.Close() }()
			ours, err := b.File().Stat()
			if err != nil {
				t.Fatal(err)
			}
			if their, err := os.Stat(f.Name()); err != nil || !os.SameFile(ours, their) || their.Mode() != 0o444 {
				t.Errorf("their file is %v, %v; want the blob, read-only", their.Mode(), err)
			}
			if _, err := l.Adopt(t.Context(), f, want); !errors.Is(err, blobstore.ErrExists) {
				t.Errorf("Link again = %v, want ErrExists", err)
			}
			wantNoIngest(t, s)
		})
	}
}

// TestLinkOfWrongBytes: the file stays as it is, writable and unchanged, and no blob comes of it.
func TestLinkOfWrongBytes(t *testing.T) {
	for name, c := range map[string]struct {
		want blobstore.Want
		err  error
	}{
		"other bytes":     {blobstore.Want{Digest: digest.FromString("others"), Size: 6}, blobstore.ErrMismatch},
		"of unknown size": {blobstore.Want{Digest: digest.FromString("others"), Size: -1}, blobstore.ErrMismatch},
		"another size":    {blobstore.Want{Digest: digest.FromString("theirs"), Size: 7}, blobstore.ErrMismatch},
	} {
		s := storetest.New(t)
		f := theirs(t, s, []byte("theirs"))
		if _, err := leased(t, s).Adopt(t.Context(), f, c.want); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
		raw, err := os.ReadFile(f.Name())
		info, statErr := os.Stat(f.Name())
		if err != nil || statErr != nil || string(raw) != "theirs" || info.Mode() != 0o644 {
			t.Errorf("%s: their file is %q, %v, %v", name, raw, info.Mode(), err)
		}
		if _, err := s.Stat(c.want.Digest); !errors.Is(err, blobstore.ErrNotFound) {
			t.Errorf("%s: Stat = %v", name, err)
		}
		wantNoIngest(t, s)
	}
}

func TestLinkRefuses(t *testing.T) {
	s := storetest.New(t)
	l := leased(t, s)
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	if _, err := l.Adopt(t.Context(), dir, blobstore.Want{Digest: digest.FromString(""), Size: -1}); err == nil {
		t.Error("a folder was linked")
	}
	f := theirs(t, s, []byte("theirs"))
	if _, err := l.Adopt(t.Context(), f, blobstore.Want{Size: 6}); err == nil {
		t.Error("a file of unknown digest was linked")
	}
	if err := os.Rename(f.Name(), f.Name()+".old"); err != nil {
		t.Fatal(err)
	}
	theirs(t, s, []byte("theirs"))
	want := blobstore.Want{Digest: digest.FromString("theirs"), Size: 6}
	if _, err := l.Adopt(t.Context(), f, want); err == nil || !strings.Contains(err.Error(), "replaced") {
		t.Errorf("a file that was replaced: %v", err)
	}
	wantNoIngest(t, s)
	if os.Geteuid() == 0 {
		if err := os.Chown(f.Name(), 12345, 12345); err != nil {
			t.Fatal(err)
		}
		foreign, err := os.Open(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = foreign.Close() }()
		if _, err := l.Adopt(t.Context(), foreign, want); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("another user's file: %v, want fs.ErrPermission", err)
		}
	}
}

// TestCloneFrom: the blocks are shared, or nothing is written and the ingest goes on.
func TestCloneFrom(t *testing.T) {
	s := storetest.New(t)
	f := theirs(t, s, []byte("theirs"))
	want := blobstore.Want{Digest: digest.FromString("theirs"), Size: 6}
	in, err := leased(t, s).Ingest(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	if err = in.CloneFrom(f, nil); errors.Is(err, errors.ErrUnsupported) {
		if _, n := in.Missing(); n != 6 {
			t.Errorf("%d bytes are missing after a clone that could not be", n)
		}
		err = in.CopyFrom(t.Context(), f, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	if info, err := in.Commit(t.Context()); err != nil || info.Size != 6 {
		t.Errorf("Commit = %+v, %v", info, err)
	}
	other, err := leased(t, s).Ingest(t.Context(), blobstore.Want{Digest: digest.FromString("other"), Size: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if err := other.CloneFrom(f, nil); !errors.Is(err, blobstore.ErrMismatch) {
		t.Errorf("a file of another size: %v, want ErrMismatch", err)
	}
}

func wantNoIngest(t *testing.T, s *blobstore.Store) {
	t.Helper()
	entries, err := os.ReadDir(s.Dir("ingest"))
	if err != nil || len(entries) > 0 {
		t.Errorf("ingest/ has %v, %v", entries, err)
	}
}
