package transfer

import (
	"context"
	"time"
)

const (
	leastChunk = 2 << 20
	// nearChunk is the longest range of a host nearby: short ranges keep what is in flight close to the front, where
	// the hash follows, so that it is read back from the cache of the processor.
	nearChunk = 8 << 20
	// farChunk is the longest of a host far away, where each range costs a round trip.
	farChunk = 64 << 20
	// trips is how many round trips a range should last, so that waiting for the next is two per cent.
	trips = 50
	// patience is how long a range may last at the speed of the host's others.
	patience = 8 // s
	// leastWindow is how far beyond the front a range may begin.
	leastWindow = 32 << 20

	// stalled is how long nothing may come before another connection is tried; it doubles with each try.
	stalled = 2 * time.Second
)

// chunk is how many bytes of a gap to ask p for. The less is left, the less it is, so that all end at one time.
func (r *run) chunk(p *peer) int64 {
	if r.engine.limits.ChunkSize > 0 {
		return r.engine.limits.ChunkSize
	}
	limit, latency, speed := p.lane.state()
	most := int64(nearChunk)
	if latency >= far/5 { //nolint:mnd // a fifth: a millisecond or two is a network nearby
		most = min(farChunk, max(nearChunk, int64(trips*latency.Seconds()*speed)))
	}
	if speed > 0 {
		most = min(most, int64(patience*speed))
	}
	share := r.left() / int64(2*limit)
	return max(leastChunk, min(most, share))
}

// left is how many bytes are missing.
func (r *run) left() (n int64) {
	for _, g := range r.gaps {
		n += g.end - g.start
	}
	for _, s := range r.spans {
		pos, end := s.bounds()
		n += end - pos
	}
	return n
}

// front is the lowest byte that is missing.
func (r *run) front() int64 {
	front := r.end
	if len(r.gaps) > 0 {
		front = r.gaps[0].start
	}
	for _, s := range r.spans {
		pos, _ := s.bounds()
		front = min(front, pos)
	}
	return front
}

// next is the lowest gap that may be asked for now, by its index; where there is none, it is negative, and wait is how
// long that will be so at the most.
func (r *run) next(p *peer, now time.Time) (i int, wait time.Duration) {
	wait = time.Hour
	if len(r.gaps) == 0 || (r.end < 0 || p.whole) && len(r.spans) > 0 {
		return -1, wait
	}
	limit, _, _ := p.lane.state()
	horizon := r.front() + max(leastWindow, int64(3*limit)*r.chunk(p)) //nolint:mnd // two more than are in flight
	for i, g := range r.gaps {
		switch {
		case g.start > horizon && r.end >= 0:
			return -1, wait
		case !g.after.After(now):
			return i, 0
		}
		wait = min(wait, g.after.Sub(now))
	}
	return -1, wait
}

// take makes a span of the lowest gap; nil when there is none for now.
func (r *run) take(p *peer, now time.Time) *span {
	i, _ := r.next(p, now)
	if i < 0 {
		return nil
	}
	g := r.gaps[i]
	if p.whole || r.end < 0 { // one stream brings all of it, but what lies before and has to wait
		r.gaps = r.gaps[:i]
		return &span{pos: g.start, end: r.end, asked: r.end, budget: g.budget}
	}
	s := &span{pos: g.start, end: r.cutOff(i, p), budget: g.budget}
	s.asked = s.end
	if limit, latency, _ := p.lane.state(); limit == nearLimit && 0 < latency && latency < far && r.engine.limits.ChunkSize == 0 {
		s.asked = g.end // nobody will be faster: one request, of which the span takes a chunk after the other
	}
	return s
}

// cutOff takes a chunk off the beginning of a gap and tells where it ends.
func (r *run) cutOff(i int, p *peer) (end int64) {
	g, n := &r.gaps[i], r.chunk(p)
	if g.end-g.start < n+n/2 {
		n = g.end - g.start
	}
	if g.start += n; g.start == g.end {
		end = g.end
		r.gaps = append(r.gaps[:i], r.gaps[i+1:]...)
		return end
	}
	return g.start
}

// more asks whether a span whose answer goes on may go on with it.
func (r *run) more(ctx context.Context, s *span) bool {
	answer := make(chan bool, 1)
	select {
	case r.results <- result{span: s, more: answer}:
		return <-answer
	case <-ctx.Done():
		return false
	}
}

// goesOn lets a span have the next chunk, when that is nobody else's.
func (r *run) goesOn(s *span, now time.Time) bool {
	_, end := s.bounds()
	if len(r.gaps) == 0 || r.gaps[0].start != end || r.gaps[0].after.After(now) {
		return false
	}
	s.extend(r.cutOff(0, s.peer))
	return true
}

// victim is the span whose rest p should help with: one that is stalled, else the one that it would end soonest
// for; nil when none is worth it.
func (r *run) victim(p *peer, now time.Time) *span {
	if p.whole || r.end < 0 {
		return nil
	}
	_, latency, mine := p.lane.state()
	var worst *span
	most := (batchAge + 2*latency).Seconds() //nolint:mnd // what a new request costs, and then some
	for _, s := range r.spans {
		pos, end := s.bounds()
		if pos == end { // it is about to end
			continue
		}
		if s.stalled(now) {
			return s
		}
		_, theirs, _ := s.pace(now)
		if gain := float64(end-pos) / theirs * (1 - shareOf(theirs, mine)); theirs > 0 && gain > most {
			worst, most = s, gain
		}
	}
	return worst
}

// shareOf is how much of what is left to a connection it brings while another one, whose speed may not be known, brings
// the rest.
func shareOf(theirs, mine float64) float64 {
	if mine <= 0 {
		mine = theirs
	}
	return theirs / (theirs + mine)
}

// stalled tells whether nothing has come for so long that another connection should be tried.
func (s *span) stalled(now time.Time) bool {
	_, _, idle := s.pace(now)
	return idle > stalled<<min(int(s.budget.spent), 5) //nolint:mnd // a minute
}

// takeOver makes a span of what another one is slow with; nil when there is none. A stalled one ends, which counts as a
// try; of another one the share is taken that p can bring in the time in which the other brings the rest.
func (r *run) takeOver(p *peer, now time.Time) *span {
	s := r.victim(p, now)
	if s == nil {
		return nil
	}
	b := s.budget
	at, end := s.bounds()
	dead := s.stalled(now)
	if dead {
		b.spent++
	} else {
		_, _, mine := p.lane.state()
		_, theirs, _ := s.pace(now)
		share, coming := int64(float64(end-at)*shareOf(theirs, mine)), int64(theirs*batchAge.Seconds())
		at += max(share, min((end-at)/2, coming))
	}
	from, to := s.cut(at)
	if from == to {
		return nil
	}
	if pos, rest := s.bounds(); pos == rest { // whether it is dead, or had a byte to go
		s.cancel(errTaken)
	}
	r.stats.Takeovers++
	r.opts.Log.Debug("range taken over", "host", p.host, "from", from, "to", to, "stalled", dead)
	return &span{pos: from, end: to, asked: to, budget: b}
}
