package tally

import (
	"math"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/fetch"
)

// State is how things stand at one moment. Bytes and files are those of all models together.
type State struct {
	Models   int           // that are known by now
	Done     int64         // bytes that are here; never less than in a State before
	Reused   int64         // of them those that nobody had to move: in the store, in a partial blob, with another process
	Total    int64         // bytes, as far as they are known; at least Done
	Part     float64       // how much of everything is done, from 0 to 1; never less than in a State before
	Speed    float64       // bytes a second, smoothed over a few seconds
	Left     time.Duration // negative when not known
	Finished int           // files that are whole; manifest and config are none
	Files    int           // in all; 0 when not known
	Retries  int
	Waiting  int    // files in flight that another process is fetching
	InFlight []File // in the order in which they started
}

// File is one file in flight.
type File struct {
	Model, Path string        // Path is empty for a manifest and a config
	Digest      digest.Digest // empty when not known
	Done        int64         // bytes that are here, or that the other process has; never less than in a State before
	Reused      int64         // of them those that were here when it started
	Size        int64         // negative when not known
	Age         time.Duration // since it was first heard of
	Moving      time.Duration // since its bytes began to move; 0 when they have not
	Waiting     bool          // for another process that fetches it
	TakenOver   bool          // another process was fetching it and has ended without
	Retrying    bool          // a try has failed with Err a moment ago, and the one with number Attempt comes in Again
	Attempt     int
	Again       time.Duration
	Err         error
}

// leastShown is how long a file is said to be retrying, at least: other connections of it may be doing well.
const leastShown = 2 * time.Second

// file is one file and its last event.
type file struct {
	File
	kind         fetch.EventKind
	at           int64 // what the last event said was done
	since, began time.Time
	again, until time.Time // when the next try begins, and till when that is said
}

// take changes the file as an event says.
func (f *file) take(e fetch.Event, now time.Time) {
	switch e.Kind {
	case fetch.Retry:
		f.Attempt, f.Err, f.again = e.Attempt, e.Err, now.Add(e.Wait)
		f.until = now.Add(max(e.Wait, leastShown))
	case fetch.Start:
		f.TakenOver = f.kind == fetch.Wait
		f.began, f.at = now, 0
	default:
	}
	f.kind, f.at, f.Size, f.Reused, f.Digest = e.Kind, max(f.at, e.Done), e.Size, e.Reused, e.Digest
	f.Done = max(f.Done, e.Done)
	f.Waiting = e.Kind == fetch.Wait
}

// weight is how much work one byte of the file is.
func (f *file) weight() float64 {
	if f.Path == "" || f.Size <= 0 {
		return 1
	}
	return 1 + fileWork/float64(f.Size)
}

func (f *file) view(now time.Time) File {
	v := f.File
	v.Age = now.Sub(f.since)
	if !f.began.IsZero() {
		v.Moving = now.Sub(f.began)
	}
	v.Retrying, v.Again = now.Before(f.until), max(0, f.again.Sub(now))
	return v
}

// rate is a speed, smoothed over a few seconds with the latest counting most. The zero value has seen nothing.
type rate struct{ smooth, weight float64 }

// add takes n that moved in the time d.
func (r *rate) add(n float64, d time.Duration) {
	const memory = 3 * time.Second // what is older counts for less than a third
	if d <= 0 {
		return
	}
	share := 1 - math.Exp(-d.Seconds()/memory.Seconds())
	r.smooth += share * (n/d.Seconds() - r.smooth)
	r.weight += share * (1 - r.weight)
}

// value is how much a second.
func (r *rate) value() float64 {
	if r.weight == 0 {
		return 0
	}
	return r.smooth / r.weight
}
