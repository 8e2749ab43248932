package mstore_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mstore/mstore"
)

func TestFoldersThatAreNoStore(t *testing.T) {
	unix := runtime.GOOS != "windows"
	for name, c := range map[string]struct {
		make func(t *testing.T, dir string)
		unix bool
	}{
		"a file": {func(t *testing.T, dir string) { try(t, os.WriteFile(dir, nil, 0o600)) }, false},
		"below a file": {func(t *testing.T, dir string) {
			try(t, os.WriteFile(filepath.Dir(dir)+"/x", nil, 0o600), os.Symlink("x/y", dir))
		}, true},
		"foreign files": {func(t *testing.T, dir string) {
			try(t, os.Mkdir(dir, 0o700), os.WriteFile(dir+"/notes.txt", nil, 0o600))
		}, false},
		"newer":           {newer, false},
		"a damaged store": {func(t *testing.T, dir string) { spoil(t, dir, "{") }, false},
		"open to all":     {func(t *testing.T, dir string) { try(t, os.Mkdir(dir, 0o777), os.Chmod(dir, 0o777)) }, true},
		"open to all, and a store": {func(t *testing.T, dir string) {
			try(t, openStore(t, dir).Close(), os.Chmod(dir, 0o757))
		}, true},
		"somebody else's": {func(t *testing.T, dir string) {
			if os.Getuid() != 0 {
				t.Skip("only root can give a folder away")
			}
			try(t, os.Mkdir(dir, 0o700), os.Chown(dir, nobody, nobody))
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if c.unix && !unix {
				t.Skip("modes and owners are Unix's")
			}
			dir := filepath.Join(t.TempDir(), "store")
			c.make(t, dir)
			before, _ := os.ReadDir(dir)
			s, err := mstore.Open(dir, quiet())
			if err == nil {
				t.Error(s.Close())
			}
			wantFailure(t, "Open", err, mstore.ErrStorage)
			if err != nil && !strings.Contains(err.Error(), dir) {
				t.Errorf("the error does not say where: %v", err)
			}
			after, _ := os.ReadDir(dir)
			if len(before) != len(after) {
				t.Errorf("the folder changed: %v, then %v", before, after)
			}
		})
	}
}

// nobody is a user who owns nothing.
const nobody = 65534

func newer(t *testing.T, dir string) {
	t.Helper()
	spoil(t, dir, `{"version":99}`)
}

// spoil makes a store and replaces what it says of its format.
func spoil(t *testing.T, dir, format string) {
	t.Helper()
	s, err := mstore.Open(dir, quiet())
	try(t, err, s.Close(), os.Chmod(dir+"/store.json", 0o600), os.WriteFile(dir+"/store.json", []byte(format), 0o600))
}

func TestDefaultDir(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", filepath.FromSlash("/cache"))
	dir, err := mstore.DefaultDir()
	if err != nil || filepath.Base(dir) != "mstore" || !filepath.IsAbs(dir) {
		t.Errorf("DefaultDir = %q, %v", dir, err)
	}
}

func TestOpenMakesItsFoldersAndSaysWhere(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	try(t, err)
	s := openStore(t, filepath.Join("some", "where"))
	if want := filepath.Join(here, "some", "where"); s.Dir() != want {
		t.Errorf("Dir = %q, want %q", s.Dir(), want)
	}
	all, err := s.List(t.Context())
	if err != nil || len(all) != 0 {
		t.Errorf("List = %v, %v", all, err)
	}
}
