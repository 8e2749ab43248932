package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/mstore/mstore/fetch/transfer"
)

const (
	// commitStalls is how many stall times a registry may think when it has all bytes of a request: it hashes them, or
	// copies them into its storage.
	commitStalls = 5
	// piece is the most that goes to the network at a time.
	piece = 64 << 10
)

// line is what the requests of one upload share: the content, and whoever is told how far it is. The transport may
// still read the body of a request that has ended; such a body is cut off here.
type line struct {
	content  io.ReaderAt
	throttle func(ctx context.Context, n int) error
	progress func(Progress)

	mu    sync.Mutex
	live  *body // the one that may read
	shown Progress
	err   error // what kept the content from being read
}

// body is the content from off to end as the body of one request.
type body struct {
	line     *line
	ctx      context.Context //nolint:containedctx // a reader has no other way to get the one of its request
	watch    *sendWatch
	off, end int64
}

// open makes the one body that may read.
func (l *line) open(ctx context.Context, w *sendWatch, off, end int64) *body {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live = &body{line: l, ctx: ctx, watch: w, off: off, end: end}
	return l.live
}

// close ends the reading, and tells what kept the content from being read, if anything did.
func (l *line) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live = nil
	return l.err
}

// tell says how far the upload is. What is sent a second time moves nothing.
func (l *line) tell(done int64) {
	if done > l.shown.Done {
		l.show(Progress{Done: done, Reused: l.shown.Reused})
	}
}

// restart says that the upload is at p now, wherever it was.
func (l *line) restart(p Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p != l.shown {
		l.show(p)
	}
}

func (l *line) show(p Progress) {
	l.shown = p
	if l.progress != nil {
		l.progress(p)
	}
}

func (b *body) Read(p []byte) (int, error) {
	b.line.mu.Lock()
	defer b.line.mu.Unlock()
	switch {
	case b.line.live != b:
		return 0, io.ErrClosedPipe
	case b.off == b.end:
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), piece, b.end-b.off)]
	if err := b.wait(len(p)); err != nil {
		return 0, err
	}
	n, err := b.line.content.ReadAt(p, b.off)
	if n < len(p) {
		b.line.err = fmt.Errorf("read the blob at %d: %w", b.off+int64(n), noEOF(err))
		return 0, b.line.err
	}
	b.off += int64(n)
	b.watch.sent(b.off == b.end)
	b.line.tell(b.off)
	return n, nil
}

// wait is for the rate limit. The registry is not to blame for it.
func (b *body) wait(n int) error {
	if b.line.throttle == nil {
		return nil
	}
	b.watch.timer.Stop()
	if err := b.line.throttle(b.ctx, n); err != nil {
		b.line.err = err
		if b.ctx.Err() != nil {
			b.line.err = nil // it says so itself
		}
		return err
	}
	return nil
}

// Close leaves the line to whoever opens a body next.
func (b *body) Close() error { return nil }

var errShort = errors.New("it is shorter than its size")

// noEOF keeps the end of a file that was truncated from looking like that of a connection.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return errShort
	}
	return err
}

// sendWatch ends a request that stands still.
type sendWatch struct {
	stall time.Duration
	timer *time.Timer
}

func newSendWatch(opts transfer.Options, cancel context.CancelCauseFunc) *sendWatch {
	stall := opts.Stall
	if stall <= 0 {
		stall = transfer.DefaultStall
	}
	return &sendWatch{stall, time.AfterFunc(stall, func() { cancel(&transfer.StallError{For: stall}) })}
}

// sent notes that bytes went out, the last ones perhaps.
func (w *sendWatch) sent(last bool) {
	wait := w.stall
	if last {
		wait *= commitStalls
	}
	w.timer.Reset(wait)
}
