package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	main "github.com/mstore/mstore/internal/demo"
	"github.com/mstore/mstore/internal/registrytest"
)

const model = "../../testdata/tiny-llama"

// TestTheDemo runs it, on the command built here.
func TestTheDemo(t *testing.T) {
	mstore := filepath.Join(t.TempDir(), "mstore")
	if runtime.GOOS == "windows" {
		mstore += ".exe"
	}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", mstore, "../../cmd/mstore").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	temp := inFreshTemp(t)
	var said strings.Builder
	if err := main.Run(t.Context(), &said, mstore, registrytest.Tool(t, "registry"), model); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	if !strings.HasSuffix(said.String(), "went as said.\n") {
		t.Errorf("the demo ends with other words:\n%s", said.String())
	}
	wantEmpty(t, temp)
}

// TestTheDemoBelievesNobody gives it a command that does nothing and says that all is well.
func TestTheDemoBelievesNobody(t *testing.T) {
	liar, err := exec.LookPath("true")
	if err != nil {
		t.Skip("there is no command that does nothing")
	}
	temp := inFreshTemp(t)
	var said strings.Builder
	if err := main.Run(t.Context(), &said, liar, registrytest.Tool(t, "registry"), model); err == nil {
		t.Errorf("the demo went well without mstore:\n%s", said.String())
	}
	wantEmpty(t, temp)
}

func TestSameTree(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(dir string) error
		same   bool
	}{
		"same":    {func(string) error { return nil }, true},
		"changed": {func(dir string) error { return os.WriteFile(filepath.Join(dir, "sub", "b"), []byte("B"), 0o600) }, false},
		"missing": {func(dir string) error { return os.Remove(filepath.Join(dir, "a")) }, false},
		"more":    {func(dir string) error { return os.WriteFile(filepath.Join(dir, "c"), nil, 0o600) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			one, two := t.TempDir(), t.TempDir()
			for _, dir := range []string{one, two} {
				fill(t, dir)
			}
			if err := tc.change(two); err != nil {
				t.Fatal(err)
			}
			for _, err := range []error{second(main.SameTree(one, two)), second(main.SameTree(two, one))} {
				if (err == nil) != tc.same {
					t.Errorf("SameTree = %v", err)
				}
			}
		})
	}
}

func second(_ int, err error) error { return err }

func fill(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"a": "", "sub/b": "b"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// inFreshTemp makes an empty folder the one for temporary files.
func inFreshTemp(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} {
		t.Setenv(name, dir)
	}
	return dir
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("the demo left %v, %v", left, err)
	}
}
