package gc_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/gc"
	"github.com/mstore/mstore/manifest/tags"
)

// programs are what this test binary is when it is its own child.
var programs = map[string]func(s *blobstore.Store, t *tags.Tags, seed uint64) error{
	"collect and die": collectAndDie,
	"collect":         keepCollecting,
	"pull":            keepPulling,
	"read":            keepReading,
	"use":             keepUsing,
}

// The environment of a child.
const (
	childProgram = "GC_TEST_PROGRAM"
	childStore   = "GC_TEST_STORE"
	childMoment  = "GC_TEST_MOMENT" // where it dies
	childSeed    = "GC_TEST_SEED"
)

func TestMain(m *testing.M) {
	name := os.Getenv(childProgram)
	if name == "" {
		os.Exit(m.Run())
	}
	if err := runChild(name); err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
}

func runChild(name string) error {
	store, err := blobstore.Open(os.Getenv(childStore), blobstore.Options{})
	if err != nil {
		return err
	}
	names, err := tags.Open(store.Root(), tags.Options{})
	if err != nil {
		return err
	}
	var seed uint64
	if _, err := fmt.Sscan(os.Getenv(childSeed), &seed); err != nil {
		return err
	}
	return programs[name](store, names, seed)
}

// child is a process over the store of w, running a program.
type child struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
}

func (w *world) start(ctx context.Context, program, moment string, seed uint64) *child {
	w.Helper()
	c := &child{cmd: exec.CommandContext(ctx, os.Args[0])}
	c.cmd.Env = append(os.Environ(), childProgram+"="+program, childStore+"="+w.store.Root(),
		childMoment+"="+moment, childSeed+"="+fmt.Sprint(seed))
	c.cmd.Stderr = &c.stderr
	w.must(c.cmd.Start())
	return c
}

// wait waits for the end, and fails unless the child was killed.
func (c *child) wait(t *testing.T) {
	t.Helper()
	if err := c.cmd.Wait(); err == nil || c.stderr.Len() > 0 {
		t.Errorf("child: %v %s", err, c.stderr.String())
	}
}

// collectAndDie is one collection that is killed at a moment.
func collectAndDie(s *blobstore.Store, t *tags.Tags, _ uint64) error {
	c := &gc.Collector{Store: s, Tags: t, Views: noViews{}}
	moment, nth, _ := strings.Cut(os.Getenv(childMoment), " ")
	var left int
	if _, err := fmt.Sscan(nth, &left); err != nil {
		return err
	}
	gc.At(c, func(m string) {
		if m != moment {
			return
		}
		if left--; left == 0 {
			dieNow()
		}
	})
	list, err := t.List()
	if err != nil {
		return err
	}
	var drop []tags.Tag
	for _, tag := range list {
		if strings.HasPrefix(tag.Name, "drop") {
			drop = append(drop, tag)
		}
	}
	plan, err := c.Plan(context.Background(), drop)
	if err == nil {
		_, err = c.Run(context.Background(), plan)
	}
	return err
}

// dieNow kills this process as nothing can catch.
func dieNow() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(err)
	}
	<-time.After(time.Minute) // the signal is under way
}

// TestTheNextCollectorFinishesForAKilledOne kills a collector at each of its moments.
func TestTheNextCollectorFinishesForAKilledOne(t *testing.T) {
	for _, moment := range []string{
		gc.Read + " 1", gc.Dropped + " 1", gc.Read + " 2", gc.Marked + " 1", gc.Moved + " 1", gc.Read + " 3",
		gc.Decided + " 1", gc.Settled + " 1", gc.Viewed + " 1",
	} {
		t.Run(moment, func(t *testing.T) {
			w := newWorld(t)
			stays := garbageAndAModel(w)
			w.lease(w.blob("held").Digest)
			dropped := w.tag("drop", w.manifest(w.blob("g")))
			w.start(t.Context(), "collect and die", moment, 0).wait(t)
			if _, err := w.store.ReadAll(stays[1].Digest, 1<<20); err != nil {
				t.Errorf("the manifest of the model, after the kill: %v", err)
			}
			w.gc(w.collector(), dropped)
			w.wantHere(append(stays, w.blob("held"))...)
		})
	}
}
