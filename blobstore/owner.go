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

// claim takes what o left at path, a file on which o holds a shared lock for as long as it lives. ok is true when o
// is dead for certain: then the caller holds the exclusive lock until it calls unlock. lastSeen is when o was last
// known to live; it decides where the lock cannot.
func (s *Store) claim(o owner, path string, lastSeen time.Time) (unlock func() error, ok bool, err error) {
	me := self()
	sameKernel := o.Boot == me.Boot && (o.Boot != "" || o.Host == me.Host)
	if !s.format.Locks || !sameKernel {
		if time.Since(lastSeen) < deadAfter {
			return nil, false, nil
		}
	}
	unlock, ok, err = flock.TryLockSame(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil // its owner, or another heir, was faster
	}
	return unlock, ok, err
}
