package flock_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/mstore/mstore/internal/flock"
)

// TestMain lets the test binary be the other process: it locks the file it is given, says so and waits to be killed.
func TestMain(m *testing.M) {
	path := os.Getenv("FLOCK_TEST_HOLD")
	if path == "" {
		os.Exit(m.Run())
	}
	if _, err := flock.Lock(context.Background(), path); err != nil {
		panic(err)
	}
	_, _ = os.Stdout.WriteString("held\n")
	select {}
}

func holdInChild(t *testing.T, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "FLOCK_TEST_HOLD="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the child said %q: %v", line, err)
	}
	return cmd
}

func TestTheLockOfAKilledProcessIsFree(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	child := holdInChild(t, path)
	if _, ok, err := flock.TryLock(path); ok || err != nil {
		t.Fatalf("TryLock beside a living holder = %v, %v", ok, err)
	}
	got := make(chan error, 1)
	go func() {
		unlock, err := flock.Lock(t.Context(), path)
		if err == nil {
			err = unlock()
		}
		got <- err
	}()
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	if err := <-got; err != nil {
		t.Fatal(err)
	}
}

func TestLockEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := flock.Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unlock() }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := flock.Lock(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Lock in the same process = %v, want the deadline", err)
	}
}

func TestSharedSurvivesARenameAndIsFoundAgain(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	lease, err := flock.Share(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := flock.TryLockSame(to); ok || err != nil {
		t.Fatalf("TryLockSame of a held file = %v, %v", ok, err)
	}
	if err := lease.Release(); err != nil {
		t.Fatal(err)
	}
	unlock, ok, err := flock.TryLockSame(to)
	if !ok || err != nil {
		t.Fatalf("TryLockSame of a free file = %v, %v", ok, err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := flock.TryLockSame(from); ok || !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("TryLockSame of a file that is gone = %v, %v", ok, err)
	}
	if _, err := os.Lstat(from); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("TryLockSame made the file it looked for: %v", err)
	}
}

func TestProbe(t *testing.T) {
	if works, err := flock.Probe(t.TempDir()); !works || err != nil {
		t.Errorf("Probe here = %v, %v; this file system has locks", works, err)
	}
	if works, err := flock.Probe(filepath.Join(t.TempDir(), "gone")); works || err == nil {
		t.Errorf("Probe in no folder = %v, %v", works, err)
	}
}
