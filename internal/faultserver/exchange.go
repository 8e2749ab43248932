package faultserver

import (
	"net/http"
	"strings"
)

// kind is what a request asks for.
type kind int

const (
	other kind = iota
	blobGet
	manifestGet // and HEAD
	uploadStart
	uploadPatch
	uploadPut
)

// exchange is one request and what is known of its answer.
type exchange struct {
	s     *Server
	c     *conn
	r     *http.Request
	entry *Request

	kind     kind
	blob     *Blob
	manifest *Manifest
	session  string
	redirect bool // the answer is one, because the second host has the bytes

	at    int64                    // of the fault that is applied: an offset of the blob
	inj   Injection                // that it belongs to
	times int                      // how often it has met a request, this one included
	frame func(*h2conn, *h2stream) // what HTTP/2 does from at on
}

// sender writes replies in one version of HTTP.
type sender interface {
	// send tells whether the connection can carry another one.
	send(r *reply) bool
}

// exchange begins the counting of a request.
func (s *Server) exchange(c *conn, r *http.Request) *exchange {
	x := &exchange{s: s, c: c, r: r, entry: &Request{
		Host: c.host.name, Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Proto: r.Proto,
		Header: r.Header.Clone(), Conn: c.number,
	}}
	x.route()
	if x.blob != nil && x.kind == blobGet {
		x.entry.Range = Span{0, x.blob.Size}
		if span, ok, _ := asked(r, x.blob); ok {
			x.entry.Range = span
		}
	}
	return x
}

// answer answers a request and tells whether its connection can carry another one.
func (s *Server) answer(x *exchange, w sender) bool {
	underway := s.counts.begin(x.entry)
	defer s.counts.end()
	x.r.Body = received{x.r.Body, x}
	if s.wait(s.opts.Shape.FirstByte, x.c.gone) != nil {
		return false
	}
	r := s.reply(x, underway)
	if x.r.Method == http.MethodHead {
		r.bodyless = true
	}
	s.counts.note(func() { x.entry.Status = r.status })
	return w.send(r)
}

// reply is the answer with all that goes wrong with it.
func (s *Server) reply(x *exchange, underway int) *reply {
	if limit := s.opts.Shape.MaxRequests; limit > 0 && underway > limit || s.crowded() {
		return s.busy()
	}
	if refused := s.refuse(x); refused != nil {
		return refused
	}
	for i := range s.opts.Faults {
		if f := s.opts.Faults[i].Fault; f.instead != nil && x.meets(i, nil) {
			r := newReply(http.StatusInternalServerError)
			f.instead(x, r)
			return r
		}
	}
	r := s.right(x)
	for i := range s.opts.Faults {
		switch f := s.opts.Faults[i].Fault; {
		case f.apply != nil && x.meets(i, r):
			f.apply(x, r)
		case f.frames != nil && x.meets(i, r):
			x.frame = f.frames
		}
	}
	return r
}

func (s *Server) busy() *reply {
	status := s.opts.Shape.Busy
	if status == 0 {
		status = http.StatusTooManyRequests
	}
	r := text(status, "text/plain", "busy")
	if s.opts.Shape.RetryAfter != "" {
		r.add("Retry-After", s.opts.Shape.RetryAfter)
	}
	return r
}

// meets tells whether an injection meets this request, and counts it if so. r is the right answer, where it is known.
func (x *exchange) meets(i int, r *reply) bool {
	in := x.s.opts.Faults[i]
	f := in.Fault
	switch {
	case in.Path != "" && in.Path != x.r.URL.Path,
		!x.in(f.Where),
		f.ranged && x.r.Header.Get("Range") == "",
		f.on != nil && !f.on(x):
		return false
	}
	if f.Where == OnBlob || f.Where == OnRedirect || f.Where == OnHTTP2 {
		span := x.entry.Range
		if reaches := in.Offset < span.To || in.Offset == 0; !reaches || in.Only && in.Offset < span.From {
			return false
		}
	}
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	x.s.seen[i]++
	n := x.s.seen[i] - in.Skip
	if n <= 0 || in.Times > 0 && n > in.Times {
		return false
	}
	x.inj, x.times, x.at = in, n, in.Offset
	if r != nil {
		x.at = min(max(in.Offset, r.from), r.to)
	}
	x.s.counts.note(func() { x.entry.Fault = f.Name })
	return true
}

// in tells whether the request is one for a place.
func (x *exchange) in(where Where) bool {
	switch where {
	case OnBlob:
		return x.kind == blobGet && !x.redirect
	case OnHTTP2:
		return x.kind == blobGet && !x.redirect && x.c.framed
	case OnRedirect:
		return x.kind == blobGet && x.c.host.second
	case OnManifest:
		return x.kind == manifestGet
	case OnUpload:
		return x.kind == uploadStart || x.kind == uploadPatch || x.kind == uploadPut
	case OnTLS, OnProxy:
	}
	return false
}

// route finds what is asked for.
func (x *exchange) route() {
	get := x.r.Method == http.MethodGet || x.r.Method == http.MethodHead
	x.s.registry.route(x, get)
	for i := range x.s.opts.Blobs {
		if b := &x.s.opts.Blobs[i]; x.blob == nil && b.Path == x.r.URL.Path {
			x.blob = b
		}
	}
	if x.blob != nil && x.r.Method == http.MethodGet {
		x.kind = blobGet
	}
	x.redirect = x.blob != nil && x.s.opts.Redirect != nil && !x.c.host.second && get
}

// right is the answer of a server that behaves.
func (s *Server) right(x *exchange) *reply {
	switch {
	case x.r.URL.Path == tokenPath:
		return s.giveToken(x)
	case x.c.host.second && s.opts.Redirect != nil && !s.linked(x):
		return text(http.StatusForbidden, "application/xml", "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
	case x.redirect:
		return s.redirect(x)
	case x.blob != nil:
		return serveBlob(x.r, x.blob)
	case strings.HasPrefix(x.r.URL.Path, "/v2/"):
		return s.registry.answer(x)
	}
	return text(http.StatusNotFound, "text/plain", "not found")
}

// refuse is the answer to who may not enter; nil to those who may.
func (s *Server) refuse(x *exchange) *reply {
	if s.opts.Token == nil || x.c.host.second || x.r.URL.Path == tokenPath {
		return nil
	}
	if s.takeToken(x.r.Header.Get("Authorization")) {
		return nil
	}
	return s.challenge(x)
}
