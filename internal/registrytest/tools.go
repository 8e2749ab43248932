package registrytest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/internal/flock"
)

// Tool is the path of a foreign program: "registry", "oras" or "crane". It is built when it is not there: one process
// does it, the others wait.
func Tool(tb testing.TB, name string) string {
	tb.Helper()
	root, err := moduleRoot()
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(root, ".tools", "bin", name)
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if err := build(context.Background(), root, path); err != nil {
		tb.Fatalf("build %s (make tools does it too): %v", name, err)
	}
	return path
}

// build builds every program of tools/peers and moves each to its place, so that none is ever seen half written.
func build(ctx context.Context, root, want string) error {
	bin := filepath.Join(root, ".tools", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	unlock, err := flock.Lock(ctx, filepath.Join(root, ".tools", "lock"))
	if err != nil {
		return err
	}
	defer func() { _ = unlock() }()
	if _, err := os.Stat(want); err == nil {
		return nil
	}
	dir, err := os.MkdirTemp(filepath.Dir(bin), "build-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	cmd := exec.CommandContext(ctx, "go", "build", "-C", filepath.Join(root, "tools", "peers"),
		"-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", dir+string(filepath.Separator), "tool")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=", "GOARCH=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	built, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range built {
		if err := durable.Move(filepath.Join(dir, entry.Name()), filepath.Join(bin, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// moduleRoot is the folder above the test's that has tools/peers.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "tools", "peers", "go.mod")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("%s lies in no folder with tools/peers", dir)
		}
	}
}
