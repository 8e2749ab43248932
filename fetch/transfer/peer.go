package transfer

import (
	"slices"
	"time"
)

// peer is an origin and what was learned of it in one run.
type peer struct {
	origin Origin
	host   string
	lane   *lane
	active int // spans under way

	speed    float64   // bytes a second of one connection; 0 when not known
	failures int       // in a row, without a byte
	resting  time.Time // not to be asked before
	ranged   bool      // it has answered a range
	whole    bool      // its answers to ranges cannot be used
}

func newPeer(e *Engine, o Origin) *peer {
	p := &peer{origin: o}
	if named, ok := o.(interface{ Host() string }); ok {
		p.host = named.Host()
	}
	p.lane = e.lane(p.host)
	if known, ok := o.(interface{ Latency() time.Duration }); ok && known.Latency() > 0 {
		p.lane.answered(known.Latency())
	}
	return p
}

// ended notes the end of a span that brought got bytes.
func (p *peer) ended(got int64, speed float64, ranged bool) {
	p.active--
	if got == 0 {
		return
	}
	p.failures, p.ranged = 0, p.ranged || ranged
	if p.speed == 0 {
		p.speed = speed
	}
	p.speed += (speed - p.speed) / 4 //nolint:mnd // the last few spans count
}

// rest leaves the peer alone for a while, longer each time that nothing comes.
func (p *peer) rest(now time.Time, wait time.Duration) {
	p.failures = min(p.failures+1, 5) //nolint:mnd // 2^5 times slower is out of the question
	if after := now.Add(wait); after.After(p.resting) {
		p.resting = after
	}
}

// unusable takes note of an answer that does not fit its range, and tells whether the peer is asked without ranges
// from now on. One that has answered ranges well before is given another try.
func (p *peer) unusable() bool {
	p.whole = !p.ranged
	p.ranged = false
	return p.whole
}

// pick is the peer to ask now: the one that promises most for one more connection. Where there is none, wait is how
// long that will be so.
func (r *run) pick(now time.Time) (best *peer, wait time.Duration) {
	wait = time.Hour
	fastest := 0.0
	for _, p := range r.peers {
		fastest = max(fastest, p.speed)
	}
	most := -1.0
	for _, p := range r.peers {
		switch {
		case p.whole && p.active > 0:
		case p.resting.After(now):
			wait = min(wait, p.resting.Sub(now))
		default:
			promise := p.speed
			if promise == 0 {
				promise = max(fastest, 1)
			}
			promise /= float64(int(1)<<p.failures) * float64(p.active+1)
			if promise > most {
				best, most = p, promise
			}
		}
	}
	return best, wait
}

// drop leaves a peer out for good and tells how many are left.
func (r *run) drop(gone *peer) int {
	r.peers = slices.DeleteFunc(r.peers, func(p *peer) bool { return p == gone })
	return len(r.peers)
}
