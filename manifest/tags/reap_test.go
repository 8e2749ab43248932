package tags_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mstore/mstore/manifest/tags"
)

func TestReapRemovesWhatKilledWritersLeft(t *testing.T) {
	root := t.TempDir()
	names, err := tags.Open(root, tags.Options{})
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * time.Hour)
	var gone, stay []string
	for _, dir := range []string{"tags", "pins", "."} {
		dead, young := filepath.Join(root, dir, ".tmp-1"), filepath.Join(root, dir, ".tmp-2")
		for _, path := range []string{dead, young} {
			if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(dead, old, old); err != nil {
			t.Fatal(err)
		}
		gone, stay = append(gone, dead), append(stay, young, filepath.Join(root, "index.json"))
	}
	if err := names.Reap(time.Hour); err != nil {
		t.Fatal(err)
	}
	for _, path := range gone {
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("%s is there still: %v", path, err)
		}
	}
	for _, path := range stay {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
}
