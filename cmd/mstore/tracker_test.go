package main

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/fetch"
)

// clock is a time that only the test moves.
type clock struct{ now time.Time }

func (c *clock) after(d time.Duration) time.Time {
	c.now = c.now.Add(d)
	return c.now
}

func newClock() *clock { return &clock{time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)} }

func TestReusedBytesAreDoneAndNotSpeed(t *testing.T) {
	c, tr := newClock(), newTracker()
	tr.tell(mstore.Event{Kind: fetch.Resolved, Size: 1000}, c.now)
	tr.tell(mstore.Event{Kind: fetch.Done, Path: "a", Size: 300, Done: 300, Reused: 300}, c.now)
	tr.tell(mstore.Event{Kind: fetch.Start, Path: "b", Size: 700, Done: 200, Reused: 200}, c.now)
	v := tr.sample(c.now)
	if v.done != 500 || v.total != 1000 || v.speed != 0 || v.left >= 0 {
		t.Errorf("at the start: %+v", v)
	}
	tr.tell(mstore.Event{Kind: fetch.Progress, Path: "b", Size: 700, Done: 300, Reused: 200}, c.now)
	v = tr.sample(c.after(time.Second))
	if v.done != 600 || int(v.speed+0.5) != 100 || v.left != 4*time.Second {
		t.Errorf("after 100 bytes in a second: %+v", v)
	}
}

func TestTheBarNeverRunsBackwards(t *testing.T) {
	c, tr := newClock(), newTracker()
	rng := rand.New(rand.NewPCG(1, 2))
	tr.tell(mstore.Event{Kind: fetch.Resolved, Size: 10_000}, c.now)
	before := tr.sample(c.now)
	for range 2000 {
		e := mstore.Event{Path: string(rune('a' + rng.IntN(10))), Size: 1000, Done: rng.Int64N(1001)}
		e.Kind = []fetch.EventKind{fetch.Start, fetch.Progress, fetch.Wait, fetch.Retry, fetch.Done}[rng.IntN(5)]
		e.Reused = rng.Int64N(e.Done + 1)
		if e.Kind == fetch.Start { // as after wrong bytes: from nothing
			e.Done, e.Reused = 0, 0
		}
		tr.tell(e, c.now)
		v := tr.sample(c.after(100 * time.Millisecond))
		if v.done < before.done || v.done > v.total || v.speed < 0 || percent(v.done, v.total) < percent(before.done, before.total) {
			t.Fatalf("%+v after %+v", v, before)
		}
		before = v
	}
}

func TestEventsMayOvertakeEachOther(t *testing.T) {
	c, tr := newClock(), newTracker()
	tr.sample(c.now)
	for _, done := range []int64{10, 30, 20, 40, 35} {
		tr.tell(mstore.Event{Kind: fetch.Progress, Path: "a", Size: 100, Done: done}, c.now)
	}
	if v := tr.sample(c.after(time.Second)); v.done != 40 || int(v.speed+0.5) != 40 {
		t.Errorf("40 bytes came in a second: %+v", v)
	}
}

func TestSpeedForgets(t *testing.T) {
	var r rate
	for range 100 {
		r.add(10e6, 100*time.Millisecond)
	}
	if got := r.value(); got < 99e6 || got > 101e6 {
		t.Errorf("100 MB/s is %f", got)
	}
	for range 150 {
		r.add(0, 100*time.Millisecond)
	}
	if got := r.value(); got > 1e6 {
		t.Errorf("after 15 s of nothing the speed is %f", got)
	}
	r.add(5, 0)
}

func TestRowsFitTheTerminal(t *testing.T) {
	files := []fileView{
		{name: "model.safetensors", done: 120e6, size: 266e6},
		{name: "a/very/long/path/to/some/model-00001-of-00030.safetensors", done: 5, size: 266e9},
		{name: "模型/模型/模型/模型/模型/模型/模型/模型.safetensors", done: 0, size: 1},
		{name: "\x1b[31mred", done: 1, size: -1},
		{name: "", done: 1, size: 2, waiting: true},
		{name: "x", done: 1, size: 2, again: 3 * time.Second},
	}
	v := view{resolved: true, done: 120e6, total: 266e9, speed: 123e6, left: 12345 * time.Second, finished: 10}
	for width := range 200 {
		rows := []string{totalRow(v, "pulling x", width), totalRow(view{left: -1}, "pulling x", width)}
		for _, f := range files {
			rows = append(rows, fileRow(f, width))
		}
		for _, row := range rows {
			if w := runewidth.StringWidth(row); w > max(width-1, 6+3+19) || strings.ContainsFunc(row, func(r rune) bool { return !visible(r) }) {
				t.Errorf("on %d columns the row has %d: %q", width, w, row)
			}
		}
	}
}

func TestRows(t *testing.T) {
	v := view{resolved: true, done: 120e6, total: 266e6, speed: 35.2e6, left: 4 * time.Second, finished: 10}
	ofThirty := v
	ofThirty.count = 30
	f := fileView{name: "model.safetensors", done: 120e6, size: 266e6}
	for _, c := range []struct{ got, want string }{
		{totalRow(v, "", 80), `total 266 MB, 10 done          [========>         ]  45% 35.2 MB/s 4 s left`},
		{fileRow(f, 80), `model.safetensors              [========>         ]  45% 266 MB`},
		{totalRow(ofThirty, "", 80), `total 266 MB, 10/30 files      [========>         ]  45% 35.2 MB/s 4 s left`},
		{totalRow(v, "", 40), `total 266 MB  [===>   ]  45% 4 s left`},
		{fileRow(fileView{name: "unet/model-00009-of-00030.safetensors", done: 1, size: 4}, 40), `model-00009.. [=>     ]  25% 4 B`},
		{fileRow(fileView{name: "a", done: 1, size: 4, waiting: true}, 80), `a                              [====>             ] another process is at it`},
		{plainRow(v, "pulling x"), `pulling x: 45%, 120 MB of 266 MB, 35.2 MB/s, 4 s left`},
		{plainRow(view{left: -1}, "pulling x"), `pulling x ...`},
	} {
		if c.got != c.want {
			t.Errorf("\n got %q\nwant %q", c.got, c.want)
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
}

func TestEventLines(t *testing.T) {
	out := new(strings.Builder)
	l := &eventLines{to: cleanJSONWriter{out}, told: make(map[string]time.Time)}
	for i := range int64(1000) {
		l.tell(mstore.Event{Kind: fetch.Progress, Model: "m", Path: "a\u202e", Size: 1000, Done: i})
	}
	l.tell(mstore.Event{Kind: fetch.Retry, Path: "a", Size: -1, Wait: time.Second, Err: errors.New("reset\nby\x1b peer")})
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) > 100 || !strings.Contains(lines[0], `"path":"a\u202e"`) {
		t.Errorf("%d lines, the first %s", len(lines), lines[0])
	}
	want := `{"event":"retry","model":"","path":"a","size":null,"done":0,"reused":0,"waitSeconds":1,"error":"reset; by\\x1b peer"}`
	if got := lines[len(lines)-1]; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}
