package sourcetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/mstore/mstore/fetch/source"
)

func testCancelled(t *testing.T, w World) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if m, err := w.Source.Resolve(ctx, w.Ref, w.Options); !errors.Is(err, context.Canceled) {
		t.Errorf("Resolve = %+v, %v; want context.Canceled", m, err)
	}
	for _, b := range blobsOf(w.resolve(t, w.Ref)) {
		if b.local != "" || len(w.Files[b.path]) < MinLarge {
			continue
		}
		if _, err := b.all(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: reading it = %v, want context.Canceled", b.path, err)
		}
	}
}

func testCancelledMeanwhile(t *testing.T, w World) {
	t.Helper()
	asked := w.Hang(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := w.Source.Resolve(ctx, w.Ref, w.Options)
		done <- err
	}()
	select {
	case <-asked:
	case err := <-done:
		t.Fatalf("Resolve of a place that does not answer = %v", err)
	}
	cancel()
	wantCancelled(t, done)
}

// testCancelledBody leaves a body in its middle.
func testCancelledBody(t *testing.T, w World) {
	t.Helper()
	for _, b := range blobsOf(w.resolve(t, w.Ref)) {
		if b.local != "" || len(w.Files[b.path]) < MinLarge {
			continue
		}
		ctx, cancel := context.WithCancel(t.Context())
		answer, err := b.origins[0].Fetch(ctx, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(answer.Body, make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		cancel()
		done := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, answer.Body)
			done <- err
		}()
		wantCancelled(t, done)
		_ = answer.Body.Close()
	}
}

// wantCancelled waits for what was cancelled.
func wantCancelled(t *testing.T, done <-chan error) {
	t.Helper()
	timer := time.NewTimer(promptly)
	defer timer.Stop()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("what was cancelled = %v, want context.Canceled", err)
		}
	case <-timer.C:
		t.Errorf("what was cancelled goes on after %v", promptly)
	}
}

// testAtOnce uses a source from several goroutines; the race detector looks on.
func testAtOnce(t *testing.T, w World) {
	t.Helper()
	models := make([]*source.Model, atOnce)
	together(func(i int) {
		m, err := w.Source.Resolve(t.Context(), w.Ref, w.Options)
		if err != nil {
			t.Errorf("one of %d at once: %v", atOnce, err)
			return
		}
		models[i] = m
		w.readAll(t, m)
	})
	if t.Failed() {
		return
	}
	for _, m := range models {
		wantSame(t, "resolved at once", m, models[0])
	}
	together(func(int) { w.readAll(t, models[0]) }) // one origin, asked by several
}

// atOnce is how many use a source together.
const atOnce = 6

func together(do func(i int)) {
	var wg sync.WaitGroup
	for i := range atOnce {
		wg.Go(func() { do(i) })
	}
	wg.Wait()
}

// readAll reads all files of a model. It may be called from any goroutine.
func (w World) readAll(t *testing.T, m *source.Model) {
	t.Helper()
	for _, b := range blobsOf(m) {
		if got, err := b.all(t.Context()); err != nil || !bytes.Equal(got, w.Files[b.path]) {
			t.Errorf("%s, one of %d at once: %d bytes, %v", b.path, atOnce, len(got), err)
		}
	}
}
