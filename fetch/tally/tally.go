// Package tally adds up the events of pulls and pushes to what a person, or a program, wants to know of them: how much
// is done, how fast it goes, how long it will take, and what each file is doing.
//
// It shows nothing and has no clock: whoever does takes a sample now and then, and says what time it is.
package tally

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/fetch"
)

// fileWork is what a file costs beside its bytes, in bytes: what a line moves in the time that one more request takes.
// Without it the time left of thousands of tiny files would be that of their bytes.
const fileWork = 256 << 10

// Tally adds up events, from any number of goroutines, of any number of models.
type Tally struct {
	mu      sync.Mutex
	expect  int // models that will be announced
	models  map[string]announced
	files   map[fileKey]*file
	order   []*file // those that are not whole, in the order in which they started
	retries int

	done, reused int64   // of all files
	moved        int64   // bytes, what was here before not counted
	worked       float64 // the same with the work of files
	whole        int     // files with a path that are whole
	known        int     // files with a path that there was an event of
	sizes        int64   // of all files that there was an event of, as far as they are known

	shownDone int64 // what a sample said, which no later one takes back
	shownPart float64

	sampled     time.Time
	lastMoved   int64
	lastWorked  float64
	bytes, work rate
}

// announced is what is known of a model before its files.
type announced struct {
	size  int64
	files int
}

type fileKey struct {
	model, path string
	digest      digest.Digest // of files without a path
}

// New is a tally of models, as far as it is known beforehand how many there will be: 0 stands for one.
func New(models int) *Tally {
	return &Tally{expect: models, models: make(map[string]announced), files: make(map[fileKey]*file)}
}

// Tell takes one event, which happened now. Events may come a little out of order.
func (t *Tally) Tell(e fetch.Event, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.Kind == fetch.Retry {
		t.retries++
	}
	if e.Kind == fetch.Resolved {
		t.models[e.Model] = announced{size: e.Size, files: e.Files}
		return
	}
	if f := t.file(e, now); f != nil {
		t.take(f, e, now)
	}
}

// file is the one that an event is of; nil when it is of none: a request while a model is resolved.
func (t *Tally) file(e fetch.Event, now time.Time) *file {
	key := fileKey{model: e.Model, path: e.Path}
	if e.Path == "" {
		if key.digest = e.Digest; e.Digest == "" {
			return nil
		}
	}
	f, ok := t.files[key]
	if !ok {
		f = &file{File: File{Model: e.Model, Path: e.Path}, since: now}
		t.files[key] = f
		t.order = append(t.order, f)
		if f.Path != "" {
			t.known++
		}
	}
	return f
}

// take moves a file to the state that an event tells.
func (t *Tally) take(f *file, e fetch.Event, now time.Time) {
	if f.kind == fetch.Done || e.Kind == fetch.Progress && e.Done < f.at { // overtaken by a later one
		return
	}
	before := *f
	f.take(e, now)
	t.done += f.Done - before.Done
	t.reused += f.Reused - before.Reused
	t.sizes += max(f.Size, f.Done) - max(before.Size, before.Done)
	if moved := (f.at - f.Reused) - (before.at - before.Reused); moved > 0 {
		t.moved += moved
		t.worked += float64(moved) * f.weight()
	}
	if e.Kind != fetch.Done {
		return
	}
	t.order = slices.DeleteFunc(t.order, func(other *file) bool { return other == f })
	if f.Path != "" {
		t.whole++
		if f.Size == 0 {
			t.worked += fileWork
		}
	}
}

// Sample is how things stand at now. Speed and time left come from what moved since the samples before.
func (t *Tally) Sample(now time.Time) State {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := State{
		Models: len(t.models), Done: t.done, Reused: t.reused, Finished: t.whole, Retries: t.retries, Left: -1,
	}
	for _, m := range t.models {
		s.Total += max(m.size, 0)
		s.Files += m.files
	}
	for _, f := range t.order {
		s.InFlight = append(s.InFlight, f.view(now))
		if f.Waiting {
			s.Waiting++
		}
	}
	t.shownDone = max(t.shownDone, s.Done)
	s.Done = t.shownDone // a file that starts over does not take the bar back
	s.Total = max(s.Total, t.sizes, s.Done)
	s.Finished = min(s.Finished, max(s.Files, t.known))
	t.shownPart = max(t.shownPart, t.part(s))
	s.Part = t.shownPart
	t.speed(&s, now)
	return s
}

// part is how much of everything is done, those models included that are not known yet: each counts as one of those
// that are.
func (t *Tally) part(s State) float64 {
	models := len(t.models)
	all := float64(s.Total)
	if models > 0 && models < t.expect {
		all *= float64(t.expect) / float64(models)
	}
	switch {
	case models == 0 && all == 0:
		return 0
	case all == 0 && models < t.expect: // nothing to fetch, so far
		return float64(models) / float64(t.expect)
	case all == 0:
		return 1
	}
	return float64(s.Done) / all
}

// speed sets the speed and the time left.
func (t *Tally) speed(s *State, now time.Time) {
	const soon = 0.28 // of the last seconds: one of them is not enough to say how long it takes
	if elapsed := now.Sub(t.sampled); t.sampled.IsZero() || elapsed > 0 {
		if !t.sampled.IsZero() {
			t.bytes.add(float64(t.moved-t.lastMoved), elapsed)
			t.work.add(t.worked-t.lastWorked, elapsed)
		}
		t.sampled, t.lastMoved, t.lastWorked = now, t.moved, t.worked
	}
	s.Speed = t.bytes.value()
	pace := t.work.value()
	if pace < 1 || t.work.weight < soon {
		return
	}
	if seconds := t.ahead(*s) / pace; seconds < math.MaxInt32 {
		s.Left = time.Duration(seconds * float64(time.Second))
	}
}

// ahead is the work that is left: of bytes, of the files in flight as far as they are not done, and of those that have
// not begun.
func (t *Tally) ahead(s State) float64 {
	if s.Done >= s.Total {
		return 0
	}
	files := float64(max(0, s.Files-t.known))
	for _, f := range s.InFlight {
		if f.Path != "" && f.Size > 0 {
			files += 1 - float64(f.Done)/float64(f.Size)
		}
	}
	left := float64(s.Total-s.Done) + files*fileWork
	if models := len(t.models); models > 0 && models < t.expect { // each that is not known is as those that are
		left += float64(t.expect-models) / float64(models) * (float64(s.Total) + float64(s.Files)*fileWork)
	}
	return left
}
