package mstore_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/mstore/mstore"
)

// loop is a child that does something over and over.
type loop struct {
	*child
	stdin io.Closer
}

func startLoop(t *testing.T, role string, dir string) loop {
	t.Helper()
	c := newChild(t, role, roleArgs{Dir: dir})
	stdin, err := c.cmd.StdinPipe()
	try(t, err)
	c.start()
	return loop{c, stdin}
}

// end stops the loop and wants it to have done something, and nothing to have gone wrong.
func (l loop) end(t *testing.T, role string) {
	t.Helper()
	_ = l.stdin.Close()
	var rounds int
	if err := l.wait(&rounds); err != nil || rounds == 0 {
		t.Errorf("%s: %d rounds, %v", role, rounds, err)
	}
}

// TestPullsBesideCollectors pulls, while two processes drop everything and collect, one deletes tags, and one reads
// what it can get. Nobody may see anything but models that are whole, and models that are gone.
func TestPullsBesideCollectors(t *testing.T) {
	var refs []string
	var want []string
	for i := range 4 {
		ref := fmt.Sprintf("%s:v%d", repo(t), i)
		want = append(want, publish(t, small(t, byte(i)), ref).Digest.String())
		refs = append(refs, ref)
	}
	s := newStore(t)
	loops := []string{"collect", "collect", "remove", "use"}
	var running []loop
	for _, role := range loops {
		running = append(running, startLoop(t, role, s.Dir()))
	}
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		for i, ref := range refs {
			p, err := s.Pull(t.Context(), ref, mstore.PullOptions{})
			if err != nil || p.Digest.String() != want[i] {
				t.Fatalf("round %d: Pull of %s = %v", round, ref, err)
			}
		}
	}
	for i, l := range running {
		l.end(t, loops[i])
	}
	for i, ref := range refs {
		pull(t, s, ref, mstore.PullOptions{})
		wantExport(t, s, ref, small(t, byte(i)))
	}
	_, err := s.Verify(t.Context(), mstore.VerifyOptions{})
	try(t, err)
}
