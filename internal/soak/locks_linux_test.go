package soak_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// TestSoakWithoutLocks is TestSoak where flock does nothing: each process runs under strace, which answers every flock
// with success and does not pass it on. The store finds that out when it is made. Between two looks at it a day passes,
// so that its long periods of grace end; in a day of its own nothing may be lost.
func TestSoakWithoutLocks(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed: locks cannot be made to do nothing here (CI installs it)")
	}
	s := prepared(t)
	s.prepare = func(cmd *exec.Cmd) {
		cmd.Args = append([]string{strace, "-f", "-qq", "--seccomp-bpf", "-o", os.DevNull, "-e", "inject=flock:retval=0", cmd.Path}, cmd.Args[1:]...)
		cmd.Path = strace
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	}
	s.kill = func(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	s.agesBetweenChecks = true
	s.makeModels()
	raw, err := os.ReadFile(filepath.Join(s.store, "store.json"))
	s.must(err)
	if string(raw) != `{"version":1,"locks":false}`+"\n" {
		t.Fatalf("store.json says %s", raw)
	}
	s.run(rounds(t) / 3)
}
