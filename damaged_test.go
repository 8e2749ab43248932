package mstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/mstore/mstore"
)

// TestAStoreThatLostAFolder: without tags/ nothing would be needed, and a collection would remove everything. What is
// empty at rest is made again.
func TestAStoreThatLostAFolder(t *testing.T) {
	for folder, lost := range map[string]bool{
		"tags": true, "pins": true, "blobs/sha256": true,
		"leases": false, "ingest": false, "trash": false, "locks": false, "views": false, "quarantine": false,
	} {
		t.Run(folder, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			s, err := mstore.Open(dir, mstore.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Import(t.Context(), []string{"testdata/tiny-llama"}, "m:v1", mstore.ImportOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(s.Close(), os.RemoveAll(filepath.Join(dir, folder))); err != nil {
				t.Fatal(err)
			}
			s, err = mstore.Open(dir, mstore.Options{})
			if lost {
				if !errors.Is(err, mstore.ErrStorage) || mstore.Hint(err) == "" {
					t.Fatalf("Open = %v, hint %q; want a refusal of class storage with a hint", err, mstore.Hint(err))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			_, gcErr := s.GC(t.Context(), mstore.GCOptions{})
			_, useErr := s.Path(t.Context(), "m:v1", "")
			_, verifyErr := s.Verify(t.Context(), mstore.VerifyOptions{})
			if err := errors.Join(gcErr, useErr, verifyErr, s.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTheStoreIsNoPlaceToExportToOrImportFrom(t *testing.T) {
	s := newStore(t)
	if _, err := s.Import(t.Context(), []string{"testdata/tiny-llama"}, "m:v1", mstore.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(s.Dir(), link); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{s.Dir(), filepath.Join(s.Dir(), "tags"), filepath.Join(link, "new", "folder")} {
		if _, err := s.Export(t.Context(), "m:v1", dir, mstore.ExportOptions{}); !errors.Is(err, mstore.ErrUsage) {
			t.Errorf("Export to %s = %v, want usage", dir, err)
		}
	}
	for _, path := range []string{s.Dir(), link, filepath.Join(link, "blobs")} {
		if _, err := s.Import(t.Context(), []string{path}, "self", mstore.ImportOptions{}); !errors.Is(err, mstore.ErrUsage) {
			t.Errorf("Import of %s = %v, want usage", path, err)
		}
	}
}
