package transfer

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The zero Limits stand for these.
const (
	// MaxConnections is where more no longer helped on a far server, which is where it helps most.
	MaxConnections = 32
	// DefaultMemory bounds the buffers of a process.
	DefaultMemory = 64 << 20
)

const (
	// mostBuffer is one connection's buffer: io.Copy's 32 KiB cost half the speed of a loopback pull, and more than
	// this gains nothing. leastBuffer is what a connection gets where memory is short.
	mostBuffer  = 512 << 10
	leastBuffer = 16 << 10
)

// Limits are what the transfers of an Engine share. The zero value is the default.
type Limits struct {
	// Connections is how many ranges are under way at once, in all; 0: as many as each host serves well, up to
	// [MaxConnections].
	Connections int
	// Rate is bytes a second, of all transfers and uploads together; 0: as fast as it goes.
	Rate int64
	// Memory is the most bytes of buffers; 0: [DefaultMemory]. Where it is short, there are fewer connections.
	Memory int64
	// ChunkSize is the bytes of one range; 0: the engine chooses, by how far away a server is and what is left.
	ChunkSize int64
}

// Engine runs transfers within limits that they share. It may be used by several goroutines.
type Engine struct {
	limits Limits        // with Connections never 0: the most there are
	fixed  bool          // the caller said how many connections there are
	rate   *rate.Limiter // nil: none
	buffer int           // bytes of one connection's buffer

	mu     sync.Mutex
	lanes  map[string]*lane
	active int // ranges under way
	free   [][]byte
}

// New makes an engine.
func New(l Limits) *Engine {
	if l.Memory <= 0 {
		l.Memory = DefaultMemory
	}
	most := l.Connections
	if most <= 0 {
		most = MaxConnections
	}
	fit := max(1, int(l.Memory/(2*leastBuffer))) // half of it: what else a connection holds is not ours to bound
	e := &Engine{limits: l, fixed: l.Connections > 0, lanes: make(map[string]*lane)}
	e.limits.Connections = min(most, fit)
	e.buffer = int(min(mostBuffer, max(leastBuffer, l.Memory/2/int64(e.limits.Connections))))
	if l.Rate > 0 {
		e.rate = rate.NewLimiter(rate.Limit(l.Rate), burst(l.Rate))
	}
	return e
}

// burst is how many bytes may pass at once: a fiftieth of a second, so that the rate holds over any few seconds.
func burst(perSecond int64) int {
	const least, share = 512, 50
	return int(min(mostBuffer, max(least, perSecond/share)))
}

// Throttle waits until n more bytes may pass, at most 64 KiB at a time, and fails when ctx is done first. It is for
// bytes that other code moves: uploads.
func (e *Engine) Throttle(ctx context.Context, n int) error {
	if e.rate == nil {
		return nil
	}
	for n > 0 {
		piece := min(n, e.rate.Burst())
		turn := e.rate.ReserveN(time.Now(), piece)
		if err := sleep(ctx, turn.Delay()); err != nil {
			turn.Cancel()
			return err
		}
		n -= piece
	}
	return nil
}

// piece is how many bytes to read at once, at most.
func (e *Engine) piece() int {
	if e.rate == nil {
		return e.buffer
	}
	return min(e.buffer, e.rate.Burst())
}

func (e *Engine) getBuffer() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := len(e.free); n > 0 {
		buf := e.free[n-1]
		e.free = e.free[:n-1]
		return buf
	}
	return make([]byte, e.buffer)
}

func (e *Engine) putBuffer(buf []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.free = append(e.free, buf)
}

// Run fetches what sink misses from origins and returns when nothing is missing. A sink that misses all from an
// offset on (unknown size) is filled by one stream, and is done when the origin says that its body is whole; Stats.End
// is the size then.
//
// A range that fails with an error that is worth a retry ([Retryable]) is asked for again within opts, at another
// origin where there are several; an origin whose error is not leaves the transfer. The error is the last of all
// origins, the sink's, or ctx's: cancelling ends Run at once. What the sink has stays in the sink.
func (e *Engine) Run(ctx context.Context, sink Sink, origins []Origin, opts Options) (Stats, error) {
	if len(origins) == 0 {
		return Stats{}, errors.New("transfer: no origin has the blob")
	}
	start := time.Now()
	r := newRun(e, sink, origins, opts.withDefaults())
	err := r.all(ctx)
	r.stats.Elapsed = time.Since(start)
	r.stats.Memory = int64(r.stats.Connections) * int64(e.buffer)
	r.stats.Bytes, r.stats.Wasted, r.stats.Peak = r.meter.bytes, r.meter.wasted, r.meter.best()
	return r.stats, err
}
