package main

import (
	"io"
	"math"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// drawEvery is how often the bars move: what the eye takes for steady.
const drawEvery = 100 * time.Millisecond

// bars are the progress on a terminal: a row a file in flight, and one of all together below them.
type bars struct {
	tracker *tracker
	label   string
	rows    *mpb.Progress
	total   *displayed
	files   map[string]*displayed
	room    func() int // how many files can be shown
	added   int
}

// displayed is one row; what it shows is set by the sampler and drawn by mpb.
type displayed struct {
	bar  *mpb.Bar
	draw atomic.Pointer[func(width int) string]
}

// drawBars shows bars until stop, which takes them away.
func (p *program) drawBars(t *tracker, label string) (stop func()) {
	b := &bars{
		tracker: t, label: label, files: make(map[string]*displayed),
		rows: mpb.New(p.canvas(), mpb.WithRefreshRate(drawEvery)),
		room: p.room,
	}
	b.total = b.add(math.MaxInt, func(width int) string { return totalRow(view{}, label, width) })
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
	v := b.tracker.sample(now)
	drawTotal := func(width int) string { return totalRow(v, b.label, width) }
	b.total.draw.Store(&drawTotal)
	gone := b.files
	b.files = make(map[string]*displayed)
	for _, f := range v.inFlight(b.room()) {
		draw := func(width int) string { return fileRow(f, width) }
		row, ok := gone[f.name]
		if ok {
			delete(gone, f.name)
			row.draw.Store(&draw)
		} else {
			row = b.add(b.added, draw)
			b.added++
		}
		b.files[f.name] = row
	}
	for _, row := range gone {
		row.bar.Abort(true)
	}
}
