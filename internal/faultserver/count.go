package faultserver

import (
	"net/http"
	"sync"
)

// Request is one request as the server has seen it. Bytes are those given to the kernel: of an answer that the client
// gave up, some may never have been read.
type Request struct {
	Host   string // host and port of the listener, as in URLs
	Method string
	Path   string
	Query  string
	Proto  string
	Header http.Header
	Range  Span // what was asked for, of a blob of known size: all of it without a Range
	Conn   int  // the number of its connection, from 1

	Status   int    // 0 when there was no answer of that kind
	Fault    string // the name of the last fault that met it
	Sent     int64  // bytes of the answer's body
	Received int64  // bytes of the request's body
}

// Span is the bytes from From to before To.
type Span struct{ From, To int64 }

// Tally is a sum of requests.
type Tally struct {
	Requests int
	Sent     int64 // bytes of bodies
	Secrets  int   // requests with Authorization, Cookie or Proxy-Authorization
	Ranges   []Span
}

// Count is what a server has served so far.
type Count struct {
	Tally

	Wire            int64 // bytes written to connections: bodies, headers, TLS
	Connections     int   // accepted
	MostConnections int   // open at once
	MostRequests    int   // under way at once
	Paths           map[string]Tally
	Hosts           map[string]Tally // by host and port of the listener
}

// counts is what is counted while serving.
type counts struct {
	mu       sync.Mutex
	all      []*Request
	sum      Count
	underway int
}

func newCounts() *counts { return &counts{} }

// Requests are all requests so far, in the order in which they came.
func (s *Server) Requests() []Request {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	all := make([]Request, len(s.counts.all))
	for i, r := range s.counts.all {
		all[i] = *r
	}
	return all
}

// Count is the sum of all requests so far.
func (s *Server) Count() Count {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	sum := s.counts.sum
	sum.Paths, sum.Hosts = make(map[string]Tally), make(map[string]Tally)
	for _, r := range s.counts.all {
		sum.add(r)
		path, host := sum.Paths[r.Path], sum.Hosts[r.Host]
		path.add(r)
		host.add(r)
		sum.Paths[r.Path], sum.Hosts[r.Host] = path, host
	}
	return sum
}

func (t *Tally) add(r *Request) {
	t.Requests++
	t.Sent += r.Sent
	if r.Header.Get("Authorization")+r.Header.Get("Cookie")+r.Header.Get("Proxy-Authorization") != "" {
		t.Secrets++
	}
	if r.Range.To > 0 {
		t.Ranges = append(t.Ranges, r.Range)
	}
}

func (c *counts) wire(n int) {
	c.mu.Lock()
	c.sum.Wire += int64(n)
	c.mu.Unlock()
}

func (c *counts) opened(now int) {
	c.mu.Lock()
	c.sum.Connections++
	c.sum.MostConnections = max(c.sum.MostConnections, now)
	c.mu.Unlock()
}

// begin counts a request in and tells how many are under way with it.
func (c *counts) begin(r *Request) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, r)
	c.underway++
	c.sum.MostRequests = max(c.sum.MostRequests, c.underway)
	return c.underway
}

func (c *counts) end() {
	c.mu.Lock()
	c.underway--
	c.mu.Unlock()
}

// note changes a request that was counted in.
func (c *counts) note(change func()) {
	c.mu.Lock()
	change()
	c.mu.Unlock()
}
