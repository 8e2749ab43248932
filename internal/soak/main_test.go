// Package soak_test lets many processes of the command do everything at once in one store, kills some of them, and has
// the store judged by internal/storecheck: 1,500 rounds in `go test`, as many as MSTORE_SOAK says in `make soak`. A round
// is one command in a process of its own.
package soak_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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
	dir, err := os.MkdirTemp("", "soak-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	mstoreBinary = filepath.Join(dir, "mstore")
	if runtime.GOOS == "windows" {
		mstoreBinary += ".exe"
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", mstoreBinary, "github.com/mstore/mstore/cmd/mstore")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	return run(), nil
}
