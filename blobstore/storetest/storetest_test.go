package storetest_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/blobstore/storetest"
)

// recorder is a test whose failures are kept, and whose end comes when end is called.
type recorder struct {
	testing.TB
	said     []string
	cleanups []func()
}

func (r *recorder) Helper()                   {}
func (r *recorder) Error(args ...any)         { r.said = append(r.said, fmt.Sprint(args...)) }
func (r *recorder) Errorf(f string, a ...any) { r.said = append(r.said, fmt.Sprintf(f, a...)) }
func (r *recorder) Cleanup(f func())          { r.cleanups = append(r.cleanups, f) }

func (r *recorder) end() {
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
}

// spoils is what a test may do to its store, and a part of what must be said of it.
var spoils = map[string]struct {
	spoil func(t *testing.T, s *blobstore.Store, d digest.Digest)
	want  string
}{
	"nothing": {func(*testing.T, *blobstore.Store, digest.Digest) {}, ""},
	"a flipped bit": {func(t *testing.T, s *blobstore.Store, d digest.Digest) {
		t.Helper()
		path := filepath.Join(s.Dir("blobs"), "sha256", d.Encoded())
		try(t, os.Chmod(path, 0o600), os.WriteFile(path, []byte("contenu"), 0o600), os.Chmod(path, 0o444))
	}, "has the bytes of"},
	"a mode": {func(t *testing.T, s *blobstore.Store, d digest.Digest) {
		t.Helper()
		try(t, os.Chmod(filepath.Join(s.Dir("blobs"), "sha256", d.Encoded()), 0o644))
	}, "has mode"},
	"a foreign name":       {write("blobs/sha256/readme"), "among the blobs"},
	"a foreign algorithm":  {write("blobs/sha512"), "in blobs/"},
	"an unfinished write":  {write("tags/.tmp-123"), "an unfinished write"},
	"an unborn lease":      {write("leases/.new-123"), "a lease was not released"},
	"another's lease":      {write("leases/x"), "a lease was not released"},
	"no store":             {noStore, "open the store"},
	"a blob in the trash":  {trash, "in the trash"},
	"a lease":              {openLease, "a lease was not released"},
	"an ingest, its hash":  {openIngest, "an ingest was not closed"},
	"a goroutine":          {openIngest, "unexpected goroutines"},
	"what is set aside":    {setAside, ""},
	"a Push without Close": {push, ""},
}

func write(name string) func(*testing.T, *blobstore.Store, digest.Digest) {
	return func(t *testing.T, s *blobstore.Store, _ digest.Digest) {
		t.Helper()
		try(t, os.WriteFile(filepath.Join(s.Root(), name), nil, 0o644))
	}
}

func lease(t *testing.T, s *blobstore.Store) *blobstore.Lease {
	t.Helper()
	l, err := s.Lease()
	try(t, err)
	t.Cleanup(func() { try(t, l.Release()) }) // of the true test, after the recorder's end
	return l
}

func openLease(t *testing.T, s *blobstore.Store, _ digest.Digest) {
	t.Helper()
	lease(t, s)
}

func noStore(t *testing.T, s *blobstore.Store, _ digest.Digest) {
	t.Helper()
	try(t, os.Remove(s.Dir("store.json")))
}

func trash(t *testing.T, s *blobstore.Store, d digest.Digest) {
	t.Helper()
	_, err := s.Trash(d)
	try(t, err)
}

func openIngest(t *testing.T, s *blobstore.Store, _ digest.Digest) {
	t.Helper()
	in, err := lease(t, s).Ingest(t.Context(), blobstore.Want{Digest: digest.FromString("other"), Size: 5})
	try(t, err)
	t.Cleanup(func() { try(t, in.Close()) })
}

func setAside(t *testing.T, s *blobstore.Store, _ digest.Digest) {
	t.Helper()
	d := digest.FromString("planted")
	path := filepath.Join(s.Dir("blobs"), "sha256", d.Encoded())
	try(t, os.Mkdir(path, 0o755), s.Expel(t.Context(), d, nil))
}

func push(t *testing.T, s *blobstore.Store, _ digest.Digest) {
	t.Helper()
	d := descriptor("pushed")
	try(t, s.Push(t.Context(), d, strings.NewReader("pushed")))
}

func descriptor(text string) ocispec.Descriptor {
	return ocispec.Descriptor{Digest: digest.FromString(text), Size: int64(len(text))}
}

func TestEveryProblemIsSeen(t *testing.T) {
	for name, c := range spoils {
		t.Run(name, func(t *testing.T) {
			r := &recorder{TB: t}
			s := storetest.New(r, blobstore.Options{Log: slog.New(slog.DiscardHandler)})
			try(t, s.Push(t.Context(), descriptor("content"), strings.NewReader("content")), s.Close())
			c.spoil(t, s, digest.FromString("content"))
			r.end()
			said := strings.Join(r.said, "\n")
			if c.want == "" && said != "" || !strings.Contains(said, c.want) {
				t.Errorf("it said %q, want %q", said, c.want)
			}
		})
	}
}

func TestOptionsReachTheStore(t *testing.T) {
	d := digest.FromString("no")
	s := storetest.New(t, blobstore.Options{Withheld: func(digest.Digest) bool { return true }})
	if _, err := s.Stat(d); err == nil || !strings.Contains(err.Error(), "withheld") {
		t.Errorf("Stat = %v", err)
	}
}

func try(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
