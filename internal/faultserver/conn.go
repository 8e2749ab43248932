package faultserver

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// errCut is that the connection has carried all that it may.
var errCut = errors.New("faultserver: the connection was cut")

// conn is one TCP connection, shaped and counted. Below TLS it is what TLS writes to.
type conn struct {
	net.Conn

	s      *Server
	host   *host
	number int // of the server's, from 1
	pace   *pacer
	silent int64 // bytes after which nothing comes any more; 0: never
	left   int64 // bytes until it is cut, when the shape cuts

	framed bool // HTTP/2: somebody reads all the time
	sent   int64
	once   sync.Once
	gone   chan struct{} // closed with the connection
}

// Write writes at the connection's pace. It returns what went out when the connection is cut.
func (c *conn) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = c.writeSome(p[n:])
		n += m
	}
	return n, err
}

func (c *conn) writeSome(p []byte) (int, error) {
	size := min(len(p), quantum(c.pace.rate), quantum(c.s.total.rate))
	cut := c.s.opts.Shape.CutAfter > 0 && int64(size) >= c.left
	if cut {
		size = int(c.left)
	}
	if c.silent > 0 {
		if c.sent >= c.silent {
			c.hold()
			return 0, errClosed
		}
		size = int(min(int64(size), c.silent-c.sent))
	}
	now := time.Now()
	until := c.pace.due(size, now)
	if all := c.s.total.due(size, now); all.After(until) {
		until = all
	}
	if d := until.Sub(now); d >= nap {
		if err := c.s.wait(d, c.gone); err != nil {
			return 0, err
		}
	}
	n, err := c.Conn.Write(p[:size])
	c.sent += int64(n)
	c.left -= int64(n)
	c.s.counts.wire(n)
	if cut && err == nil {
		c.end(c.s.opts.Shape.CutReset)
		err = errCut
	}
	return n, err
}

// Close closes the connection by FIN.
func (c *conn) Close() error {
	var err error
	c.once.Do(func() {
		close(c.gone)
		err = c.Conn.Close()
	})
	return err
}

// end closes the connection, by RST when reset is true: then what was not yet read at the other end may be lost.
func (c *conn) end(reset bool) {
	if tcp, ok := c.Conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// hold stands still until the client hangs up.
func (c *conn) hold() {
	if c.framed {
		<-c.gone
		return
	}
	_, _ = io.Copy(io.Discard, c.Conn) // whatever comes, it is not answered
	_ = c.Close()
}
