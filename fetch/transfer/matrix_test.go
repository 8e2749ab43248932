package transfer_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/mstore/mstore/internal/faultserver"
)

// large is more than one range of a host nearby.
const large = 9<<20 + 5

// elsewhere are faults that a transfer alone has no answer to, with who has.
func elsewhere(f faultserver.Fault) bool {
	return f.Name == "17 401 midway, the token has expired" || // sources refresh tokens
		f.Name == "19 redirect to a private address" || // from loopback it is allowed, and nobody may answer
		f.Name == "14 503 with Retry-After of a year" // it is obeyed for a minute: TestRetryAfterIsObeyedUpToItsCap
}

// TestMatrix is every fault, at every place, met once, three times and for good, by one connection and by many.
func TestMatrix(t *testing.T) {
	for _, f := range faultserver.On(faultserver.OnBlob, faultserver.OnRedirect, faultserver.OnTLS, faultserver.OnHTTP2) {
		if elsewhere(f) {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			var all sync.WaitGroup
			defer all.Wait()
			for i, c := range trials(f) {
				if testing.Short() && i%4 != 0 {
					continue
				}
				if f.Slow { // what it takes is patience
					all.Go(func() { c.run(t) })
				} else {
					c.run(t)
				}
			}
		})
	}
}

func trials(f faultserver.Fault) (all []trial) {
	const last, third = wildSize - 77, wildSize / 3
	add := func(offset int64, times int, more trial) {
		more.in = faultserver.Injection{Fault: f, Offset: offset, Times: times}
		more.size, more.http2 = max(more.size, wildSize), f.Where == faultserver.OnHTTP2
		all = append(all, more)
	}
	if strings.Contains(f.Name, "100 MB") || strings.Contains(f.Name, "flood") { // each answer is what it says
		add(0, 1, trial{connections: 8})
		add(third, 1, trial{connections: 1})
		add(last, 0, trial{connections: 8})
		add(wildSize-1, 3, trial{near: true})
		return all
	}
	if f.Slow { // each costs what a client waits
		add(0, 1, trial{connections: 8})
		add(third, 1, trial{connections: 1})
		add(last, 1, trial{connections: 8})
		add(third, 0, trial{connections: 8})
		add(third, 1, trial{near: true})
		add(large/3, 1, trial{near: true, size: large})
		return all
	}
	for _, connections := range []int{1, 8} {
		for _, offset := range []int64{0, 1, third, last, wildSize - 1} {
			for _, times := range []int{1, 0} {
				add(offset, times, trial{connections: connections})
			}
		}
		add(third, 3, trial{connections: connections})
	}
	for _, times := range []int{1, 3, 0} {
		add(third, times, trial{})
		add(third, times, trial{near: true})
		add(last, times, trial{near: true, had: third + 5})
		add(large-1, times, trial{near: true, size: large})
	}
	add(large/3, 1, trial{near: true, size: large})
	return all
}
