package tally_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/mstore/mstore/fetch"
	"github.com/mstore/mstore/fetch/tally"
)

// clocked is a tally whose time only the test moves.
type clocked struct {
	*tally.Tally
	now time.Time
}

func newClocked(models int) *clocked {
	return &clocked{tally.New(models), time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func (c *clocked) tell(all ...fetch.Event) {
	for _, e := range all {
		c.Tell(e, c.now)
	}
}

func (c *clocked) after(d time.Duration) tally.State {
	c.now = c.now.Add(d)
	return c.Sample(c.now)
}

const mb = 1_000_000

func TestReusedBytesAreDoneAndNotSpeed(t *testing.T) {
	c := newClocked(1)
	c.tell(
		fetch.Event{Kind: fetch.Resolved, Size: 1000 * mb, Files: 2},
		fetch.Event{Kind: fetch.Done, Path: "a", Size: 300 * mb, Done: 300 * mb, Reused: 300 * mb},
		fetch.Event{Kind: fetch.Start, Path: "b", Size: 700 * mb, Done: 200 * mb, Reused: 200 * mb},
	)
	s := c.after(0)
	if s.Done != 500*mb || s.Total != 1000*mb || s.Reused != 500*mb || s.Speed != 0 || s.Left >= 0 || s.Finished != 1 {
		t.Errorf("at the start: %+v", s)
	}
	c.tell(fetch.Event{Kind: fetch.Progress, Path: "b", Size: 700 * mb, Done: 300 * mb, Reused: 200 * mb})
	s = c.after(time.Second)
	if s.Done != 600*mb || int(s.Speed+0.5) != 100*mb || s.Left.Round(time.Millisecond) != 4*time.Second || s.Part != 0.6 {
		t.Errorf("after 100 MB in a second: %+v", s)
	}
	if f := s.InFlight[0]; f.Reused != 200*mb || f.Done != 300*mb || f.Moving != time.Second {
		t.Errorf("in flight: %+v", f)
	}
}

func TestNothingRunsBackwards(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 2))
	c := newClocked(3)
	before := c.after(0)
	for i := range 3000 {
		e := fetch.Event{Model: string(rune('x' + i*3/3000)), Path: string(rune('a' + rng.IntN(10))), Size: 1000, Done: rng.Int64N(1001)}
		e.Kind = []fetch.EventKind{fetch.Start, fetch.Progress, fetch.Wait, fetch.Retry, fetch.Done}[rng.IntN(5)]
		e.Reused = rng.Int64N(e.Done + 1)
		if e.Kind == fetch.Start { // as after wrong bytes: from nothing
			e.Done, e.Reused = 0, 0
		}
		if i%1000 == 500 {
			e = fetch.Event{Kind: fetch.Resolved, Model: e.Model, Size: 10_000, Files: 10}
		}
		c.tell(e)
		s := c.after(100 * time.Millisecond)
		if s.Done < before.Done || s.Done > s.Total || s.Speed < 0 || s.Part < before.Part || s.Part > 1 || s.Finished < before.Finished {
			t.Fatalf("seed %d: %+v after %+v", seed, s, before)
		}
		seen := make(map[string]int64)
		for _, f := range before.InFlight {
			seen[f.Model+f.Path] = f.Done
		}
		for _, f := range s.InFlight {
			if f.Done < seen[f.Model+f.Path] {
				t.Fatalf("seed %d: file %+v had %d", seed, f, seen[f.Model+f.Path])
			}
		}
		before = s
	}
}

func TestEventsMayOvertakeEachOther(t *testing.T) {
	c := newClocked(1)
	c.after(0)
	for _, done := range []int64{10, 30, 20, 40, 35} {
		c.tell(fetch.Event{Kind: fetch.Progress, Path: "a", Size: 100, Done: done})
	}
	c.tell(fetch.Event{Kind: fetch.Retry, Path: "a", Size: 100, Done: 15}, fetch.Event{Kind: fetch.Progress, Path: "a", Size: 100, Done: 40})
	if s := c.after(time.Second); s.Done != 40 || int(s.Speed+0.5) != 40 {
		t.Errorf("40 bytes came in a second: %+v", s)
	}
	c.tell(
		fetch.Event{Kind: fetch.Done, Path: "a", Size: 100, Done: 100},
		fetch.Event{Kind: fetch.Progress, Path: "a", Size: 100, Done: 90},
	)
	if s := c.after(time.Second); s.Done != 100 || len(s.InFlight) != 0 || s.Finished != 1 {
		t.Errorf("after the end: %+v", s)
	}
}

// Two models may have files of one path.
func TestModelsAreKeptApart(t *testing.T) {
	c := newClocked(2)
	for _, model := range []string{"x", "y"} {
		c.tell(
			fetch.Event{Kind: fetch.Resolved, Model: model, Size: 100, Files: 1},
			fetch.Event{Kind: fetch.Start, Model: model, Path: "a", Size: 100},
			fetch.Event{Kind: fetch.Progress, Model: model, Path: "a", Size: 100, Done: 50},
		)
	}
	if s := c.after(0); s.Done != 100 || s.Total != 200 || s.Files != 2 || len(s.InFlight) != 2 || s.Models != 2 {
		t.Errorf("%+v", s)
	}
}

// A model that is not known yet counts as one of those that are, and takes nothing back when it turns out larger.
func TestPartOfSeveralModels(t *testing.T) {
	c := newClocked(2)
	c.tell(
		fetch.Event{Kind: fetch.Resolved, Model: "x", Size: 100, Files: 1},
		fetch.Event{Kind: fetch.Done, Model: "x", Path: "a", Size: 100, Done: 100},
	)
	if s := c.after(0); s.Part != 0.5 {
		t.Errorf("one of two is whole: %v", s.Part)
	}
	c.tell(fetch.Event{Kind: fetch.Resolved, Model: "y", Size: 900, Files: 1})
	if s := c.after(0); s.Part != 0.5 || s.Total != 1000 {
		t.Errorf("the other is larger: %+v", s)
	}
	c.tell(fetch.Event{Kind: fetch.Done, Model: "y", Path: "a", Size: 900, Done: 900})
	if s := c.after(0); s.Part != 1 {
		t.Errorf("both are whole: %v", s.Part)
	}
}

// What another process has moves the bar, is called reused in the end, and the bar stays when that process is killed.
func TestWaitingForAnotherProcess(t *testing.T) {
	c := newClocked(1)
	c.tell(
		fetch.Event{Kind: fetch.Resolved, Size: 1000, Files: 1},
		fetch.Event{Kind: fetch.Wait, Path: "a", Size: 1000, Done: 400, Reused: 400},
	)
	c.after(0)
	c.tell(fetch.Event{Kind: fetch.Wait, Path: "a", Size: 1000, Done: 600, Reused: 400})
	s := c.after(time.Second)
	if s.Done != 600 || int(s.Speed+0.5) != 200 || s.Waiting != 1 || !s.InFlight[0].Waiting {
		t.Errorf("while waiting: %+v", s)
	}
	c.tell(fetch.Event{Kind: fetch.Start, Path: "a", Size: 1000, Done: 550, Reused: 550})
	s = c.after(time.Second)
	if f := s.InFlight[0]; s.Done != 600 || !f.TakenOver || f.Waiting || f.Reused != 550 {
		t.Errorf("taken over: %+v", s)
	}
	c.tell(fetch.Event{Kind: fetch.Done, Path: "a", Size: 1000, Done: 1000, Reused: 550})
	if s = c.after(time.Second); s.Done != 1000 || s.Reused != 550 || s.Waiting != 0 {
		t.Errorf("in the end: %+v", s)
	}
}

func TestARetryIsToldForAWhile(t *testing.T) {
	c := newClocked(1)
	reset := errors.New("reset")
	c.tell(
		fetch.Event{Kind: fetch.Start, Path: "a", Size: 100},
		fetch.Event{Kind: fetch.Retry, Path: "a", Size: 100, Attempt: 2, Wait: 3 * time.Second, Err: reset},
		fetch.Event{Kind: fetch.Progress, Path: "a", Size: 100, Done: 10}, // of another connection
	)
	s := c.after(time.Second)
	if f := s.InFlight[0]; !f.Retrying || f.Attempt != 2 || f.Again != 2*time.Second || !errors.Is(f.Err, reset) || s.Retries != 1 {
		t.Errorf("a second later: %+v", f)
	}
	if f := c.after(3 * time.Second).InFlight[0]; f.Retrying {
		t.Errorf("four seconds later: %+v", f)
	}
	c.tell(fetch.Event{Kind: fetch.Retry, Path: "a", Size: 100, Attempt: 1})
	if f := c.after(time.Second).InFlight[0]; !f.Retrying || f.Again != 0 {
		t.Errorf("one without a wait: %+v", f)
	}
}

// The time left of a model is right from early on, whether it has one file or thousands.
func TestTimeLeft(t *testing.T) {
	const step = 100 * time.Millisecond
	for _, m := range []struct {
		files int
		size  int64
		each  int // steps a file takes, one at a time
		burst int // files a step
	}{
		{files: 5000, size: 9_000, each: 0, burst: 10}, // 50 s: the round trips are what takes time
		{files: 1, size: 1000 * mb, each: 500, burst: 1},
		{files: 10, size: 100 * mb, each: 50, burst: 1},
	} {
		t.Run(fmt.Sprintf("%d files", m.files), func(t *testing.T) {
			c := newClocked(1)
			c.tell(fetch.Event{Kind: fetch.Resolved, Size: int64(m.files) * m.size, Files: m.files})
			total := time.Duration(m.files/m.burst*max(1, m.each)) * step
			for i := range int(total / step) {
				if m.each == 0 {
					for j := range m.burst {
						c.tell(fetch.Event{Kind: fetch.Done, Path: fmt.Sprint(i, "/", j), Size: m.size, Done: m.size})
					}
				} else {
					e := fetch.Event{Kind: fetch.Progress, Path: fmt.Sprint(i / m.each), Size: m.size}
					e.Done = m.size * int64(i%m.each+1) / int64(m.each)
					if e.Done == e.Size {
						e.Kind = fetch.Done
					}
					c.tell(e)
				}
				s := c.after(step)
				passed := time.Duration(i+1) * step
				left := total - passed
				if passed < 2*time.Second {
					continue
				}
				if off := s.Left - left; off.Abs() > left/4+2*time.Second {
					t.Fatalf("after %v the time left is %v, and it is %v", passed, s.Left, left)
				}
			}
		})
	}
}

func TestSpeedForgets(t *testing.T) {
	var r tally.Rate
	for range 100 {
		r.Add(10e6, 100*time.Millisecond)
	}
	if got := r.Value(); got < 99e6 || got > 101e6 {
		t.Errorf("100 MB/s is %f", got)
	}
	for range 150 {
		r.Add(0, 100*time.Millisecond)
	}
	if got := r.Value(); got > 1e6 {
		t.Errorf("after 15 s of nothing the speed is %f", got)
	}
	r.Add(5, 0)
}
