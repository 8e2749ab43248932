package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/opencontainers/go-digest"
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
	// from there without being sent. Every other value is ignored.
	MountFrom string
	// Transfer is the patience with requests that fail; the zero value is the default.
	Transfer transfer.Options
}

// Target is a repository that is pushed to: blobs first, several at once if one likes, the manifest last.
type Target struct {
	repo *repository
	ref  Reference
	from string // repository to mount from; empty: none
	opts transfer.Options
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
	t := &Target{repo: repo, ref: r, opts: opts.Transfer}
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

// HasBlob tells whether the repository has a blob, with the size that it should have.
func (t *Target) HasBlob(ctx context.Context, desc ocispec.Descriptor) (has bool, err error) {
	err = transfer.Retry(ctx, t.opts, func(ctx context.Context) error {
		return transfer.InTime(ctx, t.opts, func(ctx context.Context) error {
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
	})
	return has, err
}

// PushBlob makes the blob desc be in the repository: it is sent only when it is neither there nor in the repository to
// mount from. content is read from 0 to desc.Size, again from 0 when the upload has to be repeated. progress, when not
// nil, is told how many bytes of the upload under way have been sent; it is called from one goroutine and must be
// quick. Several blobs may be pushed at once.
func (t *Target) PushBlob(
	ctx context.Context, desc ocispec.Descriptor, content io.ReaderAt, progress func(sent int64),
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
	outcome, from := Sent, t.from
	err = transfer.Retry(ctx, t.opts, func(ctx context.Context) error {
		session, mounted, err := t.begin(ctx, desc, from)
		if from != "" && isRefusal(err) { // a registry may refuse to look into the other repository; this one is open still
			from = ""
			session, mounted, err = t.begin(ctx, desc, from)
		}
		if err != nil {
			return err
		}
		if mounted {
			outcome = Mounted
			return nil
		}
		return t.put(ctx, session, desc, content, progress)
	})
	if err != nil {
		return "", fmt.Errorf("push blob %s to %s: %w", desc.Digest, t.repo, err)
	}
	return outcome, nil
}

// isRefusal tells whether err is an answer that says no.
func isRefusal(err error) bool {
	var status *transfer.StatusError
	return errors.As(err, &status) && status.Status >= 400 && status.Status < 500 && !transfer.Retryable(err)
}

// PushManifest puts a manifest whose blobs have been pushed, under the target's tag, or under its digest where the
// target has no tag. It returns when the registry has said that it has it.
func (t *Target) PushManifest(ctx context.Context, mediaType string, raw []byte) (digest.Digest, error) {
	want := digest.FromBytes(raw)
	if t.ref.Digest != "" && t.ref.Digest != want {
		return "", fmt.Errorf("push to %s: %w: the manifest is %s", t.ref, source.ErrDigest, want)
	}
	name := t.ref.Tag
	if name == "" {
		name = string(want)
	}
	err := transfer.Retry(ctx, t.opts, func(ctx context.Context) error {
		return transfer.InTime(ctx, t.opts, func(ctx context.Context) error {
			return t.putManifest(ctx, name, mediaType, raw, want)
		})
	})
	if err != nil {
		return "", fmt.Errorf("push manifest to %s: %w", t.ref, err)
	}
	return want, nil
}
