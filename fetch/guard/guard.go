// Package guard is the HTTP client under every source: it goes where it is sent only as far as that is safe.
//
// A request is made for a home, the server that the user named ([WithHome]). What leaves home, by a redirect or to a
// token server, must not lose TLS, must not carry what is secret to a place that is not trusted with it, and must not
// be aimed at a network nearer to this machine than home is.
package guard

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mstore/mstore/fetch/transfer"
)

var (
	// ErrRedirect reports a server that sends the client where it must not go.
	ErrRedirect = errors.New("redirect refused")
	// ErrUntrusted reports a server that wants credentials, or an upload, sent to a place that is not trusted with it.
	ErrUntrusted = errors.New("credentials refused")
)

const (
	// idlePerHost is more than the ranges that are ever in flight to one host.
	idlePerHost = 64
	// maxHeaderBytes is a tenth of what Go would read.
	maxHeaderBytes = 1 << 20
	// maxRedirects is two more than any server was seen to need.
	maxRedirects = 5
	// writeBuffer is what an upload gives the kernel at a time.
	writeBuffer = 64 << 10

	handshakeTimeout = 15 * time.Second
	idleTimeout      = 90 * time.Second
)

// New makes a client: HTTP/1.1, because ranges in parallel want connections in parallel; no compression, because
// offsets are of the bytes themselves; and every request through the guard. base gives the transport, and nothing else
// of it is used; nil is a transport with the proxy of the environment. trusted are hosts (with their port, if any) of
// token servers that may be given credentials for other hosts; one of home's own domain needs no entry.
func New(base *http.Client, trusted []string) *http.Client {
	next := http.DefaultTransport
	if base != nil && base.Transport != nil {
		next = base.Transport
	}
	if t, ok := next.(*http.Transport); ok {
		t = t.Clone()
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP1(true)
		t.ForceAttemptHTTP2 = false
		t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
		if t.TLSClientConfig != nil {
			t.TLSClientConfig.NextProtos = nil // which Clone fills: a server that is offered HTTP/2 answers in it
		}
		t.DisableCompression = true
		t.MaxIdleConns = 0
		t.MaxIdleConnsPerHost = max(t.MaxIdleConnsPerHost, idlePerHost)
		t.MaxResponseHeaderBytes = maxHeaderBytes
		t.WriteBufferSize = max(t.WriteBufferSize, writeBuffer)
		t.TLSHandshakeTimeout = handshakeTimeout
		t.IdleConnTimeout = idleTimeout
		t.DialContext = guardDial(t.DialContext, t.Proxy)
		t.OnProxyConnectResponse = judgeConnect
		next = t
	}
	return &http.Client{
		Transport: &guard{next: next, trusted: trusted},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if !SameOrigin(req.URL, via[0].URL) { // Go takes it along to other ports and to subdomains
				req.Header.Del("Authorization")
			}
			if len(via) > maxRedirects {
				return fmt.Errorf("%w: more than %d in a row", ErrRedirect, maxRedirects)
			}
			return nil
		},
	}
}

// judgeConnect makes an error of a proxy that opens no tunnel, whose answer net/http would make a bare text of.
func judgeConnect(_ context.Context, proxy *url.URL, req *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return &transfer.StatusError{Method: req.Method, URL: transfer.RedactURL(proxy), Status: resp.StatusCode}
}

// guard is the transport that knows for which server a request is made.
type guard struct {
	next    http.RoundTripper
	trusted []string
}

// RoundTrip is http.RoundTripper.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	home := homeOf(req.Context())
	if home == nil || SameOrigin(home, req.URL) {
		return g.next.RoundTrip(req)
	}
	if err := g.judge(req, home); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	away := req.Clone(withAway(req.Context(), req.URL))
	away.Header.Del("Referer") // may hold the query of a signed link
	if away.Header.Get("Authorization") == "" {
		away.Header.Del("Cookie")
	}
	return g.next.RoundTrip(away)
}

// CloseIdleConnections closes those of a transport that is the client's own.
func (g *guard) CloseIdleConnections() {
	if own, ok := g.next.(*http.Transport); ok {
		own.CloseIdleConnections()
	}
}

func (g *guard) judge(req *http.Request, home *url.URL) error {
	to := transfer.RedactURL(req.URL)
	hasBody := req.Body != nil && req.Body != http.NoBody
	redirected := req.Response != nil
	switch {
	case req.URL.Scheme != "https" && req.URL.Scheme != "http":
		return fmt.Errorf("%w: %s sends to %s", ErrRedirect, home.Host, to)
	case home.Scheme == "https" && req.URL.Scheme == "http":
		return fmt.Errorf("%w: %s sends to %s, which has no TLS", ErrRedirect, home.Host, to)
	case redirected && hasBody:
		return fmt.Errorf("%w: %s sends an upload to %s", ErrRedirect, home.Host, to)
	case (hasBody || req.Header.Get("Authorization") != "") && !g.trusts(home, req.URL):
		return fmt.Errorf("%w: %s wants its credentials sent to %s, which is not trusted with them",
			ErrUntrusted, home.Host, to)
	}
	return checkLiteral(req.URL, home)
}

// trusts tells whether a token server may see credentials that are for home: it is home itself, or it is one over TLS
// in home's own domain (gitlab.example.com for registry.example.com, auth.docker.io for registry-1.docker.io), or the
// user said so.
func (g *guard) trusts(home, realm *url.URL) bool {
	for _, t := range g.trusted {
		if strings.EqualFold(t, realm.Host) || strings.EqualFold(t, realm.Hostname()) {
			return true
		}
	}
	if realm.Scheme != "https" || home.Scheme != "https" {
		return false
	}
	h, r := strings.ToLower(home.Hostname()), strings.ToLower(realm.Hostname())
	return h == r || sameDomain(h, r)
}

// sameDomain tells whether one host is the other's parent, or both have one parent that is more than a top-level name.
func sameDomain(a, b string) bool {
	_, parentA, _ := strings.Cut(a, ".")
	_, parentB, _ := strings.Cut(b, ".")
	for _, pair := range [][2]string{{a, parentB}, {parentA, b}, {parentA, parentB}} {
		if pair[0] == pair[1] && strings.Contains(pair[0], ".") {
			return !isAddress(a) && !isAddress(b)
		}
	}
	return false
}

// WithHome marks the requests of ctx as made for the server at home. A request without a home is not guarded.
func WithHome(ctx context.Context, home *url.URL) context.Context {
	return context.WithValue(ctx, homeKey{}, home)
}

// SameOrigin tells whether two URLs have the same scheme, host and port.
func SameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && hostPort(a) == hostPort(b)
}

// hostPort is the host and port that a URL leads to.
func hostPort(u *url.URL) string {
	port := u.Port()
	switch {
	case port != "":
	case strings.EqualFold(u.Scheme, "https"):
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}
