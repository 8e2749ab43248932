package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/fetch"
)

func TestACommandThatDoesNotEndIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		begun := time.Now()
		err := await(ctx, make(chan error))
		if took := time.Since(begun); classOf(err) != mstore.ErrInterrupted || took > time.Second {
			t.Errorf("after an interrupt: %v, after %v", err, took)
		}
	})
}

func TestWhatACommandSaysAfterAnInterruptCounts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan error, 1)
	done <- nil
	if err := await(ctx, done); err != nil {
		t.Errorf("a command that was done: %v", err)
	}
}

func TestPlainLinesComeNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := testApp()
		errs := new(strings.Builder)
		p.err.w, p.progress = errs, progressPlain
		stop := p.follow("pulling x")
		p.watch.tell(mstore.Event{Kind: fetch.Resolved, Size: 100e6})
		p.watch.tell(mstore.Event{Kind: fetch.Start, Path: "a", Size: 100e6})
		time.Sleep(time.Second / 2) // in the bubble's time
		for i := range int64(12) {
			time.Sleep(time.Second)
			p.watch.tell(mstore.Event{Kind: fetch.Progress, Path: "a", Size: 100e6, Done: (i + 1) * 5e6})
		}
		synctest.Wait()
		stop()
		stop()
		p.watch.tell(mstore.Event{Kind: fetch.Done, Path: "a"})
		want := "pulling x: 20%, 20.0 MB of 100 MB, 5.0 MB/s, 16 s left\n" +
			"pulling x: 45%, 45.0 MB of 100 MB, 5.0 MB/s, 11 s left\n"
		if diff := cmp.Diff(want, errs.String()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestExitCodes(t *testing.T) {
	for class, want := range map[mstore.Class]int{
		mstore.ErrUsage: 2, mstore.ErrNotFound: 3, mstore.ErrVerification: 4, mstore.ErrQuarantined: 5, mstore.ErrNetwork: 6,
		mstore.ErrAuthentication: 7, mstore.ErrStorage: 8, mstore.ErrBusy: 9, mstore.ErrInterrupted: 130, mstore.ErrInternal: 1,
	} {
		if got := exitCode(&advised{cause: class}); got != want {
			t.Errorf("exit code of %s = %d, want %d", class, got, want)
		}
	}
	if got := exitCode(errors.New("surprise")); got != exitInternal {
		t.Errorf("exit code of a surprise = %d", got)
	}
	if got := exitCode(nil); got != exitDone {
		t.Errorf("exit code of nothing = %d", got)
	}
}
