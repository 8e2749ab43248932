package gc_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// mostStates ends an exploration that would not fit a test.
const mostStates = 6_000_000

// visit is a state, and how it was first reached.
type visit struct {
	state state
	from  int32
	by    event
}

// event says what led to a state.
type event uint8

const (
	stepsClient event = iota * 2 // and the number of the process
	killsClient
	dropsTag
	stepsCollector
	killsCollector
)

func (e event) String() string {
	names := [...]string{"client", "kill client", "drop tag", "collector", "kill collector"}
	return fmt.Sprintf("%s %d", names[e/2], e%2)
}

// explore visits every state that the system can reach from an empty store, with every process killed at every step and
// tags dropped at any time, and returns how many there are. It ends at the first state with a fault; trace tells how
// that came about.
func (sys *system) explore(t *testing.T) (states int, fault, trace string) {
	t.Helper()
	var first state
	if sys.there {
		first = state{blobs: sys.all(), tags: 1}
	}
	seen := map[state]struct{}{first: {}}
	visits := []visit{{state: first, from: -1}}
	for at := 0; at < len(visits); at++ {
		s := visits[at].state
		sys.successors(s, func(next state, by event) {
			sys.symmetric(&next)
			if _, had := seen[next]; !had {
				seen[next] = struct{}{}
				visits = append(visits, visit{next, int32(at), by})
			}
		})
		if fault = sys.fault(&s); fault == "" {
			fault = sys.garbage(s)
		}
		if fault != "" {
			return len(visits), fault, path(visits, at)
		}
		if len(visits) > mostStates {
			t.Fatalf("more than %d states", mostStates)
		}
	}
	return len(visits), "", ""
}

// symmetric swaps collectors, which differ in nothing but their place, so that half of the states do for all.
func (sys *system) symmetric(s *state) {
	if a, b := &s.coll[0], &s.coll[1]; sys.collectors > 1 && b.less(a) {
		*a, *b = *b, *a
	}
}

func (c *collector) less(d *collector) bool {
	for _, pair := range [][2]uint8{
		{c.pc, d.pc},
		{c.cursor, d.cursor},
		{c.leases, d.leases},
		{c.held, d.held},
		{c.tagged, d.tagged},
		{c.live, d.live},
		{c.pending[0], d.pending[0]},
		{c.pending[1], d.pending[1]},
		{c.looker.at, d.looker.at},
		{c.looker.seen, d.looker.seen},
		{c.looker.round, d.looker.round},
		{bit(c.second), bit(d.second)},
		{bit(c.known), bit(d.known)},
	} {
		if pair[0] != pair[1] {
			return pair[0] < pair[1]
		}
	}
	return false
}

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// successors gives each state that one step, one kill or one dropped tag leads to.
func (sys *system) successors(s state, yield func(next state, by event)) {
	for i := range s.client {
		for _, next := range sys.stepClient(s, i) {
			yield(next, stepsClient+event(i))
		}
		if s.client[i].pc != start {
			next := s
			next.client[i] = client{} // the kernel gives up its lease
			yield(next, killsClient+event(i))
		}
		if s.tags&(1<<i) != 0 {
			next := s
			next.tags &^= 1 << i
			for j := range next.client {
				if sys.roles[j] == reader && next.client[j].pc != start {
					next.client[j].stale = true
				}
			}
			yield(next, dropsTag+event(i))
		}
	}
	for i := range sys.collectors {
		for _, next := range sys.stepCollector(s, i) {
			yield(next, stepsCollector+event(i))
		}
		if s.coll[i] != (collector{}) {
			next := s
			next.coll[i] = collector{}
			yield(next, killsCollector+event(i))
		}
	}
}

// garbage runs one collector alone where all processes rest, and tells when that leaves what no tag keeps, or does
// not bring back what one does.
func (sys *system) garbage(s state) string {
	if s.client != ([clients]client{}) || s.coll != ([collectors]collector{}) {
		return ""
	}
	for b := range s.trash {
		if s.trash[b] == 1<<sys.slots-1 {
			return "" // the model has no room to move another copy
		}
	}
	for ran := false; !ran || s.coll[0] != (collector{}); ran = true {
		s = sys.stepCollector(s, 0)[0]
	}
	var want uint8
	if s.tags != 0 {
		want = sys.all()
	}
	if s.blobs != want || s.trash != ([levels]uint8{}) {
		return "a collector alone does not leave what the tags keep, and nothing else"
	}
	return ""
}

// path tells how a visit came about, a step a line.
func path(visits []visit, at int) string {
	var lines []string
	for i := int32(at); i > 0; i = visits[i].from {
		lines = append(lines, fmt.Sprintf("%-17v %+v\n", visits[i].by, visits[i].state))
	}
	slices.Reverse(lines)
	return strings.Join(lines, "")
}

// The casts are small enough together for every run of the tests; the large ones, which differ in numbers alone, are for
// MSTORE_MODELCHECK=large.
func TestModelLosesNothing(t *testing.T) {
	pullers := [clients]role{puller, puller}
	for _, test := range []struct {
		name  string
		sys   system
		large bool
	}{
		{"2 pullers, 2 collectors", system{levels: 1, slots: 1, roles: pullers, collectors: 2, rounds: 1}, false},
		{"2 pullers, 2 collectors, two copies in trash", system{levels: 1, slots: 2, roles: pullers, collectors: 2, rounds: 1}, true},
		{"1 puller, 2 collectors, two copies in trash", system{levels: 1, slots: 2, roles: [clients]role{puller}, collectors: 2, rounds: 1}, false},
		{"2 pullers, 1 collector, manifest and file", system{levels: 2, slots: 1, roles: pullers, collectors: 1, rounds: 1}, false},
		{"2 pullers, 1 collector, manifest and file, two copies in trash", system{levels: 2, slots: 2, roles: pullers, collectors: 1, rounds: 1}, true},
		{"1 puller, 2 collectors, manifest and file", system{levels: 2, slots: 1, roles: [clients]role{puller}, collectors: 2, rounds: 1}, false},
		{"puller, lease holder, 1 collector", system{levels: 2, slots: 2, roles: [clients]role{puller, user}, collectors: 1, rounds: 1}, false},
		{"lease holder of a model that was there, 2 collectors", system{levels: 2, slots: 1, roles: [clients]role{nobody, user}, collectors: 2, rounds: 2, there: true}, false},
		{"reader, puller, 1 collector", system{levels: 1, slots: 2, roles: [clients]role{puller, reader}, collectors: 1, rounds: 1}, false},
		{"reader that looks twice, puller, 2 collectors", system{levels: 1, slots: 2, roles: [clients]role{puller, reader}, collectors: 2, rounds: 2}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.large && os.Getenv("MSTORE_MODELCHECK") != "large" {
				t.Skip("set MSTORE_MODELCHECK=large to explore millions of states")
			}
			began := time.Now()
			states, fault, trace := test.sys.explore(t)
			t.Logf("%d states %v", states, time.Since(began))
			if fault != "" {
				t.Errorf("%s:\n%s", fault, trace)
			}
		})
	}
}

// TestModelFindsWhatIsWrong is the control: the checker that finds no fault in the order of this package finds one in
// each of these.
func TestModelFindsWhatIsWrong(t *testing.T) {
	two := system{levels: 1, slots: 2, roles: [clients]role{puller, puller}, collectors: 2, rounds: 1}
	holder := system{levels: 2, slots: 1, roles: [clients]role{nobody, user}, collectors: 1, rounds: 1, there: true}
	for name, broken := range map[string]func() system{
		"check, then hold":         func() system { s := two; s.checkThenHold = true; return s },
		"no second read":           func() system { s := two; s.noSecondRead = true; return s },
		"tags, then leases":        func() system { s := two; s.tagsThenLeases = true; return s },
		"trash adopted at the end": func() system { s := two; s.lateAdoption = true; return s },
		"a reader that does not look in trash": func() system {
			return system{levels: 1, slots: 1, roles: [clients]role{puller, reader}, collectors: 1, rounds: 1, blobsThenLook: true}
		},
		"a reader that looks once, of two collectors": func() system {
			return system{levels: 1, slots: 2, roles: [clients]role{puller, reader}, collectors: 2, rounds: 1}
		},
		"a leased manifest that keeps itself alone":                   func() system { s := holder; s.bareLease = true; return s },
		"a leased manifest that one of two collectors looks for once": func() system { s := holder; s.collectors = 2; return s },
	} {
		t.Run(name, func(t *testing.T) {
			sys := broken()
			began := time.Now()
			states, fault, trace := sys.explore(t)
			if fault == "" {
				t.Fatalf("%d states, and no fault found", states)
			}
			t.Logf("%d states: %s, in %d steps %v", states, fault, strings.Count(trace, "\n"), time.Since(began))
		})
	}
}
