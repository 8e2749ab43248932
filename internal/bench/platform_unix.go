//go:build unix

package main

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// syncDisks lets one contender not pay for what another wrote.
func syncDisks() { unix.Sync() }

// peakMemory is the most memory that an ended process had resident, in bytes.
func peakMemory(state *os.ProcessState) int64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	switch {
	case !ok:
		return 0
	case runtime.GOOS == "darwin": // bytes there, KiB elsewhere
		return usage.Maxrss
	}
	return usage.Maxrss << 10
}

// group puts a command and all that it starts into one group, which ends as one.
func group(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// freeBytes is how much room there is in a folder.
func freeBytes(dir string) (int64, error) {
	var s unix.Statfs_t
	err := unix.Statfs(dir, &s)
	return int64(s.Bavail) * int64(s.Bsize), err //nolint:unconvert // on some platforms it is no int64
}
