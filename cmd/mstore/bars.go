package main

import (
	"cmp"
	"io"
	"math"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/mstore/mstore/fetch/tally"
)

// drawEvery is how often the bars move: what the eye takes for steady.
const drawEvery = 100 * time.Millisecond

// bars are the progress on a terminal: a row a file in flight, and one of all together below them.
type bars struct {
	tally *tally.Tally
	label string
	rows  *mpb.Progress
	total *displayed
	files map[rowKey]*displayed
	room  func() int // how many files can be shown
	added int
}

// rowKey tells the rows of files apart: by path, or by digest those that have none.
type rowKey struct{ model, file string }

// displayed is one row; what it shows is set by the sampler and drawn by mpb.
type displayed struct {
	bar  *mpb.Bar
	draw atomic.Pointer[func(width int) string]
}

// drawBars shows bars until stop, which takes them away.
func (p *program) drawBars(t *tally.Tally, label string) (stop func()) {
	b := &bars{
		tally: t, label: label, files: make(map[rowKey]*displayed),
		rows: mpb.New(p.canvas(), mpb.WithRefreshRate(drawEvery)),
		room: p.room,
	}
	b.total = b.add(math.MaxInt, func(width int) string { return totalRow(tally.State{}, label, width) })
	p.err.above(b.rows)
	end := every(drawEvery, b.update)
	return func() {
		end()
		p.err.above(nil)
		for _, f := range b.files {
			f.bar.Abort(true)
		}
		b.total.bar.Abort(true)
		b.rows.Wait()
	}
}

// canvas is where mpb draws. The consoles of Windows are drawn on through an interface that mpb knows.
func (p *program) canvas() mpb.ContainerOption {
	if f, ok := p.err.w.(*os.File); ok && runtime.GOOS != "windows" {
		return mpb.WithConsoleWriter(&screen{out: f})
	}
	return mpb.WithOutput(p.err.w)
}

// room is how many rows there are for files.
func (p *program) room() int {
	const most, others = 12, 2 // the total, and the line the cursor is on
	fd, _ := isTerminal(p.err.w)
	_, height, err := term.GetSize(fd)
	if err != nil {
		return most
	}
	return max(0, min(most, height-others))
}

func (b *bars) add(priority int, draw func(width int) string) *displayed {
	row := &displayed{}
	row.draw.Store(&draw)
	fill := mpb.BarFillerFunc(func(w io.Writer, s decor.Statistics) error {
		_, err := io.WriteString(w, (*row.draw.Load())(s.AvailableWidth))
		return err
	})
	row.bar, _ = b.rows.Add(0, fill, mpb.BarFillerTrim(), mpb.BarPriority(priority)) // it fails only after Wait
	return row
}

// update is the one sampler.
func (b *bars) update(now time.Time) {
	v := b.tally.Sample(now)
	drawTotal := func(width int) string { return totalRow(v, b.label, width) }
	b.total.draw.Store(&drawTotal)
	gone := b.files
	b.files = make(map[rowKey]*displayed)
	for _, f := range shown(v.InFlight, b.room()) {
		draw := func(width int) string { return fileRow(f, v.Models > 1, width) }
		key := rowKey{f.Model, cmp.Or(f.Path, f.Digest.String())}
		row, ok := gone[key]
		if ok {
			delete(gone, key)
			row.draw.Store(&draw)
		} else {
			row = b.add(b.added, draw)
			b.added++
		}
		b.files[key] = row
	}
	for _, row := range gone {
		row.bar.Abort(true)
	}
}
