package transfer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// run is one Run under way. What is not said to be guarded belongs to the goroutine that called Run.
type run struct {
	engine *Engine
	sink   Sink
	opts   Options
	peers  []*peer
	stats  Stats
	meter  meter // has a lock of its own

	end     int64 // where the last missing byte is; negative when the size is not known. Spans read it: it does not change
	gaps    []gap // lowest first
	spans   []*span
	over    bool // an unknown size: the end was reached
	results chan result

	ticket *ticket // asked for
	asking *peer   // whom it is for

	held int // tickets; guarded by the engine
}

// result is the end of a span, or where more is not nil a question: may it go on?
type result struct {
	span *span
	err  error
	more chan<- bool
}

func newRun(e *Engine, sink Sink, origins []Origin, opts Options) *run {
	r := &run{engine: e, sink: sink, opts: opts, results: make(chan result)}
	r.stats.Causes = make(map[string]int)
	for _, o := range origins {
		r.peers = append(r.peers, newPeer(e, o))
	}
	r.miss(0, math.MaxInt64, budget{}, time.Time{})
	return r
}

// miss notes what the sink misses of [from, to) as gaps.
func (r *run) miss(from, to int64, b budget, after time.Time) {
	for from < to {
		off, n := r.sink.MissingFrom(from)
		if n == 0 || off >= to {
			return
		}
		if n < 0 {
			if r.end >= 0 {
				r.end = -1
			}
			r.gaps = []gap{{off, -1, b, after}}
			return
		}
		g := gap{off, min(off+n, to), b, after}
		if g.end > r.end {
			r.end = g.end
		}
		i := len(r.gaps)
		for i > 0 && r.gaps[i-1].start > g.start {
			i--
		}
		r.gaps = append(r.gaps[:i], append([]gap{g}, r.gaps[i:]...)...)
		from = off + n
	}
}

func (r *run) all(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer r.stop(cancel)
	for !r.over && len(r.gaps)+len(r.spans) > 0 {
		if err := r.step(ctx); err != nil {
			return err
		}
	}
	if off, n := r.sink.MissingFrom(0); n > 0 {
		return fmt.Errorf("transfer: the sink misses %d bytes at %d that it was given", n, off)
	}
	return nil
}

// stop ends what is under way and waits for it.
func (r *run) stop(cancel context.CancelCauseFunc) {
	cancel(nil)
	for ended := 0; ended < len(r.spans); {
		if res := <-r.results; res.more != nil {
			res.more <- false
		} else {
			ended++
		}
	}
	if r.ticket != nil {
		r.ticket.giveBack()
	}
}

// step waits for the next thing to happen, and does what follows from it.
func (r *run) step(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(r.queue(time.Now()))
	defer timer.Stop()
	var ready <-chan struct{}
	if r.ticket != nil {
		ready = r.ticket.ready
	}
	select {
	case <-ready:
		r.start(ctx)
	case res := <-r.results:
		return r.ended(ctx, res)
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// idle is how often a run looks whether something is slow enough to be taken over.
const idle = 50 * time.Millisecond

// queue asks for a ticket where there is something to fetch, and tells after what time to look again.
func (r *run) queue(now time.Time) time.Duration {
	if r.ticket != nil {
		return time.Hour
	}
	p, wait := r.pick(now)
	if p == nil {
		return wait
	}
	i, wait := r.next(p, now)
	if i >= 0 || p.lane.free() && r.victim(p, now) != nil {
		r.asking, r.ticket = p, p.lane.ask(r)
		return time.Hour
	}
	if len(r.spans) > 0 {
		wait = min(wait, idle)
	}
	return wait
}

// start uses the ticket that was had: for the lowest gap, else for what another span is slow with.
func (r *run) start(ctx context.Context) {
	t, p, now := r.ticket, r.asking, time.Now()
	r.ticket, r.asking = nil, nil
	s := r.take(p, now)
	if s == nil {
		s = r.takeOver(p, now)
	}
	if s == nil {
		t.giveBack()
		return
	}
	s.peer, s.ticket, s.began, s.last, s.whole = p, t, now, now, p.whole
	p.active++
	r.spans = append(r.spans, s)
	r.stats.Connections = max(r.stats.Connections, len(r.spans))
	ctx, s.cancel = context.WithCancelCause(ctx)
	r.opts.Log.Debug("range", "host", p.host, "from", s.pos, "to", s.end, "connections", len(r.spans))
	go func() {
		err := r.fetch(ctx, s)
		s.cancel(nil)
		r.results <- result{span: s, err: err}
		t.giveBack()
	}()
}

// ended does what follows from the end of a span. Its error ends the run.
func (r *run) ended(ctx context.Context, res result) error {
	s := res.span
	if res.more != nil {
		res.more <- r.goesOn(s, time.Now())
		return nil
	}
	for i, other := range r.spans {
		if other == s {
			r.spans = append(r.spans[:i], r.spans[i+1:]...)
			break
		}
	}
	got, speed, _ := s.pace(time.Now())
	s.peer.ended(got, speed, s.ranged)
	_, final := errors.AsType[*sinkError](res.err)
	switch {
	case res.err == nil && r.end < 0:
		r.over = true
		r.stats.End, _ = s.bounds()
	case res.err == nil, errors.Is(res.err, errTaken):
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case final:
		return res.err
	default:
		return r.failed(s, res.err, got)
	}
	return nil
}

// failed notes a failed span that brought got bytes, and puts back what is left of it. Its error ends the run.
func (r *run) failed(s *span, err error, got int64) error {
	p, now := s.peer, time.Now()
	pos, end := s.bounds()
	if end < 0 {
		end = math.MaxInt64
	}
	switch {
	case errors.Is(err, ErrRange) && !s.whole && (p.whole || p.unusable()):
		r.miss(pos, end, s.budget, now) // asked again, without ranges
		return nil
	case !Retryable(err):
		if r.drop(p) == 0 {
			return err
		}
		r.miss(pos, end, s.budget, now)
		return nil
	}
	spent := s.budget
	wait, ok := s.budget.spend(r.opts, err, got)
	if isRefusal(err) && p.lane.refused(wait) { // it serves others: there were too many
		s.budget, ok = spent, true
	}
	if !ok {
		return r.opts.usedUp(err)
	}
	if got == 0 {
		p.rest(now, wait)
	}
	if other, _ := r.pick(now); other != nil && other != p {
		wait = 0
	}
	r.miss(pos, end, s.budget, now.Add(wait))
	r.stats.Retries++
	r.stats.Causes[causeOf(err)]++
	r.opts.Log.Debug("range failed", "host", p.host, "at", pos, "bytes", got, "wait", wait, "error", err)
	if r.opts.Retry != nil {
		r.opts.Retry(r.stats.Retries, wait, err)
	}
	return nil
}
