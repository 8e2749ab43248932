package blobstore

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/mstore/mstore/internal/flock"
)

const (
	// heartbeat is how often a living lease touches its file, for processes that cannot see its lock.
	heartbeat = time.Minute
	// deadAfter is how old the last touch must be before a process on another machine (or another boot, or with locks
	// that do nothing) takes the owner for dead. Long: a suspended laptop or a stalled NFS must not lose a blob.
	deadAfter = time.Hour
)

// owner says which process a lease or an ingest belongs to. A flock is seen by the processes of one kernel only; the
// owner tells whether that is the same kernel.
type owner struct {
	Host string `json:"host"`
	Boot string `json:"boot,omitempty"` // empty where the system does not tell
	PID  int    `json:"pid"`
}

func self() owner {
	host, _ := os.Hostname()
	return owner{Host: host + systemID("/etc/machine-id"), Boot: systemID("/proc/sys/kernel/random/boot_id"), PID: os.Getpid()}
}

// systemID is "/" and the content of a file in which the system says who it is, or nothing where there is none.
func systemID(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return "/" + strings.TrimSpace(string(raw))
}

func (o owner) line() ([]byte, error) {
	raw, err := json.Marshal(o)
	return append(raw, '\n'), err
}

// parseOwner reads the first line of a lease or an owner file. What cannot be read is an owner of no known machine.
func parseOwner(raw []byte) owner {
	line, _, _ := strings.Cut(string(raw), "\n")
	var o owner
	if json.Unmarshal([]byte(line), &o) != nil {
		return owner{}
	}
	return o
}

// sameKernel tells whether the kernel that runs o, or ran it, is the one that runs us.
func (o owner) sameKernel() bool {
	me := self()
	return o.Boot == me.Boot && (o.Boot != "" || o.Host == me.Host)
}

// rebooted tells whether the machine of o is ours, started anew since.
func (o owner) rebooted() bool {
	me := self()
	return o.Host == me.Host && o.Boot != "" && me.Boot != "" && o.Boot != me.Boot
}

// fate is what became of an owner, as far as it is known.
type fate int

const (
	alive  fate = iota // or not heard from for too short a time to tell
	silent             // not heard from for deadAfter. It may be asleep, and write on when it wakes
	dead               // for certain; what it did not sync may have gone with its machine
)

// claim takes what o left at path, a file on which o holds a shared lock for as long as it lives. Unless o is alive the
// caller then holds the exclusive lock until it calls unlock. lastSeen is when o was last known to live; it decides
// where the lock cannot.
func (s *Store) claim(o owner, path string, lastSeen time.Time) (unlock func() error, f fate, err error) {
	f = silent
	switch {
	case s.format.Locks && o.sameKernel():
		f = dead
	case time.Since(lastSeen) < deadAfter:
		return nil, alive, nil
	}
	unlock, ok, err := flock.TryLockSame(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, alive, nil // its owner, or another heir, was faster
	}
	if err != nil || !ok {
		return nil, alive, err
	}
	return unlock, f, nil
}
