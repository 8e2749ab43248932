package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/internal/memsink"
)

// chance is an origin that does what a seed says: it answers, fails, is late, falls silent, sends less or more than was
// asked for, or from before it, or all of it.
type chance struct {
	data  []byte
	evil  float64 // how often something goes wrong
	mu    sync.Mutex
	rng   *rand.Rand
	asked int
}

func (c *chance) below(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rng.IntN(n)
}

func (c *chance) wrong() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rng.Float64() < c.evil
}

func (c *chance) Fetch(ctx context.Context, off, n int64) (*transfer.Answer, error) {
	c.mu.Lock()
	c.asked++
	c.mu.Unlock()
	wait := time.NewTimer(time.Duration(c.below(30)) * time.Millisecond)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	size := int64(len(c.data))
	a, to := &transfer.Answer{At: off}, size
	if n >= 0 {
		to = min(size, off+n)
	}
	body := &chanceBody{c: c, ctx: ctx, pause: time.Duration(c.below(20)) * time.Millisecond}
	a.Body = body
	if !c.wrong() {
		body.data = c.data[off:to]
		return a, nil
	}
	switch c.below(9) {
	case 0:
		return nil, io.ErrUnexpectedEOF
	case 1:
		return nil, &transfer.StatusError{Status: []int{408, 429, 500, 503, 503}[c.below(5)], RetryAfter: time.Duration(c.below(3)) * time.Second}
	case 2:
		return nil, transfer.ErrRange
	case 3:
		a.At, a.Whole, body.data = 0, true, c.data
	case 4:
		a.At = max(0, off-int64(c.below(1000)))
		body.data = c.data[a.At:]
	case 5: // it breaks off
		body.data, body.end = c.data[off:off+int64(c.below(int(to-off)+1))], io.ErrUnexpectedEOF
	case 6: // it ends too soon, cleanly
		body.data = c.data[off : off+int64(c.below(int(to-off)+1))]
	case 7: // it falls silent
		body.data, body.silent = c.data[off:off+int64(c.below(int(to-off)+1))], true
	case 8:
		body.data, body.pause = c.data[off:to], time.Duration(c.below(3000))*time.Millisecond
	}
	return a, nil
}

type chanceBody struct {
	c      *chance
	ctx    context.Context
	data   []byte
	pause  time.Duration
	end    error
	silent bool
}

func (b *chanceBody) Read(p []byte) (int, error) {
	if len(b.data) == 0 && b.silent {
		<-b.ctx.Done()
	}
	if b.ctx.Err() != nil {
		return 0, b.ctx.Err()
	}
	if len(b.data) == 0 {
		if b.end != nil {
			return 0, b.end
		}
		return 0, io.EOF
	}
	wait := time.NewTimer(b.pause)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
	n := copy(p[:min(len(p), 1+b.c.below(64<<10))], b.data)
	b.data = b.data[n:]
	return n, nil
}

func (b *chanceBody) Close() error { return nil }

// byChance makes one transfer that a seed decides. It must end with the right bytes or an error, in bounded time, and
// write no byte twice, which the sink refuses.
func byChance(t *testing.T, seed uint64) (ended bool) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	data := blob(1 + rng.IntN(3<<20))
	var had []byte
	if rng.IntN(3) == 0 {
		had = data[:rng.IntN(len(data))]
	}
	sink := memsink.New(len(data), had)
	unknown := rng.IntN(8) == 0
	if unknown {
		sink = memsink.NewUnknown(had)
	}
	var origins []transfer.Origin
	for i := range uint64(1 + rng.IntN(3)) {
		origins = append(origins, &chance{data: data, evil: rng.Float64() * 0.7, rng: rand.New(rand.NewPCG(seed, 2+i))})
	}
	e := transfer.New(transfer.Limits{
		Connections: rng.IntN(9), ChunkSize: []int64{0, 1000, 64 << 10, 300_001}[rng.IntN(4)],
		Rate: []int64{0, 0, 200_000}[rng.IntN(3)], Memory: []int64{0, 1, 100 << 10}[rng.IntN(3)],
	})
	ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Hour, errTooLong)
	defer cancel()
	if rng.IntN(10) == 0 { // it is cancelled at some time
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, time.Duration(rng.IntN(5000))*time.Millisecond)
		defer stop()
	}
	opts := transfer.Options{Retries: rng.IntN(20) - 1, Stall: time.Duration(1+rng.IntN(60)) * time.Second}
	stats, err := e.Run(ctx, sink, origins, opts)
	got, whole := sink.Bytes()
	missing := int64(len(data) - len(had))
	switch {
	case errors.Is(err, errTooLong):
		t.Errorf("seed %d: no end: %+v", seed, stats)
	case err != nil && !transfer.Retryable(err) && ctx.Err() == nil:
		t.Errorf("seed %d: %v", seed, err)
	case err == nil && (!whole || !bytes.Equal(got, data)) && !unknown:
		t.Errorf("seed %d: no error, and wrong bytes: %+v", seed, stats)
	case err == nil && !unknown && stats.Bytes != missing, stats.Bytes > missing:
		t.Errorf("seed %d: %d bytes of %d: %+v", seed, stats.Bytes, missing, stats)
	case unknown && !bytes.HasPrefix(data, got):
		t.Errorf("seed %d: wrong bytes of an unknown number", seed)
	}
	return err == nil
}

// TestByChance is many of them, of which a good part has to end well.
func TestByChance(t *testing.T) {
	const runs = 150
	first := rand.Uint64()
	good := 0
	for i := range uint64(runs) {
		synctest.Test(t, func(t *testing.T) {
			if byChance(t, first+i) {
				good++
			}
		})
	}
	if good < runs/4 {
		t.Errorf("seeds from %d: only %d of %d ended well", first, good, runs)
	}
}

// TestTheSpeedOfWhatFellSilent: seeds that ended never, while a span that had brought bytes and then nothing for a
// window had a speed that was not a number.
func TestTheSpeedOfWhatFellSilent(t *testing.T) {
	for range 20 {
		for _, seed := range []uint64{3981458584533850886, 552108936240187515} {
			synctest.Test(t, func(t *testing.T) { byChance(t, seed) })
		}
	}
}

func FuzzByChance(f *testing.F) {
	f.Add(uint64(1))
	for seed := range uint64(20) {
		f.Add(seed + 100)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		synctest.Test(t, func(t *testing.T) { byChance(t, seed) })
	})
}
