package blobstore_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
)

// roles are what a child process does with the store at root. What it prints is for the test; an error is its last line.
var roles = map[string]func(ctx context.Context, root string) error{
	"open":   openRole,
	"fill":   fillRole,
	"keeper": keeperRole,
	"one":    oneRole,
	"lease":  leaseRole,
	"exec":   execRole,
	"sweep":  sweepRole,
	"resume": resumeRole,
	"mark":   markRole,
	"secure": secureRole,
	"heir":   heirRole,
	"relay":  relayRole,
	"feed":   feedRole,

	"feed-named": feedNamedRole,
	"wait":       func(context.Context, string) error { return ready("") },
}

func openRole(_ context.Context, root string) error {
	s, err := blobstore.Open(root, quiet)
	if err != nil {
		return err
	}
	return s.Close()
}

// shared is the blob that the children bring in.
func shared() []byte { return content(2<<20, 42) }

// fillRole writes half of the shared blob, and waits to be killed.
func fillRole(ctx context.Context, root string) error {
	l, err := leaseOf(root)
	if err != nil {
		return err
	}
	b := shared()
	in, err := l.Ingest(ctx, want(b))
	if err != nil {
		return err
	}
	if _, err := in.WriteAt(b[:len(b)/2], 0); err != nil {
		return err
	}
	return ready("")
}

// keeperRole commits the shared blob, to be killed before it is one.
func keeperRole(ctx context.Context, root string) error {
	opts := quiet
	opts.Admit = func(context.Context, blobstore.Candidate) error { return ready("") }
	s, err := blobstore.Open(root, opts)
	if err != nil {
		return err
	}
	l, err := s.Lease()
	if err != nil {
		return err
	}
	return bring(ctx, l, shared())
}

// oneRole brings the shared blob in and says whether it did or found it.
func oneRole(ctx context.Context, root string) error {
	l, err := leaseOf(root)
	if err != nil {
		return err
	}
	err = bring(ctx, l, shared())
	switch {
	case errors.Is(err, blobstore.ErrExists):
		fmt.Println("exists")
		err = nil
	case err == nil:
		fmt.Println("wrote")
	}
	return errors.Join(err, l.Release())
}

// leaseRole holds the shared blob, and waits to be killed.
func leaseRole(_ context.Context, root string) error {
	l, err := leaseOf(root)
	if err != nil {
		return err
	}
	if err := l.Hold(digest.FromBytes(shared())); err != nil {
		return err
	}
	return ready("")
}

// sweepRole removes every blob that no lease holds, and what is left of dead processes, and says how many there were.
func sweepRole(_ context.Context, root string) error {
	s, err := blobstore.Open(root, quiet)
	if err != nil {
		return err
	}
	held, err := s.Held()
	n := 0
	for d := range s.All() {
		if _, ok := held[d]; !ok && err == nil {
			var trashed []blobstore.Trashed
			trashed, err = s.Trash(d)
			for _, t := range trashed {
				err = errors.Join(err, errOf(t.Delete()))
			}
			n++
		}
	}
	_, reapErr := s.ReapIngests(0)
	fmt.Println("swept", n)
	return errors.Join(err, reapErr)
}

// resumeRole commits the shared blob without writing any of it.
func resumeRole(ctx context.Context, root string) error {
	l, err := leaseOf(root)
	if err != nil {
		return err
	}
	in, err := l.Ingest(ctx, want(shared()))
	if err != nil {
		return err
	}
	fmt.Println("resumed", in.Resumed())
	_, err = in.Commit(ctx)
	return errors.Join(err, in.Close(), l.Release())
}

func leaseOf(root string) (*blobstore.Lease, error) {
	s, err := blobstore.Open(root, quiet)
	if err != nil {
		return nil, err
	}
	return s.Lease()
}

// ready tells the test that the child is where it is to be killed, and waits for the test to end.
func ready(what string) error {
	fmt.Println("ready", what)
	_, err := io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, errors.New("the child was not killed"))
}

// child is this test binary as another process.
type child struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Reader
	err *bytes.Buffer
}

// start runs a role in a process of its own, which ends with the test at the latest. set may change the command.
func start(tb testing.TB, role, root string, set ...func(*exec.Cmd)) *child {
	tb.Helper()
	c := &child{t: tb, cmd: exec.CommandContext(tb.Context(), os.Args[0]), err: new(bytes.Buffer)}
	c.cmd.Env = append(os.Environ(), "BLOBSTORE_CHILD="+role, "BLOBSTORE_ROOT="+root)
	c.cmd.Stderr = c.err
	for _, f := range set {
		f(c.cmd)
	}
	out, err := c.cmd.StdoutPipe()
	try(tb, err)
	c.in, err = c.cmd.StdinPipe()
	try(tb, err)
	c.out = bufio.NewReader(out)
	try(tb, c.cmd.Start())
	return c
}

// ready waits until the child is ready.
func (c *child) ready() *child {
	c.t.Helper()
	if line, err := c.out.ReadString('\n'); !strings.HasPrefix(line, "ready") {
		c.t.Fatalf("the child said %q, %v: %s", line, err, c.err)
	}
	return c
}

// kill kills the child with SIGKILL and waits until it is dead.
func (c *child) kill() {
	c.t.Helper()
	try(c.t, c.cmd.Process.Kill())
	_ = c.cmd.Wait()
}

// result waits for the end of the child and gives what it printed.
func (c *child) result() (string, error) {
	out, err := io.ReadAll(c.out)
	return strings.TrimSpace(string(out)), errors.Join(err, c.cmd.Wait())
}
