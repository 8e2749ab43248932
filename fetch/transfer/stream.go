package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// bufferSize is what one transfer holds: io.Copy's 32 KiB cost half the speed of a loopback pull.
	bufferSize = 512 << 10
	// batch is how much is gathered before it is written: TLS gives 16 KiB at a time.
	batch = 256 << 10
	// batchAge is how long a byte may wait for others to be written with it.
	batchAge = 100 * time.Millisecond
	// floor is the speed under which a try is given up, over a window of half the stall time. It is far under the
	// slowest line in use and far over a server that drips to hold a connection.
	floor = 1 << 10
)

// try asks p once for n bytes at off and writes what comes. nil means that all of it came.
func (r *run) try(ctx context.Context, p *peer, off, n int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := newWatch(r.opts.Stall, cancel)
	defer w.stop()

	askOff, askN := off, n
	if p.whole {
		askOff, askN = 0, -1
	}
	w.arm()
	answer, err := p.origin.Fetch(ctx, askOff, askN)
	w.disarm()
	if err != nil {
		return cause(ctx, err)
	}
	err = r.receive(answer.Body, answer.At, off, n, w)
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

// receive copies a body that begins at at into the sink: n bytes at off, or all from off on.
func (r *run) receive(body io.Reader, at, off, n int64, w *watch) error {
	if at > off || at < 0 {
		return fmt.Errorf("%w: the body begins at %d, not at %d", ErrRange, at, off)
	}
	src := &timed{r: body, w: w}
	if err := r.skip(src, off-at); err != nil {
		return err
	}
	end := int64(-1)
	if n >= 0 {
		end = off + n
	}
	for pos := off; pos != end; {
		buf := r.buffer(n)
		if end >= 0 {
			buf = buf[:min(int64(len(buf)), end-pos)] // longer than asked for: cut
		}
		got, readErr := fill(src, buf)
		if got > 0 {
			if _, err := r.sink.WriteAt(buf[:got], pos); err != nil {
				return fmt.Errorf("write at %d: %w", pos, err)
			}
			pos += int64(got)
			r.stats.Bytes += int64(got)
		}
		switch {
		case pos == end:
		case errors.Is(readErr, io.EOF) && end < 0:
			r.stats.End = pos
			return nil
		case readErr != nil:
			return interrupted(readErr, pos)
		}
	}
	return nil
}

// skip throws n bytes away: the sink has them.
func (r *run) skip(src io.Reader, n int64) error {
	buf := r.buffer(-1)
	for n > 0 {
		got, err := src.Read(buf[:min(int64(len(buf)), n)])
		n -= int64(got)
		r.stats.Wasted += int64(got)
		if err != nil && n > 0 {
			return interrupted(err, r.stats.Wasted)
		}
	}
	return nil
}

func (r *run) buffer(n int64) []byte {
	if r.buf == nil {
		size := int64(bufferSize)
		if n > 0 {
			size = min(size, n)
		}
		r.buf = make([]byte, size)
	}
	return r.buf
}

// fill reads until buf is worth writing: a batch is in it, its first byte has waited long enough, or src has failed.
// Bytes and an error may come together.
func fill(src io.Reader, buf []byte) (n int, err error) {
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
