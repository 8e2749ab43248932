package gc_test

// Positions in the programs of clients; 0 is before the first step, and after the last.
const (
	start uint8 = iota
	born        // has a lease that holds nothing
	looking
	holdLate // checkThenHold: between look and hold
	fetches
	tagging
	releases
	useRelies
	readMissed
)

// stepClient is one step of client i, from s to each of the states it returns.
func (sys *system) stepClient(s state, i int) []state {
	c := &s.client[i]
	switch {
	case sys.roles[i] == nobody, c.pc == readMissed:
		return nil
	case c.pc == looking:
		return sys.clientLooks(s, i)
	case c.pc == start:
		if sys.roles[i] != puller && s.tags == 0 {
			return nil
		}
		c.pc, c.born, c.looker = born, sys.roles[i] != reader, looker{}
	case c.pc == born:
		c.pc, c.looker.blob = looking, sys.first(i)
		switch {
		case sys.roles[i] == user:
			c.held = 1
		case sys.roles[i] == puller && !sys.checkThenHold:
			c.held = sys.all()
		}
	case c.pc == holdLate:
		c.held = sys.all()
		c.afterLook()
	case c.pc == fetches:
		b := c.missing & -c.missing
		s.blobs |= b
		c.missing &^= b
		c.afterLook()
	case c.pc == tagging:
		s.tags |= 1 << i
		c.pc = releases
	default: // releases, useRelies
		*c = client{}
	}
	return []state{s}
}

// first is the blob that a client looks for first: who pulls brings the file before the manifest.
func (sys *system) first(i int) uint8 {
	if sys.roles[i] == puller {
		return sys.levels - 1
	}
	return 0
}

func (c *client) afterLook() {
	c.pc = tagging
	if c.missing != 0 {
		c.pc = fetches
	}
}

func (sys *system) clientLooks(s state, i int) []state {
	c := &s.client[i]
	b := c.looker.blob
	more, found, done := sys.look(&s, func(s *state) *looker { return &s.client[i].looker })
	if !done {
		return append(more, s)
	}
	switch {
	case sys.roles[i] == puller:
		if !found {
			c.missing |= 1 << b
		}
		switch {
		case b > 0:
			c.looker.blob = b - 1
		case sys.checkThenHold:
			c.pc = holdLate
		default:
			c.afterLook()
		}
	case found && b+1 < sys.levels:
		c.looker.blob = b + 1
	case found && sys.roles[i] == user:
		c.pc = useRelies
	case !found && sys.roles[i] == reader && !c.stale:
		c.pc = readMissed
	default:
		*c = client{}
	}
	return append(more, s)
}

// Positions of a collector.
const (
	adopts uint8 = iota
	lists        // the folder of leases
	leases
	tagsRead
	manifests
	moves
	settles
	stops // puts back what it moved
)

// stepCollector is one step of collector i.
func (sys *system) stepCollector(s state, i int) []state {
	c := &s.coll[i]
	switch c.pc {
	case adopts:
		if !sys.lateAdoption {
			c.pending = s.trash
		}
		c.pc = lists
		if sys.tagsThenLeases {
			c.pc = tagsRead
		}
	case lists:
		c.leases, c.cursor, c.pc = 0, 0, leases
		for j := range s.client {
			if s.client[j].born {
				c.leases |= 1 << j
			}
		}
		sys.nextLease(&s, c)
	case leases:
		c.held |= s.client[c.cursor].held
		c.cursor++
		sys.nextLease(&s, c)
	case tagsRead:
		c.tagged |= s.tags & (1 << c.cursor)
		if c.cursor++; sys.lastTag(c.cursor) {
			c.cursor = 0
			if c.pc = lists; !sys.tagsThenLeases {
				sys.afterRoots(&s, c)
			}
		}
	case manifests:
		return sys.readManifest(s, i)
	case moves:
		if b := c.cursor; s.blobs&(1<<b) != 0 {
			c.pending[b] |= sys.toTrash(&s, b)
		}
		c.cursor++
		sys.nextMove(c)
	case settles, stops:
		settle(&s, c)
	}
	return []state{s}
}

// lastTag tells whether no puller, and so no tag, comes after this one.
func (sys *system) lastTag(cursor uint8) bool {
	return cursor == clients || sys.roles[cursor] != puller
}

// nextLease passes over clients without a lease.
func (sys *system) nextLease(s *state, c *collector) {
	for ; c.cursor < clients; c.cursor++ {
		if c.leases&(1<<c.cursor) != 0 {
			return
		}
	}
	c.cursor, c.leases = 0, 0
	if c.pc = tagsRead; sys.tagsThenLeases {
		sys.afterRoots(s, c)
	}
}

func (sys *system) afterRoots(s *state, c *collector) {
	root := c.tagged != 0 || c.held&1 != 0 && !sys.bareLease
	if root && sys.levels > 1 && !c.known {
		c.pc = manifests
		return
	}
	sys.marked(s, c)
}

// marked goes on when leases, tags and manifests were read.
func (sys *system) marked(s *state, c *collector) {
	c.live = c.held
	if c.tagged != 0 || c.held&1 != 0 && c.known && !sys.bareLease {
		c.live = sys.all()
	}
	c.held, c.tagged, c.cursor = 0, 0, 0
	switch {
	case !c.second:
		c.pc = moves
		sys.nextMove(c)
	case sys.lateAdoption:
		c.pc, c.pending = settles, s.trash
	default:
		c.pc = settles
	}
}

// readManifest reads the manifest as any reader does. One that is missing is no fault when its tags are gone by now.
func (sys *system) readManifest(s state, i int) []state {
	more, found, done := sys.look(&s, func(s *state) *looker { return &s.coll[i].looker })
	c := &s.coll[i]
	switch {
	case !done:
	case found:
		c.known = true
		sys.marked(&s, c)
	case c.tagged&s.tags != 0:
		c.pc, c.live = stops, sys.all()
	default:
		c.tagged = 0
		sys.marked(&s, c)
	}
	return append(more, s)
}

// nextMove passes over live blobs; after the last it begins the second read.
func (sys *system) nextMove(c *collector) {
	for ; c.cursor < sys.levels; c.cursor++ {
		if c.live&(1<<c.cursor) == 0 {
			return
		}
	}
	c.cursor = 0
	switch {
	case sys.noSecondRead:
		c.pc = settles
		return
	case sys.tagsThenLeases:
		c.pc = tagsRead
	default:
		c.pc = lists
	}
	c.second, c.live = true, 0
}

// settle decides one copy; when there is none left, the collector is done and may begin again.
func settle(s *state, c *collector) {
	for b := range uint8(levels) {
		bit := c.pending[b] & -c.pending[b]
		if bit == 0 {
			continue
		}
		if c.live&(1<<b) != 0 {
			s.restore(b, bit)
		} else {
			s.leave(b, bit)
		}
		return
	}
	*c = collector{}
}
