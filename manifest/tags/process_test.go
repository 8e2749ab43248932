package tags_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/mstore/mstore/manifest/tags"
)

const (
	processes = 8
	rounds    = 50
)

// churn sets tags of this process and deletes every third again, beside one tag that all processes set.
func churn(ts *tags.Tags, id int) error {
	ctx := context.Background()
	for i := range rounds {
		name := fmt.Sprintf("Org/p%d:%d", id, i)
		if err := ts.Set(ctx, tag(name, name), tag("all", name)); err != nil {
			return err
		}
		if i%3 == 0 {
			if err := ts.Delete(ctx, name, tag(name, name).Descriptor.Digest); err != nil {
				return err
			}
		}
		if err := ts.Delete(ctx, "all", ""); err != nil && !errors.Is(err, tags.ErrNotFound) {
			return err
		}
		if _, err := ts.List(); err != nil { // what others do meanwhile is never half done
			return err
		}
	}
	return ts.Set(ctx, tag("all", fmt.Sprint(id)))
}

func TestManyProcesses(t *testing.T) {
	ts, root := open(t)
	var children []*exec.Cmd
	for id := range processes {
		cmd := start(t, "churn", root, strconv.Itoa(id))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		children = append(children, cmd)
	}
	for id, cmd := range children {
		if err := cmd.Wait(); err != nil {
			t.Errorf("process %d: %v", id, err)
		}
	}
	if err := ts.CheckIndex(); err != nil {
		t.Error(err)
	}
	list, err := ts.List()
	if want := processes*(rounds-(rounds+2)/3) + 1; err != nil || len(list) != want {
		t.Errorf("%d tags, %v; want %d", len(list), err, want)
	}
	index := readIndex(t, root)
	if len(index.Manifests) != len(list) {
		t.Errorf("%d entries for %d tags", len(index.Manifests), len(list))
	}
	wantNoTemp(t, root)
}

// writeUntilKilled says that it is ready, and then writes as fast as it can.
func writeUntilKilled(ts *tags.Tags, id int) error {
	fmt.Println("ready")
	for i := 0; ; i++ {
		name := fmt.Sprintf("k%d:%d", id, i%5)
		if err := ts.Set(context.Background(), tag(name, fmt.Sprint(i)), tag("all", fmt.Sprint(i))); err != nil {
			return err
		}
		if err := errors.Join(ts.Pin(name), ts.Delete(context.Background(), name, "")); err != nil {
			return err
		}
	}
}

// TestKilledWriters: a writer that is killed anywhere leaves whole tags, no lock, and nothing that stops the others.
func TestKilledWriters(t *testing.T) {
	ts, root := open(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for id := range 20 {
		cmd := start(t, "write", root, strconv.Itoa(id))
		ready(t, cmd)
		for range rng.IntN(20) { // time passes while work is done here, without a clock
			set(t, ts, tag("mine", fmt.Sprint(rng.Uint64())))
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if _, err := ts.List(); err != nil {
			t.Fatalf("after kill %d: %v", id, err)
		}
		set(t, ts, tag("all", "after"))
		if err := ts.CheckIndex(); err != nil {
			t.Fatalf("after kill %d: %v", id, err)
		}
	}
}

// TestGoroutines is TestManyProcesses within one.
func TestGoroutines(t *testing.T) {
	ts, _ := open(t)
	done := make(chan error)
	for id := range processes {
		go func() {
			for i := range 10 {
				if err := ts.Set(context.Background(), tag("all", fmt.Sprint(id, i)), tag(fmt.Sprint("g", id), "x")); err != nil {
					done <- err
					return
				}
				if err := errors.Join(ts.Touch("all"), ts.Pin("all"), ts.Unpin("all")); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range processes {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if err := ts.CheckIndex(); err != nil {
		t.Error(err)
	}
	if list, err := ts.List(); err != nil || len(list) != processes+1 {
		t.Errorf("%v, %v", list, err)
	}
}

func wantNoTemp(t *testing.T, root string) {
	t.Helper()
	temp, err := filepath.Glob(filepath.Join(root, "*", ".tmp-*"))
	if err != nil || len(temp) > 0 {
		t.Errorf("left behind: %v, %v", temp, err)
	}
}
