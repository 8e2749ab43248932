package faultserver

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// buffers are for bodies.
var bufferPool = sync.Pool{New: func() any { return new([chunk]byte) }}

// serveHTTP1 answers the requests of one connection in turn. over is c, or the TLS on it.
func (s *Server) serveHTTP1(c *conn, over net.Conn) {
	in := bufio.NewReader(over)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if strings.EqualFold(req.Header.Get("Expect"), "100-continue") {
			req.Body = &continued{req.Body, over, sync.Once{}}
		}
		x := s.exchange(c, req)
		w := &writer1{x: x, out: over}
		again := s.answer(x, w) && !req.Close
		if _, err := io.Copy(io.Discard, req.Body); err != nil || !again {
			return
		}
	}
}

// continued is a body that the client sends when it is asked to.
type continued struct {
	io.ReadCloser

	out  io.Writer
	once sync.Once
}

func (c *continued) Read(p []byte) (int, error) {
	c.once.Do(func() { _, _ = io.WriteString(c.out, "HTTP/1.1 100 Continue\r\n\r\n") }) // its error is the next write's
	return c.ReadCloser.Read(p)
}

// writer1 writes a reply as HTTP/1.1.
type writer1 struct {
	x   *exchange
	out io.Writer
}

// send writes r and tells whether the connection can carry another one.
func (w *writer1) send(r *reply) bool {
	if _, err := io.WriteString(w.out, w.head(r)); err != nil {
		return false
	}
	for range r.floods {
		if _, err := io.WriteString(w.out, r.flood); err != nil {
			return false
		}
	}
	if r.raw != "" {
		return w.finish(r)
	}
	if r.bodyless {
		return r.end == keepAlive && !r.hangUp
	}
	if err := w.body(r); err != nil {
		return false
	}
	return w.finish(r)
}

// head is the status line and the header.
func (w *writer1) head(r *reply) string {
	if r.raw != "" {
		return strings.TrimSuffix(r.raw, silence)
	}
	var b strings.Builder
	b.WriteString(r.first)
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", r.status, http.StatusText(r.status))
	for _, f := range r.header {
		b.WriteString(f.name + ": " + f.value + "\r\n")
	}
	switch {
	case r.framing == chunked:
		b.WriteString("Transfer-Encoding: chunked\r\n")
	case r.framing == withLength && r.length != "":
		b.WriteString("Content-Length: " + r.length + "\r\n")
	case r.framing == withLength:
		b.WriteString("Content-Length: " + strconv.FormatInt(r.to-r.from, 10) + "\r\n")
	case !r.bodyless:
		b.WriteString("Connection: close\r\n")
	}
	return b.String() + "\r\n"
}

func (w *writer1) body(r *reply) error {
	out := io.Writer(counting{w.x, w.out})
	if r.framing == chunked {
		out = chunks{out}
	}
	if r.trailer != "" {
		if err := copyBody(out, r); err != nil {
			return err
		}
		_, err := io.WriteString(w.out, r.trailer)
		return err
	}
	if r.filter != nil {
		filtered := r.filter(out)
		if err := copyBody(filtered, r); err != nil {
			return err
		}
		return filtered.Close()
	}
	return copyBody(out, r)
}

// finish does what follows the body.
func (w *writer1) finish(r *reply) bool {
	c := w.x.c
	switch r.end {
	case fin, rst:
		c.end(r.end == rst)
	case stall:
		c.hold()
	case drip, endless:
		w.trickle(r)
	case keepAlive:
		if r.framing == chunked {
			_, err := io.WriteString(w.out, "0\r\n\r\n")
			return err == nil && !r.hangUp
		}
		return r.framing == withLength && !r.hangUp
	}
	return false
}

// trickle writes the rest of the body a byte at a time, or what has no end, until the client hangs up.
func (w *writer1) trickle(r *reply) {
	out := counting{w.x, w.out}
	if r.end == drip {
		one := make([]byte, 1)
		for at := r.stop; at < r.to; at++ {
			_, _ = r.data.ReadAt(one, at) // within the data
			if w.x.s.wait(r.every, w.x.c.gone) != nil {
				return
			}
			if _, err := out.Write(one); err != nil {
				return
			}
		}
		return
	}
	junk := make([]byte, chunk)
	for {
		if _, err := out.Write(junk); err != nil {
			return
		}
	}
}

// copyBody writes prefix, the bytes up to where the body breaks off, and suffix.
func copyBody(out io.Writer, r *reply) error {
	if _, err := io.WriteString(out, r.prefix); err != nil {
		return err
	}
	buf := bufferPool.Get().(*[chunk]byte)
	defer bufferPool.Put(buf)
	for at := r.from; at < r.stop; {
		n := int(min(r.stop-at, chunk))
		if m, err := r.data.ReadAt(buf[:n], at); m < n {
			return err
		}
		if at <= r.flip && r.flip < at+int64(n) {
			buf[r.flip-at] ^= 1
		}
		if _, err := out.Write(buf[:n]); err != nil {
			return err
		}
		at += int64(n)
	}
	_, err := io.WriteString(out, r.suffix)
	return err
}

// counting is the body of an answer, which is counted.
type counting struct {
	x   *exchange
	out io.Writer
}

func (c counting) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.out.Write(p)
	c.x.s.counts.note(func() { c.x.entry.Sent += int64(n) })
	return n, err
}

// chunks writes each write as a chunk.
type chunks struct{ out io.Writer }

func (c chunks) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if _, err := fmt.Fprintf(c.out, "%x\r\n", len(p)); err != nil {
		return 0, err
	}
	n, err := c.out.Write(p)
	if err == nil {
		_, err = io.WriteString(c.out, "\r\n")
	}
	return n, err
}
