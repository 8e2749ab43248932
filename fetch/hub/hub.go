// Package hub is the source that is the Hugging Face Hub, or another server that speaks its protocol.
//
// A [Client] resolves a repository at a revision to the commit that the revision is now, lists the files of that commit,
// and gives the places of their bytes. Every file is pinned to the commit, and what its bytes have to be is known before
// the first is fetched: the sha256 of what is kept as an LFS object, and the object id of what git has itself. Which of
// a repository's files make the model, where it holds the same weights several times, is decided here: see
// [Client.Resolve]. The token goes to the hub and to nobody that the hub redirects to. The package does not know that a
// store exists.
package hub

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/mstore/mstore/fetch/guard"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
)

// DefaultEndpoint is the hub that is meant when nothing else is said.
const DefaultEndpoint = "https://huggingface.co"

// Options make a Client. The zero value is the default.
type Options struct {
	// HTTP gives the transport; nothing else of it is used. nil is a transport with the proxy of the environment.
	HTTP *http.Client
	// Endpoint is the URL of the hub, which may have a path; empty: DefaultEndpoint. Without TLS it has to be on
	// loopback, or source.Options.PlainHTTP has to allow it.
	Endpoint string
	// Token gives what the hub knows its user by; "" for nobody. It is asked before each request, so it should remember.
	// nil: nobody.
	Token func(ctx context.Context) (string, error)
	// UserAgent is what the client calls itself, such as mstore/1.0; empty: mstore.
	UserAgent string
	// Log is told which files of a repository were left out, and how they are had; nil: nobody is.
	Log *slog.Logger
}

// Client speaks to one hub. It keeps connections, and may be used by several goroutines.
type Client struct {
	opts Options
	http *http.Client
	base *url.URL
	bad  error // what is wrong with the endpoint
}

var _ source.Source = (*Client)(nil)

// New makes a client. It connects to nobody yet. What is wrong with the endpoint, Resolve says.
func New(opts Options) *Client {
	if opts.Endpoint == "" {
		opts.Endpoint = DefaultEndpoint
	}
	if opts.Token == nil {
		opts.Token = func(context.Context) (string, error) { return "", nil }
	}
	if opts.UserAgent == "" {
		opts.UserAgent = "mstore"
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	c := &Client{opts: opts, http: guard.New(opts.HTTP, nil)}
	c.base, c.bad = parseEndpoint(opts.Endpoint)
	c.http.Transport = &signer{next: c.http.Transport, client: c}
	return c
}

func parseEndpoint(s string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(s, "/"))
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%w: the hub's endpoint has to be a URL such as %s, with nothing secret in it",
			source.ErrReference, DefaultEndpoint)
	}
	return u, nil
}

// signer is the transport that knows the token. It puts it on what goes to the hub itself and on nothing else, so that
// no redirect can carry it away.
type signer struct {
	next   http.RoundTripper
	client *Client
}

// RoundTrip is http.RoundTripper.
func (s *signer) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("User-Agent", s.client.opts.UserAgent)
	req.Header.Del("Authorization")
	if guard.SameOrigin(s.client.base, req.URL) {
		token, err := s.client.token(req.Context())
		if err != nil {
			return nil, err
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
	}
	return s.next.RoundTrip(req)
}

// CloseIdleConnections closes those of the transport below.
func (s *signer) CloseIdleConnections() {
	if own, ok := s.next.(interface{ CloseIdleConnections() }); ok {
		own.CloseIdleConnections()
	}
}

// token is the user's, if it is fit for a header.
func (c *Client) token(ctx context.Context) (string, error) {
	token, err := c.opts.Token(ctx)
	if err != nil {
		return "", fmt.Errorf("%w: the token of %s cannot be read: %w", source.ErrAuth, c.base.Host, err)
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%w: the token of %s has characters that no token has", source.ErrAuth, c.base.Host)
	}
	return token, nil
}

// Close closes the connections that nobody uses. The client can be used on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// send sends a request for home, the hub. Its errors are fit to print.
func (c *Client) send(req *http.Request) (*http.Response, error) {
	resp, err := c.http.Do( //nolint:gosec // the guard judges where it leads
		req.WithContext(guard.WithHome(req.Context(), c.base)))
	return resp, transfer.RedactError(err)
}

// get makes a request for what is below the endpoint at path, which is escaped.
func (c *Client) get(ctx context.Context, path string) (*http.Request, error) {
	return http.NewRequestWithContext(ctx, http.MethodGet, c.base.String()+path, http.NoBody)
}
