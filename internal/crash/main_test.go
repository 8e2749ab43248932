//go:build unix

// Package crash_test runs mstore, built with the tag failpoints, in children that die or fail at each step that changes
// a store, and lets internal/storecheck judge what they leave; then the same command runs again and must succeed.
//
// A run of `go test` tries a sample of the steps and prints its seed; MSTORE_CRASH=large (make crash) tries all.
package crash_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// mstoreBinary is the command, built once for all tests.
var mstoreBinary string

func TestMain(m *testing.M) {
	code, err := withCommand(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withCommand(run func() int) (code int, err error) {
	dir, err := os.MkdirTemp("", "crash-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	mstoreBinary = filepath.Join(dir, "mstore")
	build := exec.Command("go", "build", "-buildvcs=false", "-tags", "failpoints", "-o", mstoreBinary, "github.com/mstore/mstore/cmd/mstore")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	return run(), nil
}

// large tells whether every step is tried.
func large() bool { return os.Getenv("MSTORE_CRASH") == "large" }

// killed is the code of a child that died by a signal.
const killed = -1

// mstore runs the command on a store; code is its exit code, or killed.
func mstore(t *testing.T, store, variable string, args ...string) (code int, said string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), mstoreBinary, append([]string{"--store", store}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+filepath.Dir(store), variable)
	var both bytes.Buffer
	cmd.Stdout, cmd.Stderr = &both, &both
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), both.String()
}

// must runs a command that has to succeed.
func must(t *testing.T, store string, args ...string) {
	t.Helper()
	if code, said := mstore(t, store, "", args...); code != 0 {
		t.Fatalf("mstore %q: exit code %d: %s", args, code, said)
	}
}
