package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
)

// TargetOptions say how to push. The zero value is the default.
type TargetOptions struct {
	// PlainHTTP lets the registry be spoken to without TLS.
	PlainHTTP bool
	// MountFrom is a reference whose repository may have the blobs: where it is of the same registry, they are taken
	// from there without being sent. With every other value the registry may look for them in what else it has.
	MountFrom string
	// Transfer is the patience with requests that fail; the zero value is the default.
	Transfer transfer.Options
	// Throttle, when not nil, is called before each piece of at most 64 KiB of a blob goes to the network, and returns
	// when its n bytes may. Its error ends the push of the blob.
	Throttle func(ctx context.Context, n int) error
	// Sessions lets an upload go on that an earlier process was killed in; nil: each begins at byte 0.
	Sessions Sessions
}

// Target is a repository that is pushed to: blobs first, several at once if one likes, the manifest last.
type Target struct {
	repo *repository
	ref  Reference
	from string // repository to mount from; empty: none is known
	opts transfer.Options

	throttle func(ctx context.Context, n int) error
	sessions Sessions
	chunk    int64 // bytes of the first request for a blob
	keep     int64 // size of the blobs whose sessions are kept
}

// Target prepares a push to ref, HOST/REPOSITORY[:TAG][@DIGEST]. Whether the registry is there, and lets anybody push,
// the first call of the Target finds out.
func (c *Client) Target(ctx context.Context, ref string, opts TargetOptions) (*Target, error) {
	r, err := ParseReference(ref)
	if err != nil {
		return nil, err
	}
	repo, err := c.repository(ctx, r, opts.PlainHTTP)
	if err != nil {
		return nil, err
	}
	t := &Target{
		repo: repo, ref: r, opts: opts.Transfer, throttle: opts.Throttle, sessions: opts.Sessions, chunk: firstChunk, keep: keepFrom,
	}
	if t.sessions == nil {
		t.sessions = noSessions{}
	}
	if from, err := ParseReference(opts.MountFrom); err == nil && apiHost(from.Host) == repo.base.Host {
		t.from = from.apiRepository()
	}
	if t.from == repo.name {
		t.from = ""
	}
	return t, nil
}

// Reference is what is pushed to, whole.
func (t *Target) Reference() Reference { return t.ref }

// PlainHTTP tells whether the registry is spoken to without TLS.
func (t *Target) PlainHTTP() bool { return t.repo.base.Scheme == "http" }

// Outcome says how a blob came to be in the target.
type Outcome string

// The outcomes.
const (
	Present Outcome = "present" // it was there
	Mounted Outcome = "mounted" // taken from another repository of the registry
	Sent    Outcome = "sent"
)

// request makes a request without a body, for somebody who may push.
func (t *Target) request(ctx context.Context, method, rest string) (*http.Request, error) {
	ctx = auth.AppendScopesForHost(ctx, t.repo.base.Host,
		auth.ScopeRepository(t.repo.name, auth.ActionPull, auth.ActionPush))
	return t.repo.request(ctx, method, rest)
}

// requestTo is request for a URL of the registry.
func (t *Target) requestTo(ctx context.Context, method string, to *url.URL) (*http.Request, error) {
	req, err := t.request(ctx, method, "")
	if err == nil {
		req.URL = to
	}
	return req, err
}

// HasBlob tells whether the repository has a blob, with the size that it should have.
func (t *Target) HasBlob(ctx context.Context, desc ocispec.Descriptor) (has bool, err error) {
	err = transfer.Retry(ctx, t.opts, func(ctx context.Context) error {
		has, err = t.head(ctx, desc)
		return err
	})
	return has, err
}

// head is HasBlob with one try.
func (t *Target) head(ctx context.Context, desc ocispec.Descriptor) (has bool, err error) {
	err = transfer.InTime(ctx, t.opts, func(ctx context.Context) error {
		req, err := t.request(ctx, http.MethodHead, "blobs/"+string(desc.Digest))
		if err != nil {
			return err
		}
		resp, err := t.repo.send(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		switch resp.StatusCode {
		case http.StatusOK:
			has = resp.ContentLength < 0 || resp.ContentLength == desc.Size
			return nil
		case http.StatusNotFound:
			return nil
		}
		return t.repo.fail(resp, fmt.Sprintf("blob %s of %s", desc.Digest, t.repo))
	})
	return has, err
}

// Progress is how far the push of a blob is, in bytes from its start.
type Progress struct {
	Done   int64 // what has come, or is on its way
	Reused int64 // of these, what an earlier process has sent
}

// PushBlob makes the blob desc be in the repository: it is sent only when it is neither there nor in another repository
// that the registry takes it from. content is read from 0 to desc.Size.
//
// An upload that breaks off goes on from the byte that the registry has got, where it can say so and takes chunks; else
// it begins anew. The same goes for one that an earlier process was killed in, where the target's options have Sessions.
// A blob counts as sent when the registry shows that it has it.
//
// progress, when not nil, is told how far the upload is. It goes back only when the upload begins anew. It is called
// from one goroutine at a time and must be quick. Several blobs may be pushed at once.
func (t *Target) PushBlob(
	ctx context.Context, desc ocispec.Descriptor, content io.ReaderAt, progress func(Progress),
) (Outcome, error) {
	if err := desc.Digest.Validate(); err != nil || desc.Size < 0 {
		return "", fmt.Errorf("push blob %q of %d bytes: %w", clip(string(desc.Digest)), desc.Size, errors.Join(err, source.ErrDigest))
	}
	has, err := t.HasBlob(ctx, desc)
	if err != nil {
		return "", err
	}
	if has {
		return Present, nil
	}
	u := t.newUpload(desc, content, progress)
	u.recall()
	if err := u.run(ctx); err != nil {
		return "", fmt.Errorf("push blob %s to %s: %w", desc.Digest, t.repo, err)
	}
	return u.outcome, nil
}

// isRefusal tells whether err is an answer that says no.
func isRefusal(err error) bool {
	var status *transfer.StatusError
	return errors.As(err, &status) && status.Status >= 400 && status.Status < 500 && !transfer.Retryable(err)
}

// isAuth tells whether err is about who is asking.
func isAuth(err error) bool { return errors.Is(err, source.ErrAuth) }
