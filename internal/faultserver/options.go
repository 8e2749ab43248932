package faultserver

import (
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/http2"
)

// Blob is something to be had at a path.
type Blob struct {
	Path   string // as in a URL, with its slash
	Data   io.ReaderAt
	Size   int64
	Digest string      // "sha256:...", under which the registry's face gives it; empty: worked out when a registry is asked
	Header http.Header // beside what an answer has of itself: ETag and Last-Modified, which If-Range is held against, ...
}

// Options say what is served and how. They may be combined freely; the zero value serves 404.
type Options struct {
	Blobs     []Blob
	Manifests []Manifest // makes the server a registry, which has the blobs in every repository
	Faults    []Injection

	Shape    Shape
	Token    *Token    // who asks the first host has to have a token
	Redirect *Redirect // the bytes come from a second host
	TLS      bool      // with a certificate of [Server.CA]
	HTTP2    bool      // with TLS: HTTP/2 for those who want it
}

// Shape is how fast and how much at once. The zero value is as fast as can be.
type Shape struct {
	PerConn   int64         // bytes per second on each connection
	Total     int64         // bytes per second on all together
	Connect   time.Duration // before the first request of a connection is read
	FirstByte time.Duration // before each answer

	MaxConns    int // open at once; requests on those above are answered Busy
	MaxRequests int // under way at once, until their last byte; those above are answered Busy
	Busy        int // a status; 0 means 429
	RetryAfter  string

	CutAfter int64 // each connection is closed when it has carried so many bytes of answers
	CutReset bool  // by RST

	// SlowEvery makes the first of every so many connections slow: SlowBy times slower than PerConn (0 means 50; without
	// PerConn it is 1 MB/s that is divided), or silent from its byte SlowStall on, when that is more than 0.
	SlowEvery int
	SlowBy    float64
	SlowStall int64
}

// Token says how tokens are given and taken. The server's own /token gives them.
type Token struct {
	User, Password string        // who gets one; empty: everybody
	Uses           int           // requests that a token is good for; 0: any number
	TTL            time.Duration // how long it is good; 0: for good
}

// Redirect says how the second host is named and how long a signed link to it is good.
type Redirect struct {
	Status int           // 0 means 307
	Name   string        // of the second host, which is 127.0.0.1 on another port; empty: that
	Uses   int           // requests that a link is good for; 0: any number
	TTL    time.Duration // how long it is good; 0: for good
}

// Injection is one fault, where and how often.
type Injection struct {
	Fault Fault
	Path  string // of the blob or manifest; empty: any

	// Offset is the byte at which it happens. A request whose answer ends before that byte is answered well; what a
	// fault does to an answer as a whole, it does to every other one. Faults of the body let the bytes before it pass.
	Offset int64
	Only   bool // only requests whose range holds the byte Offset, not those that begin after it

	Skip  int // so many requests that it would have met are answered well first
	Times int // it meets so many; 0: all

	Every time.Duration // between two bytes of a drip; 0 means a second
}

// Overcome tells whether a client is to get the right bytes from a server with this fault and no other.
func (i Injection) Overcome() bool { return i.Fault.Overcome || i.Times > 0 && i.Fault.Passing }

// Where a fault lies.
type Where string

// The places. A server turns on by itself what the place of a fault needs.
const (
	OnBlob     Where = "blob"     // in the answer to a GET of a blob, by the host that has the bytes
	OnRedirect Where = "redirect" // in the answer of the second host to which the first redirects
	OnManifest Where = "manifest" // in the answer to a GET or HEAD of a manifest
	OnTLS      Where = "tls"      // in the handshake
	OnHTTP2    Where = "http2"    // in the framing of HTTP/2; clients that speak HTTP/1.1 do not meet it
	OnUpload   Where = "upload"   // in the answer to a POST, PATCH or PUT below blobs/uploads/
	OnProxy    Where = "proxy"    // in a [Proxy]'s answer to CONNECT
)

// Fault is one way to misbehave.
type Fault struct {
	Case  int    // its number in the list of misbehaving servers
	Name  string // begins with the number
	Where Where

	// Overcome: the right bytes can be had although the fault never ends. Passing: they can be had when it has ended, by
	// asking again. Where neither is said, an error is as good as the bytes.
	Overcome, Passing bool
	// Slow: a client meets its own timeouts, or is told to wait.
	Slow bool

	ranged   bool                          // meets only requests with a Range
	on       func(x *exchange) bool        // meets only these; nil: all of its place
	instead  func(x *exchange, r *reply)   // makes the answer without looking at what was asked for
	apply    func(x *exchange, r *reply)   // changes the right answer
	tls      func(s *Server, p *tlsPlan)   // changes a handshake
	second   bool                          // needs a second host
	token    bool                          // needs tokens
	secure   bool                          // needs TLS
	settings []http2.Setting               // in place of those of a good server
	frames   func(c *h2conn, st *h2stream) // in place of DATA from the offset on
	connect  func(client net.Conn)         // in place of a tunnel
	plain    bool                          // the second host has no TLS
}
