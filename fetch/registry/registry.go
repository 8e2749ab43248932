// Package registry is the source and the target that is an OCI registry, whatever program answers there.
//
// A [Client] resolves references to manifests, gives the places of their blobs as origins for the transfer engine, and
// sends blobs and manifests. Authentication is oras-go's, with the credentials that docker keeps. What a server says
// is believed only as far as digests bear it out, and no credential leaves for another place than the one it is for:
// every request of a Client goes through package guard. The package does not know
// that a store exists.
package registry

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/mstore/mstore/fetch/guard"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
)

// errNotRegistry reports a server that answers, but not as a registry does.
var errNotRegistry = fmt.Errorf("not an OCI registry: %w", source.ErrProtocol)

// Options make a Client. The zero value is the default.
type Options struct {
	// HTTP gives the transport; nothing else of it is used. nil is a transport with the proxy of the environment.
	HTTP *http.Client
	// PlainHTTP tells which hosts (with their port) are spoken to without TLS; nil: none. A host on loopback that does
	// not answer TLS is spoken to without it anyway.
	PlainHTTP func(host string) bool
	// Mirrors are hosts that may have the blobs of a host, in the repositories of the same names; nil: none. What a
	// reference names is asked of the host itself, so that a mirror need not be trusted.
	Mirrors func(host string) []string
	// Credentials is where credentials are kept; nil is docker's configuration with its helpers.
	Credentials credentials.Store
	// TrustedRealms are hosts (with their port, if any) of token servers that may be given credentials for other
	// hosts. A token server of the registry's own domain needs no entry.
	TrustedRealms []string
	// UserAgent is what the client calls itself, such as mstore/1.0; empty: mstore.
	UserAgent string
	// Log is told what could not be done and was done without; nil: nobody is.
	Log *slog.Logger
}

// Client speaks to any number of registries. It keeps connections and tokens, and may be used by several goroutines.
type Client struct {
	opts Options
	http *http.Client
	auth *auth.Client
	keys *keyring

	schemes guard.Schemes

	mu        sync.Mutex
	latencies map[string]time.Duration // by host
}

var _ source.Source = (*Client)(nil)

// New makes a client. It reads nothing and connects to nobody yet.
func New(opts Options) *Client {
	if opts.PlainHTTP == nil {
		opts.PlainHTTP = func(string) bool { return false }
	}
	if opts.Mirrors == nil {
		opts.Mirrors = func(string) []string { return nil }
	}
	if opts.UserAgent == "" {
		opts.UserAgent = "mstore"
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	c := &Client{
		opts:      opts,
		http:      guard.New(opts.HTTP, opts.TrustedRealms),
		latencies: make(map[string]time.Duration),
		keys:      newKeyring(opts.Credentials, opts.Log),
	}
	c.auth = c.newAuth(c.keys.credential, newTokens())
	return c
}

// base is the URL of the registry at host.
func (c *Client) base(ctx context.Context, host string, plain bool) (*url.URL, error) {
	return c.schemes.Base(ctx, apiHost(host), plain || c.opts.PlainHTTP(host))
}

// newAuth is the authenticating client for one source of credentials.
func (c *Client) newAuth(credential auth.CredentialFunc, cache auth.Cache) *auth.Client {
	a := &auth.Client{
		Client:     c.http,
		Credential: credential,
		Cache:      cache,
		ClientID:   "mstore",
		// The guard judges addresses when they are dialled, by the registry that the request is for.
		BlockedRealmPrefixes: []netip.Prefix{},
	}
	a.SetUserAgent(c.opts.UserAgent)
	return a
}

// Close closes the connections that nobody uses. The client can be used on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// keyring finds credentials and remembers what it found, for the texts of errors.
type keyring struct {
	open func() (credentials.Store, error)
	log  *slog.Logger

	mu    sync.Mutex
	found map[string]bool
	wrong map[string]error
}

func newKeyring(store credentials.Store, log *slog.Logger) *keyring {
	open := func() (credentials.Store, error) { return store, nil }
	if store == nil {
		open = sync.OnceValues(func() (credentials.Store, error) {
			return credentials.NewStoreFromDocker(credentials.StoreOptions{
				AllowPlaintextPut: true, DetectDefaultNativeStore: true,
			})
		})
	}
	return &keyring{open: open, log: log, found: make(map[string]bool), wrong: make(map[string]error)}
}

// credential is what is kept for a host. A keyring that cannot be read is an empty one, as it is to docker: what is
// public can still be had.
func (k *keyring) credential(ctx context.Context, host string) (auth.Credential, error) {
	var got auth.Credential
	store, err := k.open()
	if err == nil {
		got, err = credentials.Credential(store)(ctx, host)
	}
	if ctx.Err() != nil {
		return auth.EmptyCredential, context.Cause(ctx)
	}
	if err != nil {
		k.log.Warn("credentials cannot be read; going on without", "host", host, "error", err)
		got = auth.EmptyCredential
	}
	k.note(host, got, err)
	return got, nil
}

// note remembers what was found for host.
func (k *keyring) note(host string, got auth.Credential, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.found[host], k.wrong[host] = got != auth.EmptyCredential, err
}

// story says what the keyring had for host, for an error's text.
func (k *keyring) story(host string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch found, asked := k.found[host]; {
	case k.wrong[host] != nil:
		return "its credentials cannot be read: " + transfer.Clean(k.wrong[host].Error())
	case found:
		return "its credentials were sent"
	case asked:
		return "no credentials are stored for it"
	}
	return "it did not ask for credentials"
}
