package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/fetch/transfer"
)

// A blob goes in chunks, the last of them with the request that closes the upload; one that fits into a chunk goes in
// one request. Chunks of 64 MiB cost nothing on loopback (against one request, measured: 1.54 s and 1.57 s a GiB, into
// memory; 2.03 s and 2.10 s onto a disk), and limit what is lost where a registry keeps nothing of a chunk that broke
// off. Far away each costs a round trip, so they grow as long as one takes less than chunkTime.
const (
	firstChunk = 64 << 20
	mostChunk  = 1 << 30
	chunkTime  = 8 * time.Second
	// leastChunk is where cutting ends when a registry finds requests too large: ghcr.io takes 4 MiB.
	leastChunk = 4 << 20
	// keepFrom is the size of the blobs whose uploads are noted for the next process; smaller ones are sent sooner.
	keepFrom = 8 << 20
	// gain is how many bytes that a registry has got make up for the failures before.
	gain = 1 << 20
	// maxMisfits is how often a registry may say that a chunk does not begin where it said itself that one should.
	maxMisfits = 3
)

var (
	errAnew     = errors.New("once more, in another way")
	errProgress = errors.New("the upload has come further")
)

// upload is the push of one blob, over all its tries. It ends as mounted or sent.
//
// It knows how much the registry has got, off, unless a request has failed since: then it is in doubt, and the next try
// asks. A session that is gone is left for a new one, from byte 0.
type upload struct {
	t    *Target
	desc ocispec.Descriptor
	line *line

	session *url.URL // where the next request goes; nil: none is open
	doubt   bool     // off is not known
	earlier bool     // the session is of an earlier process, and was not asked yet
	resumed bool     // the session was gone on with
	off     int64    // what the registry has got
	high    int64    // the most that it ever had
	misfits int      // answers that did not fit, in this session

	chunk, most int64 // bytes of the next request, and of any
	least       int64 // bytes of a request that is not the last
	whole       bool  // one request, and no other

	mount   bool // whether to ask for a mount
	mended  bool // a session that went wrong was left once
	wary    bool // a request failed: the registry is asked before the bytes of the next ones go
	claimed bool // the registry says that it has the blob
	unseen  bool // and did not show it when it was asked first
	lost    bool // a session was lost: the blob may be there by now
	outcome Outcome
}

// run tries until the blob is there. Failures are counted from where the registry came further.
func (u *upload) run(ctx context.Context) error {
	var pending error
	for {
		err := transfer.Retry(ctx, u.t.opts, func(ctx context.Context) error {
			if err := pending; err != nil { // counts as the first failure of these tries
				pending = nil
				return err
			}
			before := u.high
			err := u.try(ctx)
			if u.high-before >= gain && transfer.Retryable(err) {
				pending = err
				return errProgress
			}
			return err
		})
		if !errors.Is(err, errProgress) {
			return err
		}
	}
}

// try is one try, which ends at the first failure. What a registry cannot do is done otherwise, which is no failure.
func (u *upload) try(ctx context.Context) error {
	for {
		err := u.ready(ctx)
		for err == nil && !u.claimed && u.outcome == "" {
			err = u.step(ctx)
		}
		if err == nil && u.outcome == "" {
			err = u.look(ctx)
		}
		if !errors.Is(err, errAnew) {
			return err
		}
	}
}

// ready makes a session be open and off be known, unless the blob is there already.
func (u *upload) ready(ctx context.Context) error {
	if u.claimed {
		return nil
	}
	if u.session != nil && u.doubt {
		if err := u.ask(ctx); err != nil {
			return err
		}
		u.lost = u.lost || u.session == nil
	}
	if u.session != nil {
		return nil
	}
	if u.lost { // the answer to the last request may be all that was lost
		has, err := u.t.head(ctx, u.desc)
		if err != nil {
			return err
		}
		if u.lost = false; has {
			u.line.restart(Progress{Done: u.desc.Size})
			u.outcome = Sent
			return nil
		}
	}
	mounted, err := u.begin(ctx)
	if mounted {
		u.outcome = Mounted
	}
	return err
}

// step sends the next request.
func (u *upload) step(ctx context.Context) error {
	left, n := u.desc.Size-u.off, max(u.chunk, u.least)
	if u.whole || n >= left {
		return u.judge(u.put(ctx), left, false)
	}
	start := time.Now()
	err := u.judge(u.patch(ctx, n), n, true)
	if err == nil && time.Since(start) < chunkTime {
		u.chunk = min(2*u.chunk, u.most)
	}
	return err
}

// look finds out whether the registry has what it says it has. One that needs a moment gets it.
func (u *upload) look(ctx context.Context) error {
	has, err := u.t.head(ctx, u.desc)
	switch {
	case err != nil:
		return err
	case has:
		u.t.sessions.Delete(u.key())
		u.outcome = Sent
		return nil
	case u.unseen:
		u.claimed, u.unseen = false, false
		u.lose()
	default:
		u.unseen = true
	}
	return fmt.Errorf("%w: %s says that it has got the blob, and does not have it", transfer.ErrInterrupted, u.t.repo.host)
}

// patch sends a chunk of n bytes.
func (u *upload) patch(ctx context.Context, n int64) error {
	return u.send(ctx, http.MethodPatch, u.session, n, func(resp *http.Response) error {
		switch resp.StatusCode {
		case http.StatusAccepted, http.StatusCreated, http.StatusNoContent:
			_ = resp.Body.Close()
		default:
			return u.t.repo.fail(resp, "upload")
		}
		if resp.Header.Get("Location") != "" {
			if err := u.follow(resp); err != nil {
				return err
			}
		}
		has, ok := received(resp)
		if !ok {
			has = u.off + n
		}
		if has <= u.off || has > u.off+n { // it drops chunks, or counts otherwise
			u.lose()
			u.whole = true
			return errAnew
		}
		u.off, u.misfits = has, 0
		u.high = max(u.high, has)
		return nil
	})
}

// put sends what is left, and closes the upload.
func (u *upload) put(ctx context.Context) error {
	to := *u.session
	if to.RawQuery != "" {
		to.RawQuery += "&"
	}
	to.RawQuery += "digest=" + url.QueryEscape(string(u.desc.Digest))
	return u.send(ctx, http.MethodPut, &to, u.desc.Size-u.off, func(resp *http.Response) error {
		switch resp.StatusCode {
		case http.StatusCreated, http.StatusNoContent:
			_ = resp.Body.Close()
			u.claimed = true
			return confirm(resp, u.desc.Digest)
		}
		return u.t.repo.fail(resp, "upload")
	})
}

// send sends the n bytes at off in one request. Its answer is taken before the connection is let go.
func (u *upload) send(ctx context.Context, method string, to *url.URL, n int64, take func(*http.Response) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := newSendWatch(u.t.opts, cancel)
	defer w.timer.Stop()
	req, err := u.t.requestTo(ctx, method, to)
	if err != nil {
		return err
	}
	if req.Header.Set("Content-Type", "application/octet-stream"); n > 0 {
		off := u.off
		req.ContentLength = n
		req.GetBody = func() (io.ReadCloser, error) { return u.line.open(ctx, w, off, off+n), nil }
		req.Body, _ = req.GetBody() // it has no error
		if u.wary {
			req.Header.Set("Expect", "100-continue")
		}
		if method == http.MethodPatch || off > 0 {
			req.Header.Set("Content-Range", fmt.Sprintf("%d-%d", off, off+n-1))
		}
	}
	resp, err := u.t.repo.send(req)
	if failed := u.line.close(); failed != nil {
		if err == nil {
			_ = resp.Body.Close()
		}
		return failed
	}
	switch {
	case err == nil:
		err = take(resp)
	case errors.Is(err, net.ErrClosed): // the registry answered and hung up while bytes were going out
		err = fmt.Errorf("%w: %w", transfer.ErrInterrupted, err)
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// newUpload prepares the push of a blob.
func (t *Target) newUpload(desc ocispec.Descriptor, content io.ReaderAt, progress func(Progress)) *upload {
	u := &upload{
		t: t, desc: desc, line: &line{content: content, throttle: t.throttle, progress: progress},
		chunk: t.chunk, most: mostChunk, whole: ruleFor(t.repo.base.Host).whole, mount: true,
	}
	if u.whole {
		u.chunk = math.MaxInt64
	}
	return u
}
