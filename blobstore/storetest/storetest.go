// Package storetest gives tests a store that is checked whole when the test ends.
//
// What is checked is what blobstore promises: every blob has the bytes and the mode that it should have, nothing else
// lies among the blobs, no writer left anything unfinished behind, no lease outlives its process or its Release, a
// sweep left nothing half done, and no goroutine runs on. A test that damages its store on purpose opens one itself.
package storetest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/internal/key"
)

// New makes a store in a folder of the test's own, with at most one Options. When the test ends it closes and checks
// the store, and compares the goroutines with those of now: a test that runs beside others (t.Parallel) would see theirs.
func New(tb testing.TB, opts ...blobstore.Options) *blobstore.Store {
	tb.Helper()
	before := goleak.IgnoreCurrent()
	all := append(opts, blobstore.Options{})
	s, err := blobstore.Open(filepath.Join(tb.TempDir(), "store"), all[0])
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		tb.Helper()
		if err := s.Close(); err != nil {
			tb.Errorf("close the store: %v", err)
		}
		Check(tb, s.Root())
		if err := goleak.Find(before); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// Check reports everything in the store at root that should not be there when nobody uses it any more. It first removes
// what dead processes left, partial blobs too, as gc would.
func Check(tb testing.TB, root string) {
	tb.Helper()
	s, err := blobstore.Open(root, blobstore.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Errorf("open the store: %v", err)
		return
	}
	for _, check := range []func(*blobstore.Store) error{checkBlobs, checkLeases, checkIngests, checkTrash, checkNames} {
		if err := check(s); err != nil {
			tb.Error(err)
		}
	}
}

// checkBlobs looks at the files themselves: Store.Stat would mend a mode.
func checkBlobs(s *blobstore.Store) error {
	names, err := os.ReadDir(s.Dir("blobs"))
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range names {
		if e.Name() != "sha256" {
			errs = append(errs, fmt.Errorf("in blobs/: %s", e.Name()))
		}
	}
	foreign, err := s.Foreign()
	errs = append(errs, err)
	for _, path := range foreign {
		errs = append(errs, fmt.Errorf("among the blobs: %s", path))
	}
	for d, err := range s.All() {
		k, parseErr := key.Parse(d)
		if err = errors.Join(err, parseErr); err == nil {
			err = checkBlob(k.In(s.Dir("blobs/sha256")), k)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func checkBlob(path string, want key.Key) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != want.Hex() {
		return fmt.Errorf("blob %s has the bytes of %s", want.Hex(), got)
	}
	if info.Mode() != 0o444 {
		return fmt.Errorf("blob %s has mode %v", want.Hex(), info.Mode())
	}
	return nil
}

// checkLeases wants none: Held removes those of dead processes.
func checkLeases(s *blobstore.Store) error {
	held, err := s.Held()
	return errors.Join(err, checkEmpty(s.Dir("leases"), fmt.Sprintf("a lease was not released (%d digests are held)", len(held))))
}

// checkIngests wants none of a living process.
func checkIngests(s *blobstore.Store) error {
	_, err := s.ReapIngests(0)
	return errors.Join(err, checkEmpty(s.Dir("ingest"), "an ingest was not closed"))
}

func checkEmpty(dir, problem string) error {
	entries, err := os.ReadDir(dir)
	errs := []error{err}
	for _, e := range entries {
		errs = append(errs, fmt.Errorf("%s: %s", problem, filepath.Join(dir, e.Name())))
	}
	return errors.Join(errs...)
}

// checkTrash wants no blob there. What was moved out of a blob's place because it was none may stay.
func checkTrash(s *blobstore.Store) error {
	trashed, err := s.Trashed()
	errs := []error{err}
	for _, t := range trashed {
		errs = append(errs, fmt.Errorf("a sweep left %s in the trash", t.Digest()))
	}
	return errors.Join(errs...)
}

// checkNames wants no file of an unfinished write, in any folder.
func checkNames(s *blobstore.Store) error {
	var errs []error
	err := filepath.WalkDir(s.Root(), func(path string, e fs.DirEntry, err error) error {
		if err == nil && (durable.IsTemp(e.Name()) || strings.HasPrefix(e.Name(), ".new-")) {
			errs = append(errs, fmt.Errorf("an unfinished write: %s", path))
		}
		return err
	})
	return errors.Join(append(errs, err)...)
}
