package faultserver

import (
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
)

// Server is a server that misbehaves as it was told. Its methods may be called from several goroutines.
type Server struct {
	opts   Options
	first  *host
	second *host // nil unless something needs it
	ca     *authority
	total  *pacer
	counts *counts
	done   chan struct{}
	wg     sync.WaitGroup

	mu       sync.Mutex
	conns    map[*conn]bool
	accepted int
	seen     []int // by injection, the requests it would have met
	tokens   map[string]*grant
	links    map[string]*grant
	issued   int // numbers of tokens, links and sessions
	registry *registry
}

// host is one listener.
type host struct {
	ln     net.Listener
	scheme string
	name   string // host and port, as in URLs
	second bool
}

func (h *host) url(path string) string { return h.scheme + "://" + h.name + path }

// Serve starts a server on free ports of 127.0.0.1. Close ends it.
func Serve(opts Options) (*Server, error) {
	s := &Server{
		opts: opts, total: &pacer{rate: float64(opts.Shape.Total)}, counts: newCounts(), done: make(chan struct{}),
		conns: make(map[*conn]bool), seen: make([]int, len(opts.Faults)),
		tokens: make(map[string]*grant), links: make(map[string]*grant),
	}
	s.registry = newRegistry(s)
	s.provide()
	var err error
	if s.opts.TLS {
		if s.ca, err = newAuthority(); err != nil {
			return nil, err
		}
	}
	if s.first, err = s.listen(false); err != nil {
		return nil, err
	}
	if s.needs(func(f Fault) bool { return f.second || f.plain }) || s.opts.Redirect != nil {
		if s.second, err = s.listen(true); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	for _, h := range []*host{s.first, s.second} {
		if h != nil {
			s.wg.Go(func() { s.accept(h) })
		}
	}
	return s, nil
}

// provide turns on what the faults need.
func (s *Server) provide() {
	if s.opts.Redirect == nil && s.needs(func(f Fault) bool { return f.Where == OnRedirect }) {
		s.opts.Redirect = &Redirect{}
	}
	if s.opts.Token == nil && s.needs(func(f Fault) bool { return f.token }) {
		s.opts.Token = &Token{}
	}
	s.opts.HTTP2 = s.opts.HTTP2 || s.needs(func(f Fault) bool { return f.Where == OnHTTP2 })
	s.opts.TLS = s.opts.TLS || s.opts.HTTP2 || s.needs(func(f Fault) bool { return f.Where == OnTLS || f.secure })
}

func (s *Server) needs(what func(Fault) bool) bool {
	return slices.ContainsFunc(s.opts.Faults, func(i Injection) bool { return what(i.Fault) })
}

func (s *Server) listen(second bool) (*host, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is over at once
	if err != nil {
		return nil, err
	}
	h := &host{ln: ln, scheme: "http", name: ln.Addr().String(), second: second}
	if s.opts.TLS && !(second && s.needs(func(f Fault) bool { return f.plain })) {
		h.scheme = "https"
	}
	if second && s.opts.Redirect != nil && s.opts.Redirect.Name != "" {
		_, port, _ := net.SplitHostPort(h.name)
		h.name = net.JoinHostPort(s.opts.Redirect.Name, port)
	}
	return h, nil
}

// Host is the host and port to ask.
func (s *Server) Host() string { return s.first.name }

// SecondHost is the host and port of the host that is redirected to; empty when nothing needs one.
func (s *Server) SecondHost() string {
	if s.second == nil {
		return ""
	}
	return s.second.name
}

// URL is the address of a path.
func (s *Server) URL(path string) string { return s.first.url(path) }

// CA is what a client has to trust; nil without TLS.
func (s *Server) CA() *x509.CertPool {
	if s.ca == nil {
		return nil
	}
	return s.ca.pool
}

// Client is a client that trusts the server's CA, speaks HTTP/2 where the server does and leaves answers as they are. It
// keeps no connection when the server is closed.
func (s *Server) Client() *http.Client {
	transport := &http.Transport{DisableCompression: true, ForceAttemptHTTP2: s.opts.HTTP2, MaxIdleConnsPerHost: 64}
	if s.ca != nil {
		transport.TLSClientConfig = s.ca.client()
	}
	return &http.Client{Transport: transport}
}

// Close ends the server and all its connections, and waits for what it had under way.
func (s *Server) Close() error {
	s.mu.Lock()
	select {
	case <-s.done:
		s.mu.Unlock()
		return nil
	default:
	}
	close(s.done)
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	for _, h := range []*host{s.first, s.second} {
		if h != nil {
			_ = h.ln.Close()
		}
	}
	s.wg.Wait()
	return nil
}

func (s *Server) accept(h *host) {
	for {
		raw, err := h.ln.Accept()
		if err != nil {
			return
		}
		if c := s.open(raw, h); c != nil {
			s.wg.Go(func() { s.serve(c) })
		}
	}
}

// open counts a connection in; nil when the server is closed.
func (s *Server) open(raw net.Conn, h *host) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.done:
		_ = raw.Close()
		return nil
	default:
	}
	s.accepted++
	c := &conn{Conn: raw, s: s, host: h, number: s.accepted, left: s.opts.Shape.CutAfter, gone: make(chan struct{})}
	rate, silent := s.opts.Shape.slowed(c.number)
	c.pace, c.silent = &pacer{rate: rate}, silent
	s.conns[c] = true
	s.counts.opened(len(s.conns))
	return c
}

// crowded tells whether there are more connections than the shape allows.
func (s *Server) crowded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opts.Shape.MaxConns > 0 && len(s.conns) > s.opts.Shape.MaxConns
}

func (s *Server) serve(c *conn) {
	defer func() {
		_ = c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	if s.wait(s.opts.Shape.Connect, c.gone) != nil {
		return
	}
	if c.host.scheme == "http" {
		s.serveHTTP1(c, c)
		return
	}
	s.serveTLS(c)
}
