package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// leastBatch and mostBatch are how much is gathered before it is written: TLS gives 16 KiB at a time. Between them it
	// is what comes in batchTime, because what was gathered and not written is lost with the process.
	leastBatch = 8 << 10
	mostBatch  = 256 << 10
	batchTime  = time.Millisecond
	// batchAge is how long a byte may wait for others to be written with it.
	batchAge = 100 * time.Millisecond
	// floor is the speed under which a try is given up, over a window of half the stall time. It is far under the
	// slowest line in use and far over a server that drips to hold a connection.
	floor = 1 << 10
)

var (
	// errTaken ends a span whose rest somebody else has taken over.
	errTaken = errors.New("another connection goes on with it")
	// errWhole ends a span whose origin answers a range with the whole blob.
	errWhole = fmt.Errorf("%w: the whole was sent", ErrRange)
)

// sinkError is an error of the sink: no other try can help.
type sinkError struct{ error }

func (e *sinkError) Unwrap() error { return e.error }

// fetch asks for a span once and writes what comes. nil means that all of it came.
func (r *run) fetch(ctx context.Context, s *span) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := newWatch(r.opts.Stall, cancel)
	defer w.stop()

	pos, end := s.bounds()
	off, n := pos, s.asked-pos
	if s.whole || end < 0 || pos == 0 && s.asked == r.end && s.asked > end {
		n = -1 // without a word of a range servers are at their best
	}
	if s.whole {
		off = 0
	}
	start := time.Now()
	w.arm()
	answer, err := s.peer.origin.Fetch(ctx, off, n)
	w.disarm()
	if err != nil {
		return cause(ctx, err)
	}
	s.peer.lane.answered(time.Since(start))
	s.ranged = !answer.Whole
	if answer.Whole && n >= 0 && (end < r.end || pos > nearChunk) {
		err = errWhole
	} else {
		err = r.receive(ctx, s, answer, &timed{r: answer.Body, w: w})
	}
	_ = answer.Body.Close() // read to the end, or not wanted any more: an error of Close says nothing about the bytes
	return cause(ctx, err)
}

// cause is what ended ctx, where err came of that.
func cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// receive copies what src has for the span into the sink.
func (r *run) receive(ctx context.Context, s *span, answer *Answer, src io.Reader) error {
	pos, _ := s.bounds()
	if answer.At > pos || answer.At < 0 {
		return fmt.Errorf("%w: the body begins at %d, not at %d", ErrRange, answer.At, pos)
	}
	buf := r.engine.getBuffer()
	defer r.engine.putBuffer(buf)
	if err := r.skip(ctx, src, buf, pos-answer.At); err != nil {
		return err
	}
	for {
		want := s.want(r.engine.piece())
		if want == 0 {
			return nil
		}
		got, readErr := fill(src, buf[:want], s.batch(time.Now()))
		off, keep := s.claim(got)
		r.meter.add(0, got-keep)
		s.peer.lane.came(got)
		if err := r.write(buf[:keep], off); err != nil {
			return &sinkError{fmt.Errorf("write at %d: %w", off, err)}
		}
		if err := r.engine.Throttle(ctx, got); err != nil { // the last bytes too: many small blobs are nothing but last bytes
			return err
		}
		switch pos, end := s.bounds(); {
		case pos == end && readErr == nil && keep == got && end < s.asked && r.more(ctx, s): // src is at pos still
		case pos == end:
			return nil
		case errors.Is(readErr, io.EOF) && end < 0:
			return nil
		case readErr != nil:
			return interrupted(readErr, pos)
		}
	}
}

// write gives the sink those of the bytes at off that it misses.
func (r *run) write(p []byte, off int64) error {
	for len(p) > 0 {
		at, n := r.sink.MissingFrom(off)
		if n == 0 || at >= off+int64(len(p)) {
			r.meter.add(0, len(p))
			return nil
		}
		if at > off {
			r.meter.add(0, int(at-off))
			p, off = p[at-off:], at
		}
		part := p
		if n > 0 {
			part = p[:min(n, int64(len(p)))]
		}
		if _, err := r.sink.WriteAt(part, off); err != nil {
			return err
		}
		r.meter.add(len(part), 0)
		p, off = p[len(part):], off+int64(len(part))
	}
	return nil
}

// skip throws n bytes away: the sink has them.
func (r *run) skip(ctx context.Context, src io.Reader, buf []byte, n int64) error {
	for n > 0 {
		got, err := src.Read(buf[:min(int64(len(buf)), n)])
		n -= int64(got)
		r.meter.add(0, got)
		if err != nil && n > 0 {
			return interrupted(err, 0)
		}
		if err := r.engine.Throttle(ctx, got); err != nil {
			return err
		}
	}
	return nil
}

// batch is how much of the span to gather before it is written.
func (s *span) batch(now time.Time) int {
	_, speed, _ := s.pace(now)
	return int(min(mostBatch, max(leastBatch, speed*batchTime.Seconds())))
}

// fill reads until buf is worth writing: a batch is in it, its first byte has waited long enough, or src has failed.
// Bytes and an error may come together.
func fill(src io.Reader, buf []byte, batch int) (n int, err error) {
	var first time.Time
	for n < min(len(buf), batch) {
		got, err := src.Read(buf[n:])
		if err != nil {
			return n + got, err
		}
		if n == 0 {
			first = time.Now()
		}
		if n += got; n > 0 && time.Since(first) > batchAge {
			break
		}
	}
	return n, nil
}

// interrupted is the error of a body that broke off at pos. Whatever its cause, the bytes before it may be kept.
func interrupted(err error, pos int64) error {
	if _, ok := errors.AsType[*StallError](err); ok {
		return err
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w at byte %d: %w", ErrInterrupted, pos, err)
}
