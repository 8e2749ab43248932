// Package transfer moves the bytes of one blob from its origins into a sink, whatever the servers do.
//
// An [Engine] holds what all transfers of a process share: connections, bandwidth, memory. Its Run asks for the lowest
// bytes that the sink misses first, over several connections at once, as many as the server serves well; it writes what
// comes at the offset where it belongs, takes over what is slow or stalled, and asks again, of another origin where
// there is one, for what broke off. Every answer is checked; no byte is trusted: whether the bytes are the right ones
// is for the sink to find out. The package knows nothing of manifests, names or registries' protocols; what HTTP says
// of ranges is here ([Range], [NewAnswer], [Link]), because every origin that speaks HTTP needs it.
//
// Within a Run one goroutine decides (run.go), from the state of spans (span.go, plan.go); each span is fetched by a
// goroutine of its own (fetch.go). How many may be under way at one host is its lane's business (lane.go, climber.go).
package transfer

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"
)

// Origin is a place that has the blob. It may be asked by several goroutines at once. One that has a method
// Host() string shares the connections to that host with the other origins there, and one with Latency() time.Duration
// tells what was seen of how long that host takes to answer, 0 for nothing.
type Origin interface {
	// Fetch asks for the n bytes at off, or with n < 0 for all from off to the end. Fetch(ctx, 0, -1) asks for the
	// whole blob with no word of a range. Reading the answer's body ends with an error when ctx is done.
	Fetch(ctx context.Context, off, n int64) (*Answer, error)
}

// Answer is what an origin has for a range.
type Answer struct {
	// Body is the caller's to close. It may be longer than what was asked for.
	Body io.ReadCloser
	// At is where the body begins: the offset asked for, or less.
	At int64
	// Whole tells that the origin sends all of the blob whatever it is asked for: it has no ranges.
	Whole bool
}

// Sink takes the bytes, from several goroutines at once.
type Sink interface {
	io.WriterAt
	// MissingFrom is the lowest gap that ends after at: n bytes at off, which is at or more. n is 0 when nothing is
	// missing from there on, and negative when the size is not known, so that all from off on is missing.
	MissingFrom(at int64) (off, n int64)
}

// The zero Options stand for these.
const (
	// DefaultRetries is what a flaky line needs; a server that is down for good costs about 8 s of waiting.
	DefaultRetries = 5
	// DefaultStall is longer than any storage behind a registry was seen to think.
	DefaultStall = 60 * time.Second
)

// Options say how one transfer goes. The zero value is the default.
type Options struct {
	// Retries is how often a failed range is asked for again; 0 means [DefaultRetries], less than 0 never. Progress
	// gives retries back, but only in proportion to itself: one for each 64 KiB.
	Retries int
	// Stall ends a try in which no byte came for so long; 0 means [DefaultStall]. Half of it is the window over which a
	// try has to make 1 KiB/s.
	Stall time.Duration
	// Weight is this transfer's share of the connections where several want them; 0 means 1.
	Weight int
	// Retry, when not nil, is told of each failed try that will be repeated after wait, from one goroutine. attempt
	// counts from 1.
	Retry func(attempt int, wait time.Duration, err error)
	// Log is told at debug level of each range, retry and takeover; nil: nobody is.
	Log *slog.Logger
	// Jitter picks the wait before a retry from [0, most]. nil picks evenly, so that many clients do not come back
	// at once.
	Jitter func(most time.Duration) time.Duration
}

func (o Options) withDefaults() Options {
	if o.Retries == 0 {
		o.Retries = DefaultRetries
	}
	if o.Stall <= 0 {
		o.Stall = DefaultStall
	}
	o.Weight = max(o.Weight, 1)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Jitter == nil {
		o.Jitter = func(most time.Duration) time.Duration { return rand.N(most + 1) }
	}
	return o
}

// Stats is what a transfer did.
type Stats struct {
	Bytes       int64          // written into the sink
	Wasted      int64          // received and thrown away: the sink had it, or nobody had asked for it
	Retries     int            // tries that failed and were repeated
	Causes      map[string]int // why they failed: an HTTP status, "stall", "broken", "range" or "other"
	Takeovers   int            // ranges that another connection went on with
	Connections int            // most at once
	Elapsed     time.Duration
	Peak        int64 // bytes in the best second
	Memory      int64 // bytes of buffers, at most
	End         int64 // where the blob ended, when its size was not known; else 0
}

// Add makes s the stats of what both did: Elapsed is how long connections were at it, and the peaks are the higher of
// both.
func (s *Stats) Add(o Stats) {
	s.Bytes += o.Bytes
	s.Wasted += o.Wasted
	s.Retries += o.Retries
	s.Takeovers += o.Takeovers
	s.Elapsed += o.Elapsed
	s.Connections = max(s.Connections, o.Connections)
	s.Peak, s.Memory = max(s.Peak, o.Peak), max(s.Memory, o.Memory)
	for cause, n := range o.Causes {
		if s.Causes == nil {
			s.Causes = make(map[string]int)
		}
		s.Causes[cause] += n
	}
}

// sleep waits for d or until ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
