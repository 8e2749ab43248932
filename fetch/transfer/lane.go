package transfer

import "time"

// lane is what the transfers of an Engine share of one host: how many ranges may be under way there, and who waits for
// one to end. All of it is guarded by the Engine's mutex.
type lane struct {
	engine  *Engine
	climber climber
	active  int       // ranges under way
	rests   time.Time // nothing new is asked before: the host said so
	waking  bool      // somebody will look again then
	queue   []*ticket
}

// ticket is the right to ask for one range, once ready is closed.
type ticket struct {
	lane    *lane
	run     *run
	granted bool
	ready   chan struct{}
}

// lane is that of a host.
func (e *Engine) lane(host string) *lane {
	e.mu.Lock()
	defer e.mu.Unlock()
	l, ok := e.lanes[host]
	if !ok {
		l = &lane{engine: e, climber: newClimber(e.limits.Connections, e.fixed)}
		e.lanes[host] = l
	}
	return l
}

// ask queues for a range.
func (l *lane) ask(r *run) *ticket {
	t := &ticket{lane: l, run: r, ready: make(chan struct{})}
	l.engine.mu.Lock()
	defer l.engine.mu.Unlock()
	l.queue = append(l.queue, t)
	l.engine.grant()
	return t
}

// giveBack ends the use of a ticket, whether it was granted or not.
func (t *ticket) giveBack() {
	e := t.lane.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if t.granted {
		t.lane.active--
		e.active--
		t.run.held--
	} else {
		for i, other := range t.lane.queue {
			if other == t {
				t.lane.queue = append(t.lane.queue[:i], t.lane.queue[i+1:]...)
				break
			}
		}
	}
	e.grant()
}

// grant gives out what is free.
func (e *Engine) grant() {
	for _, l := range e.lanes {
		for e.active < e.limits.Connections && len(l.queue) > 0 && !l.resting() {
			first := l.first()
			t := l.queue[first]
			if !l.allows(t.run) {
				break
			}
			l.queue = append(l.queue[:first], l.queue[first+1:]...)
			t.granted = true
			l.active++
			e.active++
			t.run.held++
			close(t.ready)
		}
	}
}

// first is the ticket in the queue whose run has least of what its weight entitles it to.
func (l *lane) first() int {
	best := 0
	for i, t := range l.queue[1:] {
		b := l.queue[best].run
		if t.run.held*b.opts.Weight < b.held*t.run.opts.Weight {
			best = i + 1
		}
	}
	return best
}

// allows tells whether a run may have one more range under way. One each is for all, unless the caller or the host has
// said how many there are.
func (l *lane) allows(r *run) bool {
	c := &l.climber
	return l.active < c.limit || r.held == 0 && !c.fixed && c.phase != refused
}

// resting tells whether the host is left alone for now, and sees to it that somebody looks again.
func (l *lane) resting() bool {
	wait := time.Until(l.rests)
	if wait <= 0 {
		return false
	}
	if !l.waking {
		l.waking = true
		time.AfterFunc(wait, func() {
			l.engine.mu.Lock()
			defer l.engine.mu.Unlock()
			l.waking = false
			l.engine.grant()
		})
	}
	return true
}

// free tells whether a range could be asked for at once.
func (l *lane) free() bool {
	l.engine.mu.Lock()
	defer l.engine.mu.Unlock()
	return l.engine.active < l.engine.limits.Connections && l.active < l.climber.limit && len(l.queue) == 0 &&
		!time.Now().Before(l.rests)
}

// came notes bytes of a range under way.
func (l *lane) came(n int) {
	l.engine.mu.Lock()
	defer l.engine.mu.Unlock()
	before := l.climber.limit
	l.climber.note(time.Now(), n, l.active)
	if l.climber.limit > before {
		l.engine.grant()
	}
}

// answered notes how long the host took to answer.
func (l *lane) answered(latency time.Duration) {
	l.engine.mu.Lock()
	defer l.engine.mu.Unlock()
	l.climber.answered(latency)
	l.engine.grant()
}

// refused notes that the host did not want a range that is under way, and is not to be asked before wait has passed.
// others tells whether it serves others meanwhile.
func (l *lane) refused(wait time.Duration) (others bool) {
	l.engine.mu.Lock()
	defer l.engine.mu.Unlock()
	served := l.active - 1
	l.climber.refuse(time.Now(), served)
	if rests := time.Now().Add(wait); rests.After(l.rests) {
		l.rests = rests
	}
	return served > 0
}

// state is what a plan needs to know of the host.
func (l *lane) state() (limit int, latency time.Duration, speed float64) {
	l.engine.mu.Lock()
	defer l.engine.mu.Unlock()
	return l.climber.limit, l.climber.latency, l.climber.speed
}
