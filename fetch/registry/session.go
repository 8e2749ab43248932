package registry

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/mstore/mstore/fetch/guard"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
)

// Sessions keep the URLs of uploads under way for the process that comes next. The URLs may hold secrets: they are for
// nobody else's eyes. A Sessions that fails to keep something costs bytes that are sent again, nothing else. It is
// called from several goroutines.
type Sessions interface {
	// Load gives what was saved under key, and the key to this caller alone: ok is false where nothing was saved, and
	// where somebody else is using it.
	Load(key string) (url string, ok bool)
	Save(key, url string)
	Delete(key string)
}

// noSessions keep nothing.
type noSessions struct{}

func (noSessions) Load(string) (string, bool) { return "", false }
func (noSessions) Save(string, string)        {}
func (noSessions) Delete(string)              {}

// begin opens an upload session, or mounts the blob where the registry has it in another repository. from is one that
// may have it; where none is known, the registry may look for itself.
func (u *upload) begin(ctx context.Context) (mounted bool, err error) {
	mounted, err = u.post(ctx, u.mount)
	if u.mount && isRefusal(err) && (u.t.from != "" || !isAuth(err)) {
		u.mount = false // it may not look into the other repository, or knows no mount; this one is open still
		mounted, err = u.post(ctx, false)
	}
	return mounted, err
}

func (u *upload) post(ctx context.Context, mount bool) (mounted bool, err error) {
	t := u.t
	err = transfer.InTime(ctx, t.opts, func(ctx context.Context) error {
		query := url.Values{}
		if mount {
			query.Set("mount", string(u.desc.Digest))
			if t.from != "" {
				query.Set("from", t.from)
				ctx = auth.AppendScopesForHost(ctx, t.repo.base.Host, auth.ScopeRepository(t.from, auth.ActionPull))
			}
		}
		req, err := t.request(ctx, http.MethodPost, "blobs/uploads/")
		if err != nil {
			return err
		}
		req.URL.RawQuery = query.Encode()
		resp, err := t.repo.send(req)
		if err != nil {
			return err
		}
		switch {
		case resp.StatusCode == http.StatusAccepted:
			_ = resp.Body.Close()
			if n, err := strconv.ParseInt(resp.Header.Get("OCI-Chunk-Min-Length"), 10, 64); err == nil {
				u.least = n
			}
			return u.follow(resp)
		case resp.StatusCode == http.StatusCreated && mount:
			_ = resp.Body.Close()
			mounted = true
			return confirm(resp, u.desc.Digest)
		}
		return t.repo.fail(resp, "start an upload")
	})
	return mounted, err
}

// follow goes on where an answer says: a place of the registry itself, and no other.
func (u *upload) follow(resp *http.Response) error {
	base := u.t.repo.base
	location, err := resp.Location()
	if err != nil {
		return fmt.Errorf("%s: %w: an upload without a Location", u.t.repo.host, errNotRegistry)
	}
	if !isOwn(location, base) {
		return fmt.Errorf("%w: %s wants the upload sent to %s", guard.ErrRedirect, base, transfer.RedactURL(location))
	}
	u.session = location
	if u.kept() {
		u.t.sessions.Save(u.key(), location.String())
	}
	return nil
}

func isOwn(location, base *url.URL) bool {
	return guard.SameOrigin(location, base) && location.User == nil
}

// key names the upload among all others.
func (u *upload) key() string { return u.t.repo.url("blobs/" + string(u.desc.Digest)) }

// kept tells whether the session is worth a note for the next process.
func (u *upload) kept() bool { return !u.whole && u.desc.Size >= u.t.keep }

// recall takes up the session that an earlier process has left.
func (u *upload) recall() {
	if !u.kept() {
		return
	}
	text, ok := u.t.sessions.Load(u.key())
	if !ok {
		return
	}
	location, err := url.Parse(text)
	if err != nil || !isOwn(location, u.t.repo.base) {
		u.t.sessions.Delete(u.key())
		return
	}
	u.session, u.doubt, u.earlier = location, true, true
}

// lose leaves the session, with all that was sent.
func (u *upload) lose() {
	if u.session != nil && u.kept() {
		u.t.sessions.Delete(u.key())
	}
	u.session, u.doubt, u.off, u.misfits = nil, false, 0, 0
	u.earlier, u.resumed = false, false
	u.line.restart(Progress{})
}

// ask finds out how much of the blob the registry has got. A registry that cannot say so, or has forgotten, makes the
// upload begin anew.
func (u *upload) ask(ctx context.Context) error {
	if u.whole {
		u.lose()
		return nil
	}
	return transfer.InTime(ctx, u.t.opts, func(ctx context.Context) error {
		req, err := u.t.requestTo(ctx, http.MethodGet, u.session)
		if err != nil {
			return err
		}
		resp, err := u.t.repo.send(req)
		if err != nil {
			return err
		}
		if resp.StatusCode < http.StatusOK || resp.StatusCode >= http.StatusMultipleChoices {
			return u.unanswered(u.t.repo.fail(resp, "ask for the state of the upload"))
		}
		_ = resp.Body.Close()
		has, ok := received(resp)
		if has == 1 {
			has = 0 // 0-0 is also what registries say that have nothing
		}
		if !ok || has > u.desc.Size {
			u.lose()
			return nil
		}
		if resp.Header.Get("Location") != "" {
			if err := u.follow(resp); err != nil {
				return err
			}
		}
		u.resume(has)
		return nil
	})
}

// unanswered decides what a registry means that does not say how much it has got. One that is out of order gets time.
func (u *upload) unanswered(err error) error {
	u.misfits++
	if isAuth(err) || !isRefusal(err) && u.misfits <= maxMisfits {
		return err
	}
	u.lose()
	return nil
}

// resume goes on from byte has.
func (u *upload) resume(has int64) {
	u.off, u.doubt, u.resumed = has, false, has > 0
	u.high = max(u.high, has)
	if u.earlier {
		u.earlier = false
		u.line.restart(Progress{Done: has, Reused: has})
	}
}

// received is how many bytes an answer says have come: Range: 0-n, where some write bytes=0-n.
func received(resp *http.Response) (n int64, ok bool) {
	text := strings.TrimPrefix(strings.TrimSpace(resp.Header.Get("Range")), "bytes=")
	last, ok := strings.CutPrefix(text, "0-")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(last, 10, 64)
	return n + 1, err == nil && n >= 0
}

// confirm compares the digest that the registry says it has got, where it says so.
func confirm(resp *http.Response, want digest.Digest) error {
	if said := resp.Header.Get(digestHeader); said != "" && said != string(want) {
		return fmt.Errorf("%w: the registry says it has got %s, not %s", source.ErrDigest, transfer.Clean(said), want)
	}
	return nil
}
