// Package transfer moves the bytes of one blob from its origins into a sink, whatever the servers do.
//
// It is one stream a blob that resumes: [Run] asks an origin for the lowest bytes that the sink misses, writes what
// comes at the offset where it belongs, and asks again, of the next origin where there is one, for what is missing
// still. Every answer is checked; no byte is trusted: whether the bytes are the right ones is for the sink to find
// out. The package knows nothing of manifests, names or registries' protocols; what HTTP says of ranges is here
// ([Range], [Answer]), because every origin that speaks HTTP needs it.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// Origin is a place that has the blob. It may be asked by several goroutines at once.
type Origin interface {
	// Fetch asks for the n bytes at off, or with n < 0 for all from off to the end. Fetch(ctx, 0, -1) asks for the
	// whole blob with no word of a range. Reading the answer's body ends with an error when ctx is done.
	Fetch(ctx context.Context, off, n int64) (*Answer, error)
}

// Answer is what an origin has for a range.
type Answer struct {
	// Body is the caller's to close. It may be longer than what was asked for.
	Body io.ReadCloser
	// At is where the body begins: the offset asked for, or less.
	At int64
	// Whole tells that the origin sends all of the blob whatever it is asked for: it has no ranges.
	Whole bool
}

// Sink takes the bytes. Run calls it from one goroutine.
type Sink interface {
	io.WriterAt
	// Missing is the lowest gap: n bytes at off. n is 0 when nothing is missing, and negative when the size is not
	// known, so that all from off on is missing.
	Missing() (off, n int64)
}

// The zero Options stand for these.
const (
	// DefaultRetries is what a flaky line needs; a server that is down for good costs about 8 s of waiting.
	DefaultRetries = 5
	// DefaultStall is longer than any storage behind a registry was seen to think.
	DefaultStall = 60 * time.Second
)

// Options say how patient a transfer is. The zero value is the default.
type Options struct {
	// Retries is how often a failed try is repeated; 0 means [DefaultRetries], less than 0 never. Progress gives
	// retries back, but only in proportion to itself: one for each 64 KiB.
	Retries int
	// Stall ends a try in which no byte came for so long; 0 means [DefaultStall]. Half of it is the window over which a
	// try has to make 1 KiB/s.
	Stall time.Duration
	// Retry, when not nil, is told of each failed try that will be repeated after wait. attempt counts from 1.
	Retry func(attempt int, wait time.Duration, err error)
	// Jitter picks the wait before a retry from [0, most]. nil picks evenly, so that many clients do not come back
	// at once.
	Jitter func(most time.Duration) time.Duration
}

func (o Options) withDefaults() Options {
	if o.Retries == 0 {
		o.Retries = DefaultRetries
	}
	if o.Stall <= 0 {
		o.Stall = DefaultStall
	}
	if o.Jitter == nil {
		o.Jitter = func(most time.Duration) time.Duration { return rand.N(most + 1) }
	}
	return o
}

// Stats is what a transfer did.
type Stats struct {
	Bytes   int64 // written into the sink
	Wasted  int64 // received and thrown away: what came before the offset asked for
	Retries int   // tries beyond the first
	End     int64 // where the blob ended, when its size was not known; else 0
}

// Run fetches what sink misses from origins and returns when nothing is missing. A sink that misses all from an
// offset on (unknown size) is done when the origin says that its body is whole; Stats.End is the size then.
//
// A try that fails with an error that is worth a retry ([Retryable]) is repeated within opts, at the next origin
// where there are several; an origin whose error is not leaves the transfer. The error is the last of all origins, or
// ctx's: cancelling ends Run at once. What the sink has stays in the sink.
func Run(ctx context.Context, sink Sink, origins []Origin, opts Options) (Stats, error) {
	if len(origins) == 0 {
		return Stats{}, errors.New("transfer: no origin has the blob")
	}
	r := &run{sink: sink, opts: opts.withDefaults()}
	for _, o := range origins {
		r.peers = append(r.peers, &peer{origin: o})
	}
	r.budget = newBudget(r.opts)
	err := r.all(ctx)
	return r.stats, err
}

// run is one Run under way.
type run struct {
	sink   Sink
	opts   Options
	peers  []*peer
	budget *budget
	stats  Stats
	buf    []byte
}

// peer is an origin and what was learned of it.
type peer struct {
	origin  Origin
	whole   bool      // its answers to ranges cannot be used
	resting time.Time // not to be asked before
}

func (r *run) all(ctx context.Context) error {
	for {
		off, n := r.sink.Missing()
		if n == 0 {
			return nil
		}
		p := r.next()
		if err := sleep(ctx, time.Until(p.resting)); err != nil {
			return err
		}
		before := r.stats.Bytes
		err := r.try(ctx, p, off, n)
		switch {
		case err == nil && n < 0:
			return nil
		case err == nil:
			if at, left := r.sink.Missing(); at == off && left == n {
				return fmt.Errorf("transfer: the sink misses %d bytes at %d that it was given", n, off)
			}
		default:
			if err := r.failed(ctx, p, err, r.stats.Bytes-before); err != nil {
				return err
			}
		}
	}
}

// next is the peer that may be asked first.
func (r *run) next() *peer {
	best := r.peers[0]
	for _, p := range r.peers[1:] {
		if p.resting.Before(best.resting) {
			best = p
		}
	}
	return best
}

// failed notes a failed try at p that wrote got bytes. Its error ends the transfer.
func (r *run) failed(ctx context.Context, p *peer, err error, got int64) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, ErrRange) && !p.whole {
		p.whole = true // asked once more, without a range
	} else if !Retryable(err) {
		if len(r.peers) == 1 {
			return err
		}
		r.drop(p)
		return nil
	}
	wait, ok := r.budget.spend(err, got)
	if !ok {
		return r.budget.usedUp(err)
	}
	p.resting = time.Now().Add(wait)
	if next := r.next(); next != p {
		wait = max(0, time.Until(next.resting))
	}
	r.stats.Retries++
	if r.opts.Retry != nil {
		r.opts.Retry(r.stats.Retries, wait, err)
	}
	return nil
}

func (r *run) drop(gone *peer) {
	for i, p := range r.peers {
		if p == gone {
			r.peers = append(r.peers[:i], r.peers[i+1:]...)
			return
		}
	}
}

// sleep waits for d or until ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
