package main

import (
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/fetch"
	"github.com/mstore/mstore/fetch/tally"
)

// progressMode is how progress is shown.
type progressMode string

const (
	progressBars  progressMode = "bars" // on a terminal
	progressPlain progressMode = "plain"
	progressJSON  progressMode = "json"
	progressNone  progressMode = "none"
)

// plainEvery is how often a line is printed where there is no terminal: often enough to see that it lives, rare enough
// for a log.
const plainEvery = 5 * time.Second

// progressFlag is that of pull.
func progressFlag() cli.Flag {
	return &cli.StringFlag{Name: progressName, Usage: "show progress as `auto|plain|json|none`", Value: "auto"}
}

// chooseProgress decides from the flags and the terminal.
func (p *program) chooseProgress(c *cli.Context) error {
	asked := "auto"
	if hasFlag(c.Command, progressName) {
		var err error
		if asked, err = choice(c, progressName, "auto", "plain", "json", "none"); err != nil {
			return err
		}
	}
	switch _, terminal := isTerminal(p.err.w); {
	case p.quiet || c.Bool("no-progress"):
		p.progress = progressNone
	case asked != "auto":
		p.progress = progressMode(asked)
	case terminal:
		p.progress = progressBars
	default:
		p.progress = progressPlain
	}
	return nil
}

// watch hands the events of the library to whoever follows the work under way. The zero value tells nobody.
type watch struct {
	to atomic.Pointer[func(mstore.Event)]
}

func (w *watch) tell(e mstore.Event) {
	if to := w.to.Load(); to != nil {
		(*to)(e)
	}
}

// follow shows the progress of what label says, until stop is called, which may be done twice.
func (p *program) follow(label string) (stop func()) { return p.followAll(label, 1) }

// followAll is follow for work on several models at once.
func (p *program) followAll(label string, models int) (stop func()) {
	if p.progress == progressNone {
		return func() {}
	}
	if p.progress == progressJSON {
		tell := (&eventLines{to: cleanJSONWriter{p.err}, told: make(map[string]time.Time)}).tell
		p.watch.to.Store(&tell)
		return func() { p.watch.to.Store(nil) }
	}
	t := tally.New(models)
	tell := func(e mstore.Event) { t.Tell(e, time.Now()) }
	p.watch.to.Store(&tell)
	var end func()
	if p.progress == progressBars {
		end = p.drawBars(t, label)
	} else {
		end = p.drawLines(t, label)
	}
	return sync.OnceFunc(func() {
		p.watch.to.Store(nil)
		end()
	})
}

// every calls do in a goroutine of its own each time d has passed, until stop is called, and never after it.
func every(d time.Duration, do func(now time.Time)) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(d)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				do(now)
			case <-end:
				return
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

// drawLines prints a line now and then.
func (p *program) drawLines(t *tally.Tally, label string) (stop func()) {
	const sample = time.Second
	next := time.Now().Add(plainEvery)
	return every(sample, func(now time.Time) {
		v := t.Sample(now)
		if !now.Before(next) {
			p.say("%s", plainRow(v, label))
			next = now.Add(plainEvery)
		}
	})
}

// eventLines prints events as JSON, one object a line. Of the progress of one file it leaves out most.
type eventLines struct {
	to   cleanJSONWriter
	mu   sync.Mutex
	told map[string]time.Time // when the progress of a file was told
}

// eventLine is an event as spec/output/progress.schema.json has it.
type eventLine struct {
	Event   fetch.EventKind `json:"event"`
	Model   string          `json:"model"`
	Path    string          `json:"path,omitempty"`
	Digest  digest.Digest   `json:"digest,omitempty"`
	Files   int             `json:"files,omitempty"`
	Size    *int64          `json:"size"` // null when not known
	Done    int64           `json:"done"`
	Reused  int64           `json:"reused"`
	Attempt int             `json:"attempt,omitempty"`
	Wait    float64         `json:"waitSeconds,omitempty"`
	Error   string          `json:"error,omitempty"`
}

func (l *eventLines) tell(e mstore.Event) {
	const often = 250 * time.Millisecond
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Kind == fetch.Progress || e.Kind == fetch.Wait {
		key, now := e.Model+"\x00"+e.Path+"\x00"+e.Digest.String(), time.Now()
		if now.Sub(l.told[key]) < often {
			return
		}
		l.told[key] = now
	}
	line := eventLine{
		Event: e.Kind, Model: e.Model, Path: e.Path, Digest: e.Digest, Files: e.Files, Done: e.Done, Reused: e.Reused,
		Attempt: e.Attempt, Wait: e.Wait.Seconds(),
	}
	if e.Size >= 0 {
		line.Size = &e.Size
	}
	if e.Err != nil {
		line.Error = sentence(e.Err.Error())
	}
	_ = json.NewEncoder(l.to).Encode(line) // there is nobody left to tell
}
