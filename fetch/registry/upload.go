package registry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/mstore/mstore/fetch/guard"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
)

// commitStalls is how many stall times a registry may think when it has all bytes of a blob: it hashes them, or copies
// them into its storage.
const commitStalls = 5

// begin opens an upload session, or mounts the blob from another repository where from names one.
func (t *Target) begin(ctx context.Context, desc ocispec.Descriptor, from string) (session *url.URL, mounted bool, err error) {
	err = transfer.InTime(ctx, t.opts, func(ctx context.Context) error {
		if from != "" {
			ctx = auth.AppendScopesForHost(ctx, t.repo.base.Host, auth.ScopeRepository(from, auth.ActionPull))
		}
		req, err := t.request(ctx, http.MethodPost, "blobs/uploads/")
		if err != nil {
			return err
		}
		if from != "" {
			req.URL.RawQuery = url.Values{"mount": {string(desc.Digest)}, "from": {from}}.Encode()
		}
		resp, err := t.repo.send(req)
		if err != nil {
			return err
		}
		switch {
		case resp.StatusCode == http.StatusAccepted:
			_ = resp.Body.Close()
			session, err = t.session(resp)
			return err
		case resp.StatusCode == http.StatusCreated && from != "":
			_ = resp.Body.Close()
			mounted = true
			return confirm(resp, desc.Digest)
		}
		return t.repo.fail(resp, "start an upload")
	})
	return session, mounted, err
}

// session is where the bytes are to be sent: a place of the registry itself, and no other.
func (t *Target) session(resp *http.Response) (*url.URL, error) {
	location, err := resp.Location()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: an upload without a Location", t.repo.host, errNotRegistry)
	}
	if !guard.SameOrigin(location, t.repo.base) || location.User != nil {
		return nil, fmt.Errorf("%w: %s wants the upload sent to %s", guard.ErrRedirect, t.repo.base, transfer.RedactURL(location))
	}
	return location, nil
}

// confirm compares the digest that the registry says it has got, where it says so.
func confirm(resp *http.Response, want digest.Digest) error {
	if said := resp.Header.Get(digestHeader); said != "" && said != string(want) {
		return fmt.Errorf("%w: the registry says it has got %s, not %s", source.ErrDigest, transfer.Clean(said), want)
	}
	return nil
}

// put sends all bytes of a blob in one request.
func (t *Target) put(
	ctx context.Context, session *url.URL, desc ocispec.Descriptor, content io.ReaderAt, progress func(sent int64),
) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := newSendWatch(t.opts, cancel)
	defer w.timer.Stop()

	to := *session
	if to.RawQuery != "" {
		to.RawQuery += "&"
	}
	to.RawQuery += "digest=" + url.QueryEscape(string(desc.Digest))
	req, err := t.request(ctx, http.MethodPut, "")
	if err != nil {
		return err
	}
	req.URL = &to
	req.Header.Set("Content-Type", "application/octet-stream")
	if desc.Size > 0 {
		req.ContentLength = desc.Size
		req.GetBody = func() (io.ReadCloser, error) {
			return &upload{r: io.NewSectionReader(content, 0, desc.Size), left: desc.Size, size: desc.Size, watch: w, progress: progress}, nil
		}
		req.Body, _ = req.GetBody() // it has no error
	}
	resp, err := t.repo.send(req)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	switch resp.StatusCode {
	case http.StatusCreated, http.StatusNoContent:
		_ = resp.Body.Close()
		return confirm(resp, desc.Digest)
	case http.StatusNotFound:
		// The status is final, but not for the blob: the next try opens a new session.
		return fmt.Errorf("%w: the upload session is gone: %s", transfer.ErrInterrupted, transfer.NewStatusError(resp, explain).Error())
	}
	return t.repo.fail(resp, "upload")
}

// putManifest puts a manifest once.
func (t *Target) putManifest(ctx context.Context, name, mediaType string, raw []byte, want digest.Digest) error {
	req, err := t.request(ctx, http.MethodPut, "manifests/"+name)
	if err != nil {
		return err
	}
	req.ContentLength = int64(len(raw))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }
	req.Body, _ = req.GetBody() // it has no error
	req.Header.Set("Content-Type", mediaType)
	resp, err := t.repo.send(req)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusCreated {
		return t.repo.fail(resp, "manifest "+name)
	}
	_ = resp.Body.Close()
	return confirm(resp, want)
}

// sendWatch ends an upload that stands still.
type sendWatch struct {
	stall time.Duration
	timer *time.Timer
}

func newSendWatch(opts transfer.Options, cancel context.CancelCauseFunc) *sendWatch {
	stall := opts.Stall
	if stall <= 0 {
		stall = transfer.DefaultStall
	}
	return &sendWatch{stall, time.AfterFunc(stall, func() { cancel(&transfer.StallError{For: stall}) })}
}

// upload is the body of a PUT, which tells how far it is.
type upload struct {
	r          io.Reader
	left, size int64
	watch      *sendWatch
	progress   func(sent int64)
}

func (u *upload) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	u.left -= int64(n)
	wait := u.watch.stall
	if u.left == 0 {
		wait *= commitStalls
	}
	u.watch.timer.Reset(wait)
	if u.progress != nil && n > 0 {
		u.progress(u.size - u.left)
	}
	return n, err
}

func (u *upload) Close() error { return nil }
