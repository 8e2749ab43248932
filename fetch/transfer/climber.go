package transfer

import "time"

// climber finds how many connections one host serves well, by trying: as long as more connections bring more bytes,
// there are more; then fewer, as long as fewer bring as many. It has no clock of its own.
type climber struct {
	limit int // connections that may be under way now
	most  int // never more
	fixed bool

	phase  phase
	before int     // the limit that is compared with
	base   float64 // bytes a second at that limit

	opens   time.Time // of the window: what came before does not count
	bytes   int64
	inUse   int // sum of connections in use over samples
	samples int

	until   time.Time     // when a hold, or the pause after a refusal, ends
	hold    time.Duration // how long the next hold is
	pause   time.Duration // after a refusal
	latency time.Duration // to the first byte of an answer, the least that was seen
	speed   float64       // bytes a second of one connection, as of the last window
}

type phase int

const (
	rising phase = iota
	falling
	holding
	refused // the host said that it is asked too much
)

const (
	// firstLimit is to begin with; nearLimit and farLimit when it is known how far away the host is. One stream from a
	// host nearby is as fast as several, and costs the host less.
	firstLimit = 4
	nearLimit  = 1
	farLimit   = 16
	leastHold  = 3 * time.Second
	// leastPause is how long after a refusal one more connection is tried.
	leastPause = time.Second
	mostHold   = time.Minute
	far        = 10 * time.Millisecond // latency from which on a host is far
	worth      = 0.25                  // share of the ideal gain that more connections have to bring
	loss       = 0.95                  // share of the speed that fewer connections have to keep
)

func newClimber(most int, fixed bool) climber {
	if fixed {
		return climber{limit: most, most: most, fixed: true}
	}
	return climber{limit: min(firstLimit, most), most: most, hold: leastHold}
}

// answered notes how long a host took to answer.
func (c *climber) answered(latency time.Duration) {
	first := c.latency == 0
	if first || latency < c.latency {
		c.latency = max(latency, time.Microsecond)
	}
	if first && !c.fixed && c.phase == rising && c.base == 0 {
		c.limit = nearLimit
		if latency >= far {
			c.limit = min(farLimit, c.most)
		}
	}
}

// note adds n bytes that came at now, while inUse connections were in use.
func (c *climber) note(now time.Time, n, inUse int) {
	switch {
	case c.opens.IsZero():
		c.reopen(now)
	case now.Before(c.opens):
		return
	}
	c.bytes += int64(n)
	c.inUse += inUse
	c.samples++
	took := now.Sub(c.opens)
	if took < max(100*time.Millisecond, 4*c.latency) {
		return
	}
	speed := float64(c.bytes) / took.Seconds()
	busy := c.inUse*4 >= 3*c.limit*c.samples
	c.speed = speed * float64(c.samples) / float64(max(c.inUse, 1))
	switch {
	case c.phase == refused:
		c.afterRefusal(now)
	case !c.fixed && busy:
		c.judge(now, speed)
	}
	c.reopen(now)
}

// reopen begins a window, after what is under way had time to settle.
func (c *climber) reopen(now time.Time) {
	c.opens, c.bytes, c.inUse, c.samples = now.Add(max(20*time.Millisecond, 2*c.latency)), 0, 0, 0
}

// judge compares the speed of a window with that of the limit before.
func (c *climber) judge(now time.Time, speed float64) {
	switch c.phase {
	case rising:
		more := float64(c.limit)/float64(max(c.before, 1)) - 1
		switch {
		case c.base == 0, speed >= c.base*(1+worth*more):
			c.before, c.base = c.limit, speed
			if c.limit = min(2*c.limit, c.most); c.limit == c.before {
				c.rest(now)
			}
		default:
			c.limit, c.base, c.phase = c.before, 0, falling
		}
	case falling:
		switch {
		case c.base == 0:
			c.before, c.base = c.limit, speed
			c.limit = max(c.limit/2, 1)
		case speed >= c.base*loss:
			c.before = c.limit
			c.limit = max(c.limit/2, 1)
		default:
			c.limit = c.before
		}
		if c.limit == c.before {
			c.rest(now)
		}
	case holding:
		if now.After(c.until) && c.limit < c.most {
			c.before, c.base, c.phase = c.limit, speed, rising
			c.limit = min(c.limit+max(1, c.limit/2), c.most)
		}
	}
}

// rest holds the limit, longer each time.
func (c *climber) rest(now time.Time) {
	c.phase, c.until = holding, now.Add(c.hold)
	c.hold = min(2*c.hold, mostHold)
}

// refuse says that the host served no more than served connections when it was asked for one more.
func (c *climber) refuse(now time.Time, served int) {
	if now.After(c.until) || c.phase != refused { // a new one, not one of many at the same time
		c.pause = min(max(2*c.pause, leastPause), mostHold)
	}
	c.limit = max(1, min(c.limit, served))
	c.phase, c.until = refused, now.Add(c.pause)
}

// afterRefusal tries one more connection, later each time that it is refused.
func (c *climber) afterRefusal(now time.Time) {
	if now.Before(c.until) {
		return
	}
	c.limit = min(c.limit+1, c.most)
	c.until = now.Add(c.pause)
}
