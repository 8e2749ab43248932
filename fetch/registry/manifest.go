package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
)

// ErrBlobUnknown reports a manifest that a registry refuses because it misses a blob, whatever it said before.
var ErrBlobUnknown = errors.New("the registry misses a blob of the manifest")

// CheckDigest fails with source.ErrDigest when the target names another manifest than d by its digest. It asks nobody.
func (t *Target) CheckDigest(d digest.Digest) error {
	if t.ref.Digest != "" && t.ref.Digest != d {
		return fmt.Errorf("push to %s: %w: the manifest is %s", t.ref, source.ErrDigest, d)
	}
	return nil
}

// PushManifest puts a manifest whose blobs have been pushed, under the target's tag, or under its digest where the
// target has no tag. It returns when the registry has said that it has it. With ErrBlobUnknown the blobs can be pushed
// once more: those that are there are not sent.
func (t *Target) PushManifest(ctx context.Context, mediaType string, raw []byte) (digest.Digest, error) {
	want := digest.FromBytes(raw)
	if err := t.CheckDigest(want); err != nil {
		return "", err
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
		errs, _ := registryErrors(peek(resp))
		if err = t.repo.fail(resp, "manifest "+name); slices.ContainsFunc(errs, missesBlob) {
			err = fmt.Errorf("%w: %w", ErrBlobUnknown, err)
		}
		return err
	}
	_ = resp.Body.Close()
	return confirm(resp, want)
}

func missesBlob(e errcode.Error) bool {
	return e.Code == errcode.ErrorCodeManifestBlobUnknown || e.Code == errcode.ErrorCodeBlobUnknown
}
