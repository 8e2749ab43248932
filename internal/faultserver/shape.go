package faultserver

import (
	"errors"
	"sync"
	"time"
)

const (
	chunk = 256 << 10 // bytes of one write: few enough calls to cost nothing
	// nap is the shortest wait: a timer is about a millisecond late, and what was not waited for is waited for later.
	nap = 4 * time.Millisecond
	// idle is how far behind its schedule a connection may catch up. Beyond that it was the client who did not read.
	idle = 40 * time.Millisecond
)

// errClosed is that the server was closed meanwhile.
var errClosed = errors.New("faultserver: closed")

// pacer gives bytes out at a rate. It keeps a schedule, so that late timers do not add up: over half a second the rate
// holds to 2 %.
type pacer struct {
	rate float64 // bytes per second; 0 has no end

	mu   sync.Mutex
	next time.Time // when what was given out so far is due
}

// due gives out n bytes and says when they may be written: a moment after which the last of them would have come.
func (p *pacer) due(n int, now time.Time) time.Time {
	if p == nil || p.rate <= 0 {
		return now
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if behind := now.Add(-idle); p.next.Before(behind) {
		p.next = now
	}
	p.next = p.next.Add(time.Duration(float64(n) / p.rate * float64(time.Second)))
	return p.next
}

// quantum is how much to write at once at a rate: a hundredth of a second of it.
func quantum(rate float64) int {
	if rate <= 0 {
		return chunk
	}
	return max(1, min(chunk, int(rate/100)))
}

// slowed is the rate of the numberth connection of the server, counted from 1, and where it falls silent (0: nowhere).
func (s Shape) slowed(number int) (rate float64, silent int64) {
	rate = float64(s.PerConn)
	if s.SlowEvery <= 0 || number%s.SlowEvery != 1%s.SlowEvery {
		return rate, 0
	}
	if s.SlowStall > 0 {
		return rate, s.SlowStall
	}
	by := s.SlowBy
	if by <= 0 {
		by = 50
	}
	if rate <= 0 {
		rate = 1e6
	}
	return rate / by, 0
}

// wait returns at t, or sooner with an error when the server or gone was closed.
func (s *Server) wait(d time.Duration, gone <-chan struct{}) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-gone:
		return errClosed
	case <-s.done:
		return errClosed
	}
}
