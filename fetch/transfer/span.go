package transfer

import (
	"context"
	"sync"
	"time"
)

// gap is a range that is missing and that nobody is fetching.
type gap struct {
	start, end int64
	budget     budget    // what failed tries of it have cost
	after      time.Time // not to be asked for before
}

// span is a range that is being fetched, by one goroutine. Whoever has nothing to do may take over the rest of it, or
// a part: the end moves down then.
type span struct {
	peer   *peer
	ticket *ticket
	cancel context.CancelCauseFunc
	began  time.Time
	budget budget
	asked  int64 // where what was asked for ends, which may be beyond the span: see run.more
	whole  bool  // asked for without a range
	ranged bool  // answered with a range; read when the span has ended

	mu   sync.Mutex
	pos  int64 // where the next byte belongs
	end  int64 // negative when not known
	got  int64 // bytes that came
	last time.Time

	away  time.Time     // since when the goroutine does not wait for the server, but writes or keeps to a rate; else zero
	spent time.Duration // how long that was before

	lately time.Duration // of the server's time, when the window of its speed began
	before int64         // what had come by then
	recent float64       // bytes a second in the window before; 0 in the first
}

// speedWindow is over what time the speed of a span is told: one that was fast may have become slow.
const speedWindow = 250 * time.Millisecond

// want is how many bytes to read next, at most n: 0 when the span has all. The server's time begins to count.
func (s *span) want(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); !s.away.IsZero() {
		s.spent += now.Sub(s.away)
		s.last, s.away = now, time.Time{}
	}
	if s.end < 0 {
		return n
	}
	return int(min(int64(n), s.end-s.pos))
}

// claim takes n bytes that came: the first keep of them belong at off, and the rest is somebody else's by now. The
// server's time does not count until want is called.
func (s *span) claim(n int) (off int64, keep int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	off, keep = s.pos, n
	if s.end >= 0 {
		keep = int(min(int64(n), s.end-s.pos))
	}
	s.pos += int64(keep)
	s.got += int64(n)
	s.away = time.Now()
	if took := s.served(s.away); took-s.lately >= speedWindow {
		s.recent = float64(s.got-s.before) / (took - s.lately).Seconds()
		s.lately, s.before = took, s.got
	}
	return off, keep
}

// extend moves the end of a span that goes on.
func (s *span) extend(end int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = end
}

// bounds are the rest of the span.
func (s *span) bounds() (pos, end int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pos, s.end
}

// served is how much of the server's time the span has had. The caller holds mu.
func (s *span) served(now time.Time) time.Duration {
	took := now.Sub(s.began) - s.spent
	if !s.away.IsZero() {
		took -= now.Sub(s.away)
	}
	return took
}

// pace is what came, how fast the server is with it, and how long nothing has come from it that was waited for.
func (s *span) pace(now time.Time) (got int64, speed float64, idle time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away.IsZero() {
		idle = now.Sub(s.last)
	}
	switch took := s.served(now); {
	case took-s.lately >= speedWindow && s.got > s.before, s.recent == 0 && took > s.lately:
		speed = float64(s.got-s.before) / (took - s.lately).Seconds()
	default:
		speed = s.recent
	}
	return s.got, speed, idle
}

// cut takes what follows at away, and tells what that was: nothing when the span has gone past it.
func (s *span) cut(at int64) (start, end int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	start, end = max(at, s.pos), s.end
	if start >= end {
		return 0, 0
	}
	s.end = start
	return start, end
}
