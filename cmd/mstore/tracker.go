package main

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/fetch"
)

// tracker adds up what events say. Events come from many goroutines; whoever draws asks for a view now and then, and
// that one sample is where speed and time left come from.
type tracker struct {
	mu       sync.Mutex
	resolved bool
	total    int64 // announced bytes
	count    int   // announced files; 0 when not known
	files    map[string]*tracked
	order    []*tracked
	moved    int64 // bytes that moved, what was there before not counted
	shown    int64 // the most that a view said was done

	sampled   time.Time
	lastMoved int64
	rate      rate
}

// tracked is one file under way.
type tracked struct {
	name         string
	size         int64 // negative when not known
	done, reused int64
	kind         fetch.EventKind // the last
	since        time.Time       // when it started
	again        time.Time       // when the next try begins
}

// view is the state of things at one moment.
type view struct {
	resolved    bool
	done, total int64 // bytes; total is at least done
	speed       float64
	left        time.Duration // negative when not known
	finished    int           // files that are whole; manifest and config are none
	count       int           // files in all; 0 when not known
	files       []fileView    // those in flight, in the order in which they started
}

type fileView struct {
	name       string
	done, size int64
	age        time.Duration
	waiting    bool          // for another process
	again      time.Duration // until the next try; 0 when none failed
}

func newTracker() *tracker {
	return &tracker{files: make(map[string]*tracked)}
}

// tell takes one event.
func (t *tracker) tell(e mstore.Event, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.Kind == fetch.Resolved {
		t.resolved, t.total, t.count = true, e.Size, e.Files
		return
	}
	key := e.Path + "\x00" + e.Digest.String()
	if e.Path != "" {
		key = e.Path
	}
	f, ok := t.files[key]
	if !ok {
		if e.Path == "" && e.Digest == "" { // a request that is no file's: resolving
			return
		}
		f = &tracked{name: e.Path, since: now}
		t.files[key] = f
		t.order = append(t.order, f)
	}
	switch e.Kind {
	case fetch.Progress:
		if e.Done < f.done { // overtaken by a later one
			return
		}
	case fetch.Retry:
		f.again = now.Add(e.Wait)
	}
	t.moved += max(0, (e.Done-e.Reused)-(f.done-f.reused))
	f.kind, f.size, f.done, f.reused = e.Kind, e.Size, e.Done, e.Reused
}

// sample is the state at now, which must not be before the last sample.
func (t *tracker) sample(now time.Time) view {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := view{resolved: t.resolved, count: t.count, left: -1}
	var sizes int64
	for _, f := range t.order {
		v.done += f.done
		sizes += max(f.size, f.done)
		switch {
		case f.kind != fetch.Done:
			v.files = append(v.files, f.view(now))
		case f.name != "":
			v.finished++
		}
	}
	t.shown = max(t.shown, v.done) // a file that starts over does not take the bar back
	v.done = t.shown
	v.total = max(t.total, sizes, v.done)
	if !t.sampled.IsZero() {
		t.rate.add(float64(t.moved-t.lastMoved), now.Sub(t.sampled))
	}
	t.sampled, t.lastMoved = now, t.moved
	v.speed = t.rate.value()
	if v.speed >= 1 {
		seconds := float64(v.total-v.done) / v.speed
		if seconds < math.MaxInt32 {
			v.left = time.Duration(seconds * float64(time.Second))
		}
	}
	return v
}

func (f *tracked) view(now time.Time) fileView {
	v := fileView{name: f.name, done: f.done, size: f.size, age: now.Sub(f.since), waiting: f.kind == fetch.Wait}
	if f.kind == fetch.Retry {
		v.again = max(f.again.Sub(now), time.Millisecond)
	}
	return v
}

// percent is how much of the bytes are done, rounded down: 100 is said when all are. Of nothing, everything is done.
func percent(done, total int64) int {
	const all = 100
	if total <= 0 || done >= total {
		return all
	}
	return int(float64(done) / float64(total) * all)
}

// inFlight are the files that have been under way for long enough to be looked at, at most n.
func (v view) inFlight(n int) []fileView {
	const flash = 200 * time.Millisecond
	files := slices.DeleteFunc(slices.Clone(v.files), func(f fileView) bool { return f.age < flash })
	return files[:min(n, len(files))]
}

// rate is a speed, smoothed over a few seconds with the latest counting most. The zero value has seen nothing.
type rate struct{ smooth, weight float64 }

// add takes n bytes that moved in the time d.
func (r *rate) add(n float64, d time.Duration) {
	const memory = 3 * time.Second // what is older counts for less than a third
	if d <= 0 {
		return
	}
	share := 1 - math.Exp(-d.Seconds()/memory.Seconds())
	r.smooth += share * (n/d.Seconds() - r.smooth)
	r.weight += share * (1 - r.weight)
}

// value is bytes a second.
func (r *rate) value() float64 {
	if r.weight == 0 {
		return 0
	}
	return r.smooth / r.weight
}
