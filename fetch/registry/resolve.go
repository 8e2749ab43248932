package registry

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/manifest"
)

// accepted are the media types that are understood, as an Accept header.
const accepted = ocispec.MediaTypeImageManifest + ", " + manifest.MediaTypeDockerManifest + ", " +
	ocispec.MediaTypeImageIndex + ", " + manifest.MediaTypeDockerList

const digestHeader = "Docker-Content-Digest"

// Resolve is [source.Source]: it asks the registry what ref, HOST/REPOSITORY[:TAG][@DIGEST], names. Where that is an
// index, the manifest is the one for opts.Platform. When the registry's answer to one HEAD names opts.Have there is no
// second request; a digest that is opts.Have needs none.
func (c *Client) Resolve(ctx context.Context, ref string, opts source.Options) (*source.Model, error) {
	r, err := ParseReference(ref)
	if err != nil {
		return nil, err
	}
	m := &source.Model{Name: r.Name(), Reference: "oci://" + r.String(), PlainHTTP: opts.PlainHTTP}
	if r.Digest != "" && r.Digest == opts.Have {
		m.Digest, m.Unchanged = opts.Have, true
		return m, nil
	}
	repo, err := c.repository(ctx, r, opts.PlainHTTP)
	if err != nil {
		return nil, err
	}
	m.PlainHTTP = repo.base.Scheme == "http"
	asked := r.Tag
	if r.Digest != "" {
		asked = string(r.Digest)
	}
	if opts.Have != "" {
		if d, err := repo.head(ctx, asked, opts.Transfer); err != nil {
			return nil, err
		} else if d == opts.Have {
			m.Digest, m.Unchanged = d, true
			return m, nil
		}
	}
	m.Digest, m.Manifest, err = repo.follow(ctx, asked, opts)
	if err != nil {
		return nil, err
	}
	m.Origins = repo.origins
	return m, nil
}

// head asks for the digest of a manifest. Where the registry does not tell, or has no HEAD, the digest is empty.
func (r *repository) head(ctx context.Context, asked string, opts transfer.Options) (d digest.Digest, err error) {
	err = transfer.Ask(ctx, opts, func(ctx context.Context) error {
		req, err := r.request(ctx, http.MethodHead, "manifests/"+asked)
		if err != nil {
			return err
		}
		req.Header.Set("Accept", accepted)
		resp, err := r.send(req)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			d = digest.Digest(resp.Header.Get(digestHeader))
		}
		return nil // what else it may mean, the GET that follows finds out
	})
	return d, err
}

// follow gets the manifest that asked names, through the indexes before it. top is the digest of the first of them.
func (r *repository) follow(ctx context.Context, asked string, opts source.Options) (top digest.Digest, m *manifest.Manifest, err error) {
	var want ocispec.Descriptor
	if d := digest.Digest(asked); d.Validate() == nil {
		want.Digest = d
	}
	for depth := 0; ; depth++ {
		if want.Digest != "" {
			asked = string(want.Digest)
		}
		mediaType, raw, err := r.manifest(ctx, asked, want, opts.Transfer)
		if err != nil {
			return "", nil, err
		}
		if top == "" {
			top = digest.FromBytes(raw)
		}
		if !manifest.IsIndex(mediaType, raw) {
			m, err = manifest.Parse(mediaType, raw)
			return top, m, r.naming(err, asked)
		}
		index, err := manifest.ParseIndex(mediaType, raw)
		if err != nil {
			return "", nil, r.naming(err, asked)
		}
		if depth == manifest.MaxDepth {
			return "", nil, r.naming(fmt.Errorf("%w: more than %d indexes lead from one to the next",
				manifest.ErrMalformed, manifest.MaxDepth), asked)
		}
		if want, err = index.Select(opts.Platform); err != nil {
			return "", nil, r.naming(err, asked)
		}
	}
}

// naming says of an error which manifest it is about.
func (r *repository) naming(err error, asked string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("manifest %s of %s: %w", asked, r, err)
}

// manifest gets the bytes of a manifest or index and checks them against want, as far as that is filled, and against
// the digest that the registry says they have. mediaType is "" when the registry does not say.
func (r *repository) manifest(
	ctx context.Context, asked string, want ocispec.Descriptor, opts transfer.Options,
) (mediaType string, raw []byte, err error) {
	var said string
	err = transfer.Ask(ctx, opts, func(ctx context.Context) error {
		mediaType, said, raw, err = r.get(ctx, asked)
		return err
	})
	if err != nil {
		return "", nil, err
	}
	got := digest.FromBytes(raw)
	switch {
	case want.Digest != "" && got != want.Digest:
		err = fmt.Errorf("%w: got %s", source.ErrDigest, got)
	case want.Size != 0 && int64(len(raw)) != want.Size:
		err = fmt.Errorf("%w: it is listed with %d bytes and has %d", manifest.ErrMalformed, want.Size, len(raw))
	case strings.HasPrefix(said, string(digest.SHA256)) && got.String() != said:
		err = fmt.Errorf("%w: the registry says %s, got %s", source.ErrDigest, transfer.Clean(said), got)
	case want.MediaType != "" && mediaType != "" && mediaType != want.MediaType:
		err = fmt.Errorf("%w: it is listed as %q and came as %q", manifest.ErrMalformed, want.MediaType, mediaType)
	case mediaType == "":
		mediaType = want.MediaType
	}
	return mediaType, raw, r.naming(err, asked)
}

// get asks once for a manifest. said is the digest that the registry says it has.
func (r *repository) get(ctx context.Context, asked string) (mediaType, said string, raw []byte, err error) {
	req, err := r.request(ctx, http.MethodGet, "manifests/"+asked)
	if err != nil {
		return "", "", nil, err
	}
	req.Header.Set("Accept", accepted)
	resp, err := r.send(req)
	if err != nil {
		return "", "", nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return "", "", nil, r.missing(ctx, resp, asked)
	case resp.StatusCode != http.StatusOK:
		return "", "", nil, r.fail(resp, "manifest "+asked+" of "+r.String())
	case isHTML(resp):
		return "", "", nil, fmt.Errorf("%s: %w: it answers with a web page", r.host, errNotRegistry)
	}
	raw, err = io.ReadAll(io.LimitReader(resp.Body, manifest.MaxSize+1))
	if err != nil {
		return "", "", nil, fmt.Errorf("manifest %s of %s: %w: %w", asked, r, transfer.ErrInterrupted, err)
	}
	if len(raw) > manifest.MaxSize {
		return "", "", nil, fmt.Errorf("manifest %s of %s: %w: more than %d bytes", asked, r, manifest.ErrMalformed, manifest.MaxSize)
	}
	return manifestType(resp), resp.Header.Get(digestHeader), raw, nil
}

// manifestType is the media type that a manifest came as; "" for the types that servers give to anything.
func manifestType(resp *http.Response) string {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch kind {
	case "application/json", "application/octet-stream", "text/plain":
		return ""
	}
	return kind
}

// missing finds out what a 404 for a manifest means: no such tag, no such repository, or no registry at all.
func (r *repository) missing(ctx context.Context, resp *http.Response, asked string) error {
	errs, ok := registryErrors(peek(resp))
	if !ok {
		is, err := r.c.ping(ctx, r.base)
		if err != nil {
			return err
		}
		if !is {
			return fmt.Errorf("%s: %w: %w", r.host, errNotRegistry, transfer.NewStatusError(resp, nil))
		}
	}
	for _, e := range errs {
		if e.Code == "NAME_UNKNOWN" {
			return r.fail(resp, "repository "+r.String())
		}
	}
	if r.isUnknown(ctx) {
		return r.fail(resp, "repository "+r.String())
	}
	return r.fail(resp, "manifest "+asked+" of "+r.String())
}

// isUnknown asks for the tags of the repository, to tell a repository that is not there from a tag that is not.
func (r *repository) isUnknown(ctx context.Context) bool {
	req, err := r.request(ctx, http.MethodGet, "tags/list")
	if err != nil {
		return false
	}
	req.URL.RawQuery = "n=1"
	resp, err := r.send(req)
	if err != nil {
		return false
	}
	errs, _ := registryErrors(peek(resp))
	for _, e := range errs {
		if resp.StatusCode == http.StatusNotFound && e.Code == "NAME_UNKNOWN" {
			return true
		}
	}
	return false
}
