//go:build failpoints && unix

package durable

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// In this build the system calls of the process that change the disk are steps, numbered from 1 in the order in which
// they begin, and two variables of the environment say what becomes of them:
//
//	MSTORE_FAILPOINT=<what>:<k>   what happens at step k
//	MSTORE_FAILPOINT_LOG=<file>   a line is appended to the file for each step before it: its number, its name, the path
//
// What happens is one of
//
//	kill-before, kill-after       the process dies by SIGKILL before the call, or when it has returned
//	ENOSPC, EIO, EMFILE, EDQUOT   the call is not made and fails with this
//	short                         half is written, and the call fails with ENOSPC; no write: nothing happens
//	lie                           half is written, and the call says that all was; no write: nothing happens
const (
	failpointVariable = "MSTORE_FAILPOINT"
	failpointLog      = "MSTORE_FAILPOINT_LOG"
)

// steps is what the environment says, read once.
var steps = sync.OnceValue(readEnvironment)

type plan struct {
	what string
	at   int
	log  *os.File

	mu   sync.Mutex
	last int
}

func readEnvironment() *plan {
	p := &plan{}
	what, at, ok := strings.Cut(os.Getenv(failpointVariable), ":")
	if n, err := strconv.Atoi(at); ok && err == nil {
		p.what, p.at = what, n
	}
	if path := os.Getenv(failpointLog); path != "" {
		log, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			panic(err)
		}
		p.log = log
	}
	return p
}

// next begins a step, and is what is to happen at it; empty: what always does.
func (p *plan) next(name, path string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	if p.log != nil {
		_, _ = fmt.Fprintf(p.log, "%d %s %s\n", p.last, name, path)
	}
	if p.last != p.at {
		return ""
	}
	return p.what
}

// errnos are the errors of calls that are not made.
var errnos = map[string]syscall.Errno{
	"ENOSPC": syscall.ENOSPC, "EIO": syscall.EIO, "EMFILE": syscall.EMFILE, "EDQUOT": syscall.EDQUOT,
}

func die() {
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {} // the signal may take a moment
}

func step(name, path string, call func() error) error {
	what := steps().next(name, path)
	if what == "kill-before" {
		die()
	}
	if errno, ok := errnos[what]; ok {
		return &fs.PathError{Op: name, Path: path, Err: errno}
	}
	err := call()
	if what == "kill-after" {
		die()
	}
	return err
}

func writing(name, path string, p []byte, call func(p []byte) (int, error)) (n int, err error) {
	what := steps().next(name, path)
	if what == "kill-before" {
		die()
	}
	if errno, ok := errnos[what]; ok {
		return 0, &fs.PathError{Op: name, Path: path, Err: errno}
	}
	if what != "short" && what != "lie" {
		n, err = call(p)
		if what == "kill-after" {
			die()
		}
		return n, err
	}
	n, err = call(p[:len(p)/2])
	switch {
	case err != nil:
		return n, err
	case what == "lie":
		return len(p), nil
	}
	return n, &fs.PathError{Op: name, Path: path, Err: syscall.ENOSPC}
}

// Writer is f, with each Write a step.
func Writer(f *os.File) io.Writer { return writer{f} }

type writer struct{ f *os.File }

func (w writer) Write(p []byte) (int, error) { return Write(w.f, p) }
