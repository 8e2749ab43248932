package mstore_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore"
)

// damaged is a store that a test does damage to: it is not checked when the test ends.
func damaged(t *testing.T) (*mstore.Store, *mstore.Pulled) {
	t.Helper()
	s := openStore(t, filepath.Join(t.TempDir(), "store"))
	load(t, s, small(t, 2), "other")
	return s, load(t, s, small(t, 1), "m")
}

// flip changes one bit of a file, and leaves its mode and times as they were.
func flip(t *testing.T, path string, off int64, bit uint) {
	t.Helper()
	info, err := os.Stat(path)
	try(t, err, os.Chmod(path, 0o600))
	raw, err := os.ReadFile(path)
	try(t, err)
	raw[off] ^= 1 << bit
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	try(t, err)
	_, err = f.WriteAt(raw[off:off+1], off)
	try(t, err, f.Close(), os.Chmod(path, info.Mode()), os.Chtimes(path, info.ModTime(), info.ModTime()))
}

// found are the digests that Verify finds bad, of all or of some names.
func found(t *testing.T, s *mstore.Store, names ...string) []digest.Digest {
	t.Helper()
	report, err := s.Verify(t.Context(), mstore.VerifyOptions{Names: names})
	if report == nil {
		t.Fatal(err)
	}
	var bad []digest.Digest
	for _, b := range report.Bad {
		bad = append(bad, b.Digest)
	}
	if len(bad) > 0 {
		wantFailure(t, "Verify", err, mstore.ErrVerification)
	} else if err != nil {
		t.Errorf("nothing is bad, and Verify = %v", err)
	}
	return bad
}

func wantFound(t *testing.T, s *mstore.Store, want ...digest.Digest) {
	t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(want, found(t, s)); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

// blobsOf is every blob that is not empty of a model: its files, its config, its manifest.
func blobsOf(t *testing.T, s *mstore.Store) []digest.Digest {
	t.Helper()
	return slices.DeleteFunc(look(t, s).Blobs, func(d digest.Digest) bool {
		info, err := s.Blobs().Stat(d)
		try(t, err)
		return info.Size == 0
	})
}

func TestVerifyFindsEveryFlippedBit(t *testing.T) {
	s, m := damaged(t)
	wantFound(t, s)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, seed))
	for _, d := range blobsOf(t, s) {
		info, err := s.Blobs().Stat(d)
		try(t, err)
		for range 3 {
			off, bit := random.Int64N(info.Size), random.UintN(8)
			flip(t, blobPath(s, d), off, bit)
			if got := found(t, s); !slices.Equal(got, []digest.Digest{d}) {
				t.Errorf("bit %d of byte %d of %s is flipped, found %q", bit, off, d, got)
			}
			flip(t, blobPath(s, d), off, bit)
		}
	}
	wantFound(t, s)
	weights, config := fileOf(t, m.Model, "model.safetensors").Digest, fileOf(t, m.Model, "config.json").Digest
	flip(t, blobPath(s, weights), 100<<10, 7)
	flip(t, blobPath(s, config), 0, 0)
	wantFound(t, s, weights, config)
}

func TestVerifySaysWhatNeedsABadBlob(t *testing.T) {
	s, m := damaged(t)
	config := fileOf(t, m.Model, "config.json").Digest
	flip(t, blobPath(s, config), 0, 0)
	report, _ := s.Verify(t.Context(), mstore.VerifyOptions{})
	want := []string{"m:latest/config.json", "other:latest/config.json"}
	if len(report.Bad) != 1 || !slices.Equal(report.Bad[0].Names, want) || report.Bad[0].Repaired {
		t.Errorf("bad is %+v, want what needs it to be %q", report.Bad, want)
	}
	if !strings.Contains(report.Bad[0].Problem, config.String()) {
		t.Errorf("the problem is %q", report.Bad[0].Problem)
	}
}

func TestVerifyOfSomeNames(t *testing.T) {
	s, m := damaged(t)
	weights := fileOf(t, m.Model, "model.safetensors").Digest
	flip(t, blobPath(s, weights), 7, 1)
	if got := found(t, s, "other"); len(got) != 0 {
		t.Errorf("other needs nothing bad, found %q", got)
	}
	if got := found(t, s, "other", "m"); !slices.Equal(got, []digest.Digest{weights}) {
		t.Errorf("found %q", got)
	}
	_, err := s.Verify(t.Context(), mstore.VerifyOptions{Names: []string{"m", "none"}})
	wantFailure(t, "Verify of a name that is none", err, mstore.ErrNotFound)
}

func TestVerifyFindsWhatIsNoBlob(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	for name, plant := range map[string]func(path string) error{
		"missing": os.Remove,
		"truncated": func(path string) error {
			return errs(os.Chmod(path, 0o600), os.Truncate(path, 10), os.Chmod(path, 0o444))
		},
		"longer": func(path string) error {
			return errs(os.Chmod(path, 0o600), os.Truncate(path, 300<<10), os.Chmod(path, 0o444))
		},
		"empty":         func(path string) error { return errs(os.Remove(path), os.WriteFile(path, nil, 0o444)) },
		"a link to it":  func(path string) error { return errs(os.Rename(path, elsewhere), os.Symlink(elsewhere, path)) },
		"a link to ..":  func(path string) error { return errs(os.Remove(path), os.Symlink("..", path)) },
		"a broken link": func(path string) error { return errs(os.Remove(path), os.Symlink("none", path)) },
		"a pipe":        func(path string) error { return errs(os.Remove(path), mkfifo(path)) },
		"a folder":      func(path string) error { return errs(os.Remove(path), os.Mkdir(path, 0o700)) },
	} {
		t.Run(name, func(t *testing.T) {
			s, m := damaged(t)
			weights := fileOf(t, m.Model, "model.safetensors").Digest
			try(t, plant(blobPath(s, weights)))
			wantFound(t, s, weights)
		})
	}
}

// errs is the first error.
func errs(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestVerifyFindsADamagedManifest(t *testing.T) {
	s, m := damaged(t)
	flip(t, blobPath(s, m.Digest), 20, 2)
	wantFound(t, s, m.Digest)
	lose(t, s, m.Digest)
	wantFound(t, s, m.Digest)
	_, err := s.Show(t.Context(), "m")
	wantFailure(t, "Show", err, mstore.ErrVerification)
	_, err = s.GC(t.Context(), mstore.GCOptions{})
	wantFailure(t, "GC", err, mstore.ErrVerification)
	_, err = s.Export(t.Context(), "m", t.TempDir(), mstore.ExportOptions{})
	wantFailure(t, "Export", err, mstore.ErrVerification)
}

func TestVerifyFindsWhatIsNotABlob(t *testing.T) {
	s, m := damaged(t)
	foreign := filepath.Join(s.Dir(), "blobs", "sha256", "notes.txt")
	try(t, os.WriteFile(foreign, nil, 0o600))
	report, err := s.Verify(t.Context(), mstore.VerifyOptions{Repair: true})
	if err != nil || !slices.Equal(report.Foreign, []string{foreign}) {
		t.Errorf("Verify = %+v, %v", report, err)
	}
	try(t, os.WriteFile(filepath.Join(s.Dir(), "index.json"), []byte(`{"schemaVersion":2,"manifests":[]}`), 0o600))
	report, err = s.Verify(t.Context(), mstore.VerifyOptions{})
	wantFailure(t, "a stale index.json", err, mstore.ErrVerification)
	if len(report.Bad) != 1 || report.Bad[0].Names[0] != "index.json" {
		t.Errorf("found %+v", report.Bad)
	}
	report, err = s.Verify(t.Context(), mstore.VerifyOptions{Repair: true})
	if err != nil || report.Repaired != 1 {
		t.Errorf("Verify = %+v, %v", report, err)
	}
	wantFound(t, s)

	tag := filepath.Join(s.Dir(), "tags", "m%3alatest")
	try(t, os.WriteFile(tag, []byte("{"), 0o600))
	for _, repair := range []bool{false, true} {
		report, err = s.Verify(t.Context(), mstore.VerifyOptions{Repair: repair})
		wantFailure(t, "a damaged tag", err, mstore.ErrVerification)
		if !slices.ContainsFunc(report.Bad, func(b mstore.Bad) bool { return strings.Contains(b.Problem, tag) }) {
			t.Errorf("found %+v", report.Bad)
		}
	}
	_, err = s.Show(t.Context(), "m")
	wantFailure(t, "Show", err, mstore.ErrStorage)
	_, err = s.GC(t.Context(), mstore.GCOptions{})
	wantFailure(t, "GC", err, mstore.ErrStorage)
	_, err = s.Remove(t.Context(), "m")
	try(t, err)
	load(t, s, small(t, 1), "m")
	wantFound(t, s)
	if got, err := s.Show(t.Context(), "m"); err != nil || got.Digest != m.Digest {
		t.Errorf("Show = %+v, %v", got, err)
	}
}
