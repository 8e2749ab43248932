// Package web is the source that is one file at a URL.
//
// What a file is, a web server seldom says. [Client.Resolve] looks for a digest wherever one may stand: with the caller,
// in the URL, in the headers of an answer, in a file beside it. Where there is none the file is trusted on first use, and
// the server's validator (its entity tag, or the date of its last change) ties its parts together: an answer that is of
// another state of the file ends the transfer, and is never mixed with what there is. The package does not know that a
// store exists.
package web

import (
	"context"
	"net/http"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/fetch/guard"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
)

// Options make a Client. The zero value is the default.
type Options struct {
	// HTTP gives the transport; nothing else of it is used. nil is a transport with the proxy of the environment.
	HTTP *http.Client
	// UserAgent is what the client calls itself, such as mstore/1.0; empty: mstore.
	UserAgent string
}

// Client speaks to any number of servers. It keeps connections, and may be used by several goroutines.
type Client struct {
	opts Options
	http *http.Client
}

var _ source.Source = (*Client)(nil)

// New makes a client. It reads nothing and connects to nobody yet.
func New(opts Options) *Client {
	if opts.UserAgent == "" {
		opts.UserAgent = "mstore"
	}
	return &Client{opts: opts, http: guard.New(opts.HTTP, nil)}
}

// Close closes the connections that nobody uses. The client can be used on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Resolve is [source.Source]. ref is a whole URL, with its scheme. A user and password in it go to its own host alone
// and are nowhere kept; #sha256=HEX says what the file is, as opts.Digest does.
//
// The file's name is the last element of the URL's path. Where that is none, or is not safe (manifest.SafePath), it is
// what the server calls it (Content-Disposition), by the same rules; where that is none either, the reference names no
// file: ErrReference. A web page in place of a file, and a pointer of Git LFS, are ErrProtocol.
//
// The digest is opts.Digest, else the URL's, else the server's: Repr-Digest, Digest, Content-Digest of a whole answer,
// X-Linked-Etag; else that of a file of the same URL with .sha256 or .sha256sum behind it. What is unchanged, by its
// validator, is known after one request, unless the caller says what the file is: then the digest is for the store to
// compare.
func (c *Client) Resolve(ctx context.Context, ref string, opts source.Options) (*source.Model, error) {
	p, err := parse(ref)
	if err == nil {
		p, err = p.pinned(opts.Digest)
	}
	if err != nil {
		return nil, err
	}
	f := &file{c: c, place: p, digest: p.pin}
	have := opts.HaveValidator
	if opts.Have == "" || p.pin != "" {
		have = ""
	}
	unchanged, err := f.probe(ctx, have, opts.Transfer)
	if err != nil {
		return nil, err
	}
	m := &source.Model{
		Name: p.name(f.path), Reference: p.reference(), Validator: f.validator, PlainHTTP: p.url.Scheme == "http",
	}
	if unchanged {
		m.Unchanged = true
		return m, nil
	}
	if err := f.checkPointer(ctx, opts.Transfer); err != nil {
		return nil, err
	}
	if f.digest == "" {
		if f.digest, err = f.beside(ctx, opts.Transfer); err != nil {
			return nil, err
		}
	}
	m.Files = []source.File{f.source()}
	return m, nil
}

// file is what is known of the file at a place.
type file struct {
	c *Client
	place

	path      string        // in the model
	size      int64         // -1: not known
	digest    digest.Digest // "": not known
	validator string        // "": none that can be relied on
}

// source is the file as a pull sees it. Without digest and validator nothing would tell that a part is of another state
// than the rest, so that there must be no parts.
func (f *file) source() source.File {
	out := source.File{Path: f.path, Descriptor: ocispec.Descriptor{Digest: f.digest, Size: f.size}}
	link := &transfer.Link{
		Server: f.url.Host, Request: f.request, Send: f.send, Direct: f.direct, Fail: f.fail,
	}
	if f.validator != "" {
		out.Name = f.reference() + " " + f.validator
	}
	if f.digest == "" && f.validator == "" {
		out.Descriptor.Size = -1
		out.Origins = []transfer.Origin{&single{Link: link}}
		return out
	}
	out.Origins = []transfer.Origin{link}
	return out
}
