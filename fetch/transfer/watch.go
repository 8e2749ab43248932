package transfer

import (
	"context"
	"io"
	"time"
)

// watch ends a try that stands still. It runs only while the try waits for the server, not while the sink is slow.
type watch struct {
	stall time.Duration
	timer *time.Timer

	waited time.Duration // for the server, in this window
	bytes  int64         // in this window
}

func newWatch(stall time.Duration, cancel context.CancelCauseFunc) *watch {
	w := &watch{stall: stall}
	w.timer = time.AfterFunc(stall, func() { cancel(&StallError{For: stall}) })
	w.timer.Stop()
	return w
}

func (w *watch) arm()    { w.timer.Reset(w.stall) }
func (w *watch) disarm() { w.timer.Stop() }
func (w *watch) stop()   { w.timer.Stop() }

// note adds a read of n bytes that took d, and tells whether the window that it closes was too slow.
func (w *watch) note(n int, d time.Duration) error {
	w.waited += d
	w.bytes += int64(n)
	window := w.stall / 2
	if w.waited < window {
		return nil
	}
	waited, got := w.waited, w.bytes
	w.waited, w.bytes = 0, 0
	if float64(got) < floor*waited.Seconds() {
		return &StallError{For: waited, Bytes: got}
	}
	return nil
}

// timed is a reader under a watch.
type timed struct {
	r io.Reader
	w *watch
}

func (t *timed) Read(p []byte) (int, error) {
	start := time.Now()
	t.w.arm()
	n, err := t.r.Read(p)
	t.w.disarm()
	if err == nil {
		err = t.w.note(n, time.Since(start))
	}
	return n, err
}
