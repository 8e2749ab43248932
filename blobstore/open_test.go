package blobstore_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/blobstore/storetest"
)

func TestOpenMakesAnOCILayout(t *testing.T) {
	root := filepath.Join(t.TempDir(), "not", "there", "yet")
	s := open(t, root, quiet)
	for name, want := range map[string]string{
		"oci-layout": `{"imageLayoutVersion":"1.0.0"}` + "\n",
		"index.json": `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}` + "\n",
		"store.json": `{"version":1,"locks":true}` + "\n",
	} {
		if got, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v", name, got, err)
		}
	}
	if s.Root() != root || s.Doubtful() {
		t.Errorf("Root = %q, Doubtful = %v", s.Root(), s.Doubtful())
	}
	before := tree(t, root)
	open(t, root, quiet)
	if after := tree(t, root); !slices.Equal(before, after) {
		t.Errorf("Open of a store that is there wrote something: %q", after)
	}
	storetest.Check(t, root)
}

func TestOpenOfWhatIsNoStore(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  error
	}{
		"a file":                     {map[string]string{"": "I am a file"}, blobstore.ErrNotStore},
		"other files":                {map[string]string{"notes.txt": "x"}, blobstore.ErrNotStore},
		"other files in our folders": {map[string]string{"tags/notes.txt": "x"}, blobstore.ErrNotStore},
		"another tool's layout": {map[string]string{
			"oci-layout": `{"imageLayoutVersion":"1.0.0"}` + "\n", "index.json": `{"manifests":[{}]}`,
		}, blobstore.ErrNotStore},
		"another tool's blobs": {map[string]string{"blobs/sha256/" + strings.Repeat("a", 64): "x"}, blobstore.ErrNotStore},
		"a newer store":        {map[string]string{"store.json": `{"version":2,"locks":true,"more":[1]}`}, blobstore.ErrNewer},
		"no version":           {map[string]string{"store.json": `{}`}, blobstore.ErrNotStore},
		"no JSON":              {map[string]string{"store.json": `version 1`}, blobstore.ErrNotStore},
		"nothing in it":        {map[string]string{"store.json": ``}, blobstore.ErrNotStore},
		"a folder":             {map[string]string{"store.json/x": ``}, blobstore.ErrNotStore},
	} {
		root := filepath.Join(t.TempDir(), "root")
		for path, text := range c.files {
			path = filepath.Join(root, path)
			try(t, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644))
		}
		before := tree(t, root)
		_, err := blobstore.Open(root, quiet)
		wantErr(t, name, err, c.want)
		if after := tree(t, root); !slices.Equal(before, after) {
			t.Errorf("%s: Open wrote something: %q", name, after)
		}
	}
	_, err := blobstore.Open("/dev/null/store", quiet)
	if err == nil || errors.Is(err, blobstore.ErrNotStore) {
		t.Errorf("Open below a file = %v", err)
	}
}

func TestOpenEndsAnInterruptedCreation(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "whole")
	open(t, whole, quiet)
	for _, left := range []string{"", "blobs", "blobs/sha256", "tags", "locks/probe", "oci-layout", "index.json"} {
		root := filepath.Join(t.TempDir(), "root")
		try(t, os.Mkdir(root, 0o755))
		if raw, err := os.ReadFile(filepath.Join(whole, left)); err == nil {
			try(t, os.MkdirAll(filepath.Dir(filepath.Join(root, left)), 0o755), os.WriteFile(filepath.Join(root, left), raw, 0o644))
		} else {
			try(t, os.MkdirAll(filepath.Join(root, left), 0o755))
		}
		try(t, os.WriteFile(filepath.Join(root, ".tmp-123"), []byte("{"), 0o600))
		put(t, open(t, root, quiet), []byte("x"))
		try(t, os.Remove(filepath.Join(root, ".tmp-123")))
		storetest.Check(t, root)
	}
}

func TestManyProcessesMakeOneStore(t *testing.T) {
	for range 3 {
		root := filepath.Join(t.TempDir(), "root")
		var all sync.WaitGroup
		for range 8 {
			c := start(t, "open", root)
			all.Go(func() {
				if out, err := c.result(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			})
		}
		all.Wait()
		storetest.Check(t, root)
	}
}

// withoutLocks makes the store one on a file system where locks do nothing.
func withoutLocks(t *testing.T, root string) {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"version": 1, "locks": false})
	try(t, err, os.WriteFile(filepath.Join(root, "store.json"), raw, 0o644))
}
