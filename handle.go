package mstore

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/mstore/mstore/fetch"
	sum "github.com/mstore/mstore/fetch/tally"
	"github.com/mstore/mstore/stats"
)

// PullState is how far a pull is.
type PullState string

// The states, in this order; Succeeded and Failed are ends.
const (
	Resolving PullState = "resolving" // what the reference names is being asked
	Fetching  PullState = "fetching"  // its files are known, and move
	Succeeded PullState = "succeeded"
	Failed    PullState = "failed" // or cancelled
)

// Progress is how a pull stands at one moment.
type Progress struct {
	State    PullState
	Done     int64         // bytes that are here, or that another process has; never less than before
	Reused   int64         // of them those that this pull did not have to move
	Total    int64         // bytes of the model; 0 while Resolving
	Finished int           // files that are whole
	Files    int           // in all; 0 while Resolving
	Speed    float64       // bytes a second, smoothed over a few seconds
	Left     time.Duration // negative when not known
	Retries  int
	Waiting  int // files that another process is fetching
}

// Pull is a pull under way, started by [Store.StartPull] or [Store.ResumePull]. It ends by itself, or when it is
// cancelled; what it is asked for stays in the store until it has succeeded, so that another process can go on with it
// by its id. Its methods may be called from several goroutines, and after its end too.
type Pull struct {
	id     string
	tally  *sum.Tally
	cancel context.CancelFunc
	done   chan struct{} // closed at the end; the fields below are set by then
	result *Pulled
	err    error

	mu    sync.Mutex
	state PullState
}

// StartPull starts what [Store.Pull] does, and returns when the request is understood and in the store. The pull is
// cancelled when ctx is done.
//
// Errors: ErrUsage for a reference of no known form and options that cannot be; ErrStorage. All others are those of Wait.
func (s *Store) StartPull(ctx context.Context, ref string, o PullOptions) (_ *Pull, err error) {
	defer classify(&err)
	plan, err := s.planPull(ref, o)
	if err != nil {
		return nil, err
	}
	kept, id, err := identify(Request{ref, plan.asked})
	if err != nil {
		return nil, err
	}
	h := &Pull{id: id, tally: sum.New(1), done: make(chan struct{}), state: Resolving}
	var work *working
	if plan.offline == nil && plan.src != nil { // what comes from the store alone has nothing to resume
		if work, err = s.requests.begin(id, kept); err != nil {
			s.log.Warn("this pull cannot be resumed by its id", "id", id, "error", err)
		}
	}
	ctx, h.cancel = context.WithCancel(ctx)
	go func() {
		defer close(h.done)
		defer h.cancel()
		h.result, h.err = s.runPull(ctx, h, plan, work)
	}()
	return h, nil
}

// ResumePull starts a pull again that a process has begun under an id, and that has not succeeded: what was fetched is
// not fetched again. Where that process lives, its work is waited for. It fails with ErrNotFound when there is no such
// pull, and as [Store.StartPull] does.
func (s *Store) ResumePull(ctx context.Context, id string) (_ *Pull, err error) {
	defer classify(&err)
	r, err := s.requests.get(id)
	if err != nil {
		return nil, err
	}
	return s.StartPull(ctx, r.Reference, r.PullOptions)
}

// Pulls are the pulls that have not succeeded, the oldest first: those under way, in whatever process, and those that
// were cancelled or killed, or failed with what may go away.
func (s *Store) Pulls() (_ []PullRecord, err error) {
	defer classify(&err)
	return s.requests.list()
}

// ForgetPull removes a pull from those that [Store.Pulls] lists. It ends none that is under way, and leaves what was
// fetched, which any pull of the same blobs uses and a collection removes in time. That there is no such pull is no error.
func (s *Store) ForgetPull(id string) (err error) {
	defer classify(&err)
	return s.requests.forget(id)
}

// runPull does the work of a handle.
func (s *Store) runPull(ctx context.Context, h *Pull, p *pullPlan, work *working) (r *Pulled, err error) {
	defer classify(&err)
	start := time.Now()
	puller := s.puller()
	puller.Events = func(e Event) {
		if e.Kind == fetch.Resolved {
			h.enter(Fetching)
			s.keepRequest(work)
		}
		h.tally.Tell(e, time.Now())
		s.emit(e)
	}
	r, err = s.pull(ctx, puller, p, start)
	s.record(stats.Act{Kind: stats.Pull, Name: p.options.As}, r, start, err)
	if err == nil {
		s.keepSpare()
		s.keepQuota(ctx, r)
		h.enter(Succeeded)
	} else {
		h.enter(Failed)
	}
	if work != nil {
		if err := work.end(err == nil || !h.resumable(err)); err != nil {
			s.log.Debug("the record of a pull stays", "id", h.id, "error", err)
		}
	}
	return r, err
}

func (s *Store) pull(ctx context.Context, puller *fetch.Puller, p *pullPlan, start time.Time) (*Pulled, error) {
	var r *Pulled
	var err error
	fromStore := p.offline != nil || p.src == nil
	if fromStore || p.pinned {
		r, err = s.present(p, start)
	}
	switch {
	case fromStore && err != nil:
		return nil, err
	case r == nil:
		got, err := puller.Pull(ctx, p.src, p.ref, p.have, p.options)
		if err != nil {
			return nil, &elsewhere{p.world, s.tellFreeable(ctx, err)}
		}
		r = s.pulled(got, start)
	}
	if p.asked.To == "" {
		return r, nil
	}
	untold := *s // the files were told of when they came
	untold.opts.Events = nil
	out, err := untold.Export(ctx, r.Name, p.asked.To, ExportOptions{})
	if err != nil {
		return nil, err
	}
	r.To, r.Elapsed = out.Dir, time.Since(start)
	return r, nil
}

func (s *Store) keepRequest(work *working) {
	if work == nil {
		return
	}
	if err := work.keep(); err != nil {
		s.log.Debug("the record of a pull may not outlive a power cut", "error", err)
	}
}

// enter moves the pull to a later state.
func (h *Pull) enter(state PullState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state = state
}

// resumable tells whether a pull that failed so may do better: some of it is here, or the error may go away.
func (h *Pull) resumable(err error) bool {
	return h.tally.Sample(time.Now()).Models > 0 || Retryable(err) || errors.Is(err, context.Canceled)
}

// ID names the request, not the attempt: the same reference with the same options has the same id in every process.
func (h *Pull) ID() string { return h.id }

// Progress is how the pull stands now. Speed and time left are those since it was asked the last time, smoothed: whoever
// shows them asks a few times a second.
func (h *Pull) Progress() Progress {
	s := h.tally.Sample(time.Now())
	h.mu.Lock()
	defer h.mu.Unlock()
	return Progress{
		State: h.state, Done: s.Done, Reused: s.Reused, Total: s.Total, Finished: s.Finished, Files: s.Files,
		Speed: s.Speed, Left: s.Left, Retries: s.Retries, Waiting: s.Waiting,
	}
}

// Cancel ends the pull within a second, and does not wait for that. What was fetched stays, for the pull to be resumed.
func (h *Pull) Cancel() { h.cancel() }

// Wait waits for the end of the pull, or of ctx, which does not end the pull. Its errors are those of [Store.Pull];
// ErrInterrupted when the pull was cancelled, or ctx was done first.
func (h *Pull) Wait(ctx context.Context) (_ *Pulled, err error) {
	defer classify(&err)
	select {
	case <-h.done:
		return h.result, h.err
	default:
	}
	select {
	case <-h.done:
		return h.result, h.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// destination is the folder that a pull exports to, absolute.
func (s *Store) destination(to string) (string, error) {
	if to == "" {
		return "", nil
	}
	abs, err := filepath.Abs(to)
	if err == nil && s.holds(abs) {
		err = usagef("%s is in the store: export to a folder of its own", abs)
	}
	return abs, err
}
