// Package ollama is the source that is Ollama's registry, or another server that speaks as it does.
//
// Its protocol is a part of the one of OCI registries: manifests and blobs, and nothing that lists them. What is
// different is how it knows who is asking: not by a password, but by the key that Ollama keeps beside its models. A
// manifest is believed by no header; its digest is of the bytes that came. The package does not know that a store
// exists.
package ollama

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/fetch/guard"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/manifest"
)

// Options make a Client. The zero value is the default.
type Options struct {
	// HTTP gives the transport; nothing else of it is used. nil is a transport with the proxy of the environment.
	HTTP *http.Client
	// PlainHTTP tells which hosts (with their port) are spoken to without TLS; nil: none. A host on loopback that does
	// not answer TLS is spoken to without it anyway.
	PlainHTTP func(host string) bool
	// KeyFile is the private key, in OpenSSH's format, that says who is asking where a registry wants to know. Empty is
	// the one that Ollama makes, ~/.ollama/id_ed25519. It is read when a registry asks for it, and not before.
	KeyFile string
	// UserAgent is what the client calls itself, such as mstore/1.0; empty: mstore.
	UserAgent string
}

// Client speaks to any number of registries. It keeps connections, and may be used by several goroutines.
type Client struct {
	opts    Options
	http    *http.Client
	schemes guard.Schemes
}

var _ source.Source = (*Client)(nil)

// New makes a client. It reads nothing and connects to nobody yet.
func New(opts Options) *Client {
	if opts.PlainHTTP == nil {
		opts.PlainHTTP = func(string) bool { return false }
	}
	if opts.UserAgent == "" {
		opts.UserAgent = "mstore"
	}
	return &Client{opts: opts, http: guard.New(opts.HTTP, nil)}
}

// Close closes the connections that nobody uses. The client can be used on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Resolve is [source.Source]: it asks the registry which manifest ref, [[HOST/]NAMESPACE/]MODEL[:TAG], names. That is
// one request, also where the manifest is opts.Have. opts.Platform does not matter: Ollama's models have none.
func (c *Client) Resolve(ctx context.Context, ref string, opts source.Options) (*source.Model, error) {
	r, err := ParseReference(ref)
	if err != nil {
		return nil, err
	}
	base, err := c.schemes.Base(ctx, r.Host, opts.PlainHTTP || c.opts.PlainHTTP(r.Host))
	if err != nil {
		return nil, err
	}
	repo := &repository{c: c, base: base, ref: r, token: make(chan string, 1)}
	repo.token <- ""
	mediaType, raw, err := repo.manifest(ctx, opts.Transfer)
	if err != nil {
		return nil, err
	}
	m := &source.Model{
		Name: r.Name(), Reference: "ollama://" + r.String(), Digest: digest.FromBytes(raw), PlainHTTP: base.Scheme == "http",
	}
	if m.Digest == opts.Have {
		m.Unchanged = true
		return m, nil
	}
	m.Manifest, err = manifest.Parse(mediaType, raw)
	switch {
	case err != nil:
		return nil, fmt.Errorf("manifest of %s: %w", r.Name(), err)
	case m.Manifest.Kind != manifest.KindOllama:
		return nil, fmt.Errorf("%s: %w: its manifest is of the kind %q, not of an Ollama model; an OCI registry's models are had by oci://",
			r.Name(), source.ErrProtocol, m.Manifest.Kind)
	}
	m.Origins = repo.origins
	return m, nil
}

// repository is one model of one registry, as it is spoken to.
type repository struct {
	c     *Client
	base  *url.URL
	ref   Reference
	token chan string // who asks for a new token holds the old one; "": none is needed, as far as is known
}

// url is that of something of the model: "manifests/<tag>", "blobs/<digest>".
func (r *repository) url(rest string) string {
	return r.base.JoinPath("v2", r.ref.Namespace, r.ref.Model, rest).String()
}

// origins is what a model of package source has as Origins.
func (r *repository) origins(desc ocispec.Descriptor) []transfer.Origin {
	return []transfer.Origin{&transfer.Link{
		Server: r.base.Host,
		Request: func(ctx context.Context) (*http.Request, error) {
			return http.NewRequestWithContext(ctx, http.MethodGet, r.url("blobs/"+string(desc.Digest)), http.NoBody)
		},
		Send:   r.send,
		Direct: func(req *http.Request) (*http.Response, error) { return r.once(req, "") },
		Fail: func(resp *http.Response) error {
			return r.fail(resp, fmt.Sprintf("blob %s of %s", desc.Digest, r.ref.Name()))
		},
	}}
}

// once sends a request with a token, where there is one. The texts of its errors are fit to print.
func (r *repository) once(req *http.Request, token string) (*http.Response, error) {
	req = req.Clone(guard.WithHome(req.Context(), r.base))
	req.Header.Set("User-Agent", r.c.opts.UserAgent)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := r.c.http.Do(req) //nolint:gosec // the guard judges where it leads
	switch {
	case err == nil:
		return resp, nil
	case errors.Is(err, http.ErrSchemeMismatch):
		return nil, fmt.Errorf("%s does not speak TLS: %w", r.base.Host, transfer.RedactError(err))
	}
	return nil, transfer.RedactError(err)
}
