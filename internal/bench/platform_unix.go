//go:build unix

package main

import (
	"os"
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
