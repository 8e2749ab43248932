package gc_test

// The model: what the store holds, and where each process is in its program. A state is small and comparable, so that
// those seen can be kept in a map.
//
// The store has one model. At one level it is a single blob; at two it is a manifest (blob 0) that refers to a file
// (blob 1). Every client has a tag of its own for it.

const (
	clients    = 2
	collectors = 2
	levels     = 2
	maxSlots   = 3
)

type state struct {
	blobs  uint8         // a bit a blob in blobs/
	trash  [levels]uint8 // for each blob, a bit a copy in trash/
	tags   uint8         // a bit a client whose tag exists
	client [clients]client
	coll   [collectors]collector
}

// looker is a reader looking for a blob: in blobs, in trash (which it lists, and then renames what it saw), in blobs.
type looker struct {
	at    uint8 // see look
	blob  uint8
	seen  uint8 // the copy in trash that it will put back, a bit; 0 for none
	round uint8
}

type client struct {
	pc      uint8
	born    bool  // its lease can be seen
	held    uint8 // what the lease holds, a bit a blob
	missing uint8 // what it must fetch
	stale   bool  // a tag was dropped since it began
	looker  looker
}

type collector struct {
	pc      uint8
	second  bool  // the second read
	cursor  uint8 // the next lease, tag or blob
	leases  uint8 // those that the folder listed
	held    uint8 // what leases hold
	tagged  uint8 // tags that were seen
	known   bool  // it has read the manifest
	live    uint8 // the mark
	pending [levels]uint8
	looker  looker
}

// system is a cast of processes and the order that they keep.
type system struct {
	levels     uint8
	roles      [clients]role
	collectors int
	there      bool  // the model is in the store from the start, with the tag of client 0
	slots      uint8 // copies of one blob that may lie in trash; no collector moves one more
	rounds     uint8 // how often a reader looks before it takes a blob for missing

	// Orders that lose blobs, as controls.
	checkThenHold  bool
	noSecondRead   bool
	tagsThenLeases bool
	lateAdoption   bool // trash is adopted after the last read
	bareLease      bool // a leased manifest does not keep its files
	blobsThenLook  bool // readers look in blobs alone
}

// role is the program of a client.
type role uint8

const (
	nobody role = iota
	puller      // fetches the model and tags it
	user        // relies on the files of a tagged model, holding its manifest alone
	reader      // reads a tagged model without a lease
)

func (sys *system) all() uint8 { return 1<<sys.levels - 1 }

// whole tells whether every blob of the model is in blobs, or in trash.
func (sys *system) whole(s *state) bool {
	have := s.blobs
	for b := range s.trash {
		if s.trash[b] != 0 {
			have |= 1 << b
		}
	}
	return have&sys.all() == sys.all()
}

// fault is what is wrong with a state, "" for nothing.
func (sys *system) fault(s *state) string {
	if s.tags != 0 && !sys.whole(s) {
		return "a tag exists and a blob of its model is lost"
	}
	for i, role := range sys.roles {
		if role == user && s.client[i].pc == useRelies && !sys.whole(s) {
			return "a lease holder lost a blob that it found after it held"
		}
		if role == reader && s.client[i].pc == readMissed && !s.client[i].stale {
			return "a reader missed a blob while its tag existed"
		}
	}
	return ""
}

// toTrash moves a blob into a free copy, and tells which; 0 when there is no room in the model.
func (sys *system) toTrash(s *state, b uint8) (copied uint8) {
	for bit := uint8(1); bit < 1<<sys.slots; bit <<= 1 {
		if s.trash[b]&bit == 0 {
			s.blobs &^= 1 << b
			s.trash[b] |= bit
			return bit
		}
	}
	return 0
}

// leave takes a copy out of trash. Names in trash are never used again: who remembers this one finds nothing there.
func (s *state) leave(b, bit uint8) {
	s.trash[b] &^= bit
	for i := range s.coll {
		s.coll[i].pending[b] &^= bit
		s.coll[i].looker.forget(b, bit)
	}
	for i := range s.client {
		s.client[i].looker.forget(b, bit)
	}
}

func (l *looker) forget(b, bit uint8) {
	if l.blob == b && l.seen == bit {
		l.seen = 0
	}
}

// restore puts a copy back, if it is there still.
func (s *state) restore(b, bit uint8) {
	if s.trash[b]&bit != 0 {
		s.blobs |= 1 << b
		s.leave(b, bit)
	}
}

// look is one step of a reader. done is true with the last one, and found tells how it ended. more is other states
// that the step may lead to: a listing may find any of several copies first.
func (sys *system) look(s *state, of func(*state) *looker) (more []state, found, done bool) {
	l := of(s)
	switch l.at {
	case 0, 3: // blobs
		if s.blobs&(1<<l.blob) != 0 {
			*l = looker{}
			return nil, true, true
		}
		if l.at == 0 && !sys.blobsThenLook {
			l.at = 1
			return nil, false, false
		}
		if l.round++; l.round >= sys.rounds {
			*l = looker{}
			return nil, false, true
		}
		l.at = 0
	case 1: // list trash
		l.at = 2
		if s.trash[l.blob] == 0 {
			l.at = 3
		}
		for bit := uint8(1); bit < 1<<sys.slots; bit <<= 1 {
			if s.trash[l.blob]&bit == 0 {
				continue
			}
			if l.seen == 0 {
				l.seen = bit
				continue
			}
			other := *s
			of(&other).seen = bit
			more = append(more, other)
		}
	case 2: // rename what was seen
		b, bit := l.blob, l.seen
		l.at, l.seen = 3, 0
		if bit != 0 {
			s.restore(b, bit)
		}
	}
	return more, false, false
}
