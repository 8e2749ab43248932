package blobstore_test

import (
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	orascontent "oras.land/oras-go/v2/content"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/internal/key"
)

// hostile are digests that are none: some would be paths.
func hostile() []digest.Digest {
	const good digest.Digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	return []digest.Digest{
		"", "sha256:", "sha256:..", "sha256:../../../etc/passwd", "sha256:/etc/passwd", "sha256-" + good, good,
		"sha256:" + good[1:], "sha256:" + good + "0", "sha256:" + digest.Digest(strings.ToUpper(string(good))), "SHA256:" + good,
		digest.Digest("sha256:" + strings.Repeat("g", 64)), "sha512:" + good, "sha256:" + good[:63] + "\x00",
		"sha256:" + good + "\n", digest.Digest("sha256:" + strings.Repeat("０", 64)), "sha256:" + good + "/../x",
		digest.Digest("sha256:" + strings.Repeat("../", 21) + "x"),
	}
}

func TestHostileDigestsAtEveryDoor(t *testing.T) {
	s := newStore(t)
	l := newLease(t, s)
	doors := map[string]func(d digest.Digest) error{
		"Stat":        func(d digest.Digest) error { _, err := s.Stat(d); return err },
		"Open":        func(d digest.Digest) error { _, err := s.Open(d); return err },
		"ReadAll":     func(d digest.Digest) error { _, err := s.ReadAll(d, 10); return err },
		"Check":       func(d digest.Digest) error { return s.Check(t.Context(), d, nil) },
		"Expel":       func(d digest.Digest) error { return s.Expel(t.Context(), d, take(t)) },
		"Trash":       func(d digest.Digest) error { _, err := s.Trash(d); return err },
		"Hold":        func(d digest.Digest) error { return l.Hold(d) },
		"Lease.Stat":  func(d digest.Digest) error { _, err := l.Stat(d); return err },
		"Ingest":      func(d digest.Digest) error { return ingestErr(t, l, blobstore.Want{Digest: d, Size: 1}) },
		"Exists":      func(d digest.Digest) error { _, err := s.Exists(t.Context(), descriptor(d, 1)); return err },
		"Fetch":       func(d digest.Digest) error { _, err := s.Fetch(t.Context(), descriptor(d, 1)); return err },
		"Push":        func(d digest.Digest) error { return s.Push(t.Context(), descriptor(d, 1), strings.NewReader("x")) },
		"Hold, later": func(d digest.Digest) error { return l.Hold(digest.FromString("good"), d) },
	}
	before := tree(t, filepath.Dir(s.Root()))
	for name, door := range doors {
		for _, d := range hostile() {
			if d == "" && name == "Ingest" { // which says that it is not known
				continue
			}
			wantErr(t, name+" of "+string(d), door(d), key.ErrInvalid)
		}
	}
	try(t, s.Close(), l.Release())
	if after := tree(t, filepath.Dir(s.Root())); len(after) != len(before)-1 { // the lease
		t.Errorf("something was made:\n%q\n%q", before, after)
	}
}

// take is what Expel must not call.
func take(t *testing.T) func(string) error {
	t.Helper()
	return func(path string) error {
		t.Errorf("take(%q) was called", path)
		return errors.New("not taken")
	}
}

func descriptor(d digest.Digest, size int64) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: size}
}

func ingestErr(t *testing.T, l *blobstore.Lease, want blobstore.Want) error {
	t.Helper()
	in, err := l.Ingest(t.Context(), want)
	if err == nil {
		return in.Close()
	}
	return err
}

// tree is every path in dir.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	try(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		all = append(all, path)
		return err
	}))
	return all
}

// No size is believed: nothing of that size is allocated, on disk or in memory.
func TestSizesThatLie(t *testing.T) {
	s := newStore(t)
	b := content(100, 1)
	d := digest.FromBytes(b)
	for _, size := range []int64{0, 99, 101, 1 << 62, math.MaxInt64} {
		if err := s.Push(t.Context(), descriptor(d, size), strings.NewReader(string(b))); err == nil {
			t.Errorf("Push of 100 bytes as %d succeeded", size)
		}
		if ok, err := s.Exists(t.Context(), descriptor(d, size)); ok || err != nil {
			t.Errorf("Exists with size %d = %v, %v", size, ok, err)
		}
	}
	err := s.Push(t.Context(), descriptor(d, -1), neverRead{t})
	wantErr(t, "Push of a negative size", err, orascontent.ErrInvalidDescriptorSize)
	put(t, s, b)
	for _, size := range []int64{-1, 0, 99, math.MaxInt64} {
		if _, err := s.Fetch(t.Context(), descriptor(d, size)); !errors.Is(err, blobstore.ErrMismatch) {
			t.Errorf("Fetch of 100 bytes as %d = %v", size, err)
		}
	}
	for limit, fits := range map[int64]bool{-1: false, 0: false, 99: false, 100: true, math.MaxInt64: true} {
		if got, err := s.ReadAll(d, limit); (err == nil) != fits || fits && len(got) != 100 {
			t.Errorf("ReadAll up to %d = %d bytes, %v", limit, len(got), err)
		}
	}
}

type neverRead struct{ t *testing.T }

func (r neverRead) Read([]byte) (int, error) {
	r.t.Error("the bytes were asked for")
	return 0, io.EOF
}
