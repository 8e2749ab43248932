package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/fetch"
	"github.com/mstore/mstore/fetch/tally"
	"github.com/mstore/mstore/fetch/transfer"
)

func TestRowsFitTheTerminal(t *testing.T) {
	status := &transfer.StatusError{Status: 503}
	files := []tally.File{
		{Path: "model.safetensors", Done: 120e6, Size: 266e6},
		{Path: "a/very/long/path/to/some/model-00001-of-00030.safetensors", Done: 5, Size: 266e9},
		{Path: "模型/模型/模型/模型/模型/模型/模型/模型.safetensors", Done: 0, Size: 1},
		{Path: "\x1b[31mred", Done: 1, Size: -1},
		{Path: "", Done: 1, Size: 2, Waiting: true},
		{Path: "x", Done: 99_900e6, Size: 99_999e6, Reused: 99_900e6, Moving: 1},
		{Path: "x", Done: 99_900e6, Size: 99_999e6, Reused: 99_900e6, TakenOver: true, Moving: 1},
		{Path: "x", Done: 1, Size: 2, Retrying: true, Attempt: 123456, Again: 30 * time.Hour, Err: status},
	}
	s := tally.State{Models: 1, Done: 120e6, Total: 266e9, Part: 0.1, Speed: 123e6, Left: 12345 * time.Second, Finished: 10}
	for width := range 200 {
		rows := []string{totalRow(s, "pulling x", width), totalRow(tally.State{Left: -1}, "pulling x", width)}
		for _, f := range files {
			rows = append(rows, fileRow(f, false, width), fileRow(f, true, width))
		}
		for _, row := range rows {
			if w := runewidth.StringWidth(row); w > max(width-1, 6+3+19) || strings.ContainsFunc(row, func(r rune) bool { return !visible(r) }) {
				t.Errorf("on %d columns the row has %d: %q", width, w, row)
			}
		}
	}
}

func TestRows(t *testing.T) {
	s := tally.State{Models: 1, Done: 120e6, Total: 266e6, Part: 0.45, Speed: 35.2e6, Left: 4 * time.Second, Finished: 10}
	ofThirty := s
	ofThirty.Files, ofThirty.Reused, ofThirty.Waiting = 30, 60e6, 1
	f := tally.File{Model: "host/org/tiny:v1", Path: "model.safetensors", Done: 120e6, Size: 266e6}
	resumed, later, taken, waiting, retrying, again := f, f, f, f, f, f
	resumed.Reused, resumed.Moving = 60e6, time.Second
	later.Reused, later.Moving = 60e6, time.Minute
	taken.Reused, taken.TakenOver = 60e6, true
	waiting.Waiting, waiting.Reused = true, 60e6
	retrying.Retrying, retrying.Attempt, retrying.Again = true, 2, 2600*time.Millisecond
	retrying.Err = &transfer.StatusError{Status: 503}
	again.Retrying, again.Attempt, again.Err = true, 1, fmt.Errorf("model: %w", &blobstore.MismatchError{})
	for _, c := range []struct{ got, want string }{
		{totalRow(s, "", 80), `total 266 MB, 10 done        [========>         ]  45% 35.2 MB/s 4 s left`},
		{fileRow(f, false, 80), `model.safetensors            [========>         ]  45% 266 MB`},
		{totalRow(ofThirty, "", 80), `total 266 MB, 10/30 files    [----====>         ]  45% 35.2 MB/s 4 s left`},
		{totalRow(s, "", 40), `total 266 MB  [===>   ]  45% 4 s left`},
		{fileRow(tally.File{Path: "unet/model-00009-of-00030.safetensors", Done: 1, Size: 4}, false, 40), `model-00009.. [=>     ]  25% 4 B`},
		{fileRow(f, true, 80), `tiny:v1/model.safetensors    [========>         ]  45% 266 MB`},
		{fileRow(resumed, false, 80), `model.safetensors            [----====>         ]  45% 266 MB, 60.0 MB resumed`},
		{fileRow(later, false, 80), `model.safetensors            [----====>         ]  45% 266 MB, 60.0 MB resumed`},
		{fileRow(resumed, false, 40), `model.safet.. [-==>   ] resumed 60.0 MB`},
		{fileRow(later, false, 40), `model.safet.. [-==>   ]  45% 266 MB`},
		{fileRow(taken, false, 80), `model.safetensors            [----====>         ]  45%, taken over at 60.0 MB`},
		{fileRow(taken, false, 40), `model.safet.. [-==>   ]  45% taken over`},
		{fileRow(waiting, false, 80), `model.safetensors            [----====>         ]  45% by another process`},
		{fileRow(waiting, false, 40), `model.safet.. [-==>   ]  45% by another`},
		{fileRow(retrying, false, 80), `model.safetensors            [========>         ] retry 2 in 3 s: 503`},
		{fileRow(retrying, false, 40), `model.safet.. [===>   ] retry 2 in 3 s`},
		{fileRow(again, false, 80), `model.safetensors            [========>         ] retry 1: wrong bytes`},
		{plainRow(s, "pulling x"), `pulling x: 45%, 120 MB of 266 MB, 35.2 MB/s, 4 s left`},
		{plainRow(ofThirty, "pulling x"), `pulling x: 45%, 120 MB of 266 MB, 35.2 MB/s, 4 s left, 60.0 MB were there, 1 file by another process`},
		{plainRow(tally.State{Left: -1}, "pulling x"), `pulling x ...`},
	} {
		if c.got != c.want {
			t.Errorf("\n got %q\nwant %q", c.got, c.want)
		}
	}
}

func TestReason(t *testing.T) {
	for want, err := range map[string]error{
		"429": &transfer.StatusError{Status: 429}, "wrong bytes": &blobstore.MismatchError{}, "wrong range": transfer.ErrRange,
		"timed out": &transfer.StallError{}, "refused": syscall.ECONNREFUSED, "broke off": transfer.ErrInterrupted, "failed": nil,
	} {
		if got := reason(err); got != want {
			t.Errorf("reason(%v) = %q, want %q", err, got, want)
		}
	}
}

func TestPercent(t *testing.T) {
	for _, c := range []struct {
		done, total int64
		want        int
	}{{0, 0, 100}, {0, 10, 0}, {999, 1000, 99}, {1000, 1000, 100}, {1 << 62, 1<<62 + 1<<50, 99}} {
		if got := percent(c.done, c.total); got != c.want {
			t.Errorf("percent(%d, %d) = %d, want %d", c.done, c.total, got, c.want)
		}
	}
	for part, want := range map[float64]int{0: 0, 0.29: 29, 0.57: 57, 0.999: 99, 0.9999999999999: 99, 1: 100} {
		if got := partPercent(part); got != want {
			t.Errorf("partPercent(%v) = %d, want %d", part, got, want)
		}
	}
}

func TestEventLines(t *testing.T) {
	out := new(strings.Builder)
	l := &eventLines{to: cleanJSONWriter{out}, told: make(map[string]time.Time)}
	for i := range int64(1000) {
		l.tell(mstore.Event{Kind: fetch.Progress, Model: "m", Path: "a\u202e", Size: 1000, Done: i})
		l.tell(mstore.Event{Kind: fetch.Wait, Model: "n", Path: "a\u202e", Size: 1000, Done: i})
	}
	l.tell(mstore.Event{Kind: fetch.Retry, Path: "a", Size: -1, Attempt: 2, Wait: time.Second, Err: errors.New("reset\nby\x1b peer")})
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) > 100 || !strings.Contains(lines[0], `"path":"a\u202e"`) || !strings.Contains(lines[1], `"model":"n"`) {
		t.Errorf("%d lines, the first %s", len(lines), lines[0])
	}
	want := `{"event":"retry","model":"","path":"a","size":null,"done":0,"reused":0,"attempt":2,"waitSeconds":1,"error":"reset; by\\x1b peer"}`
	if got := lines[len(lines)-1]; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}
