package faultserver

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// connect answers CONNECT and tells whether the tunnel is open.
func (p *Proxied) connect(client net.Conn, in *bufio.Reader) bool {
	req, err := http.ReadRequest(in)
	if err != nil {
		return false
	}
	p.mu.Lock()
	p.asked = append(p.asked, req.Host)
	p.mu.Unlock()
	if req.Method != http.MethodConnect {
		_, _ = io.WriteString(client, "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		return false
	}
	for i, in := range p.opts.Faults {
		if in.Fault.connect != nil && p.meets(i) {
			in.Fault.connect(client)
			return false
		}
	}
	_, err = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	return err == nil
}

func (p *Proxied) meets(i int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[i]++
	n := p.seen[i] - p.opts.Faults[i].Skip
	return n > 0 && (p.opts.Faults[i].Times <= 0 || n <= p.opts.Faults[i].Times)
}

// connectFaults are a proxy's (25).
func connectFaults() []Fault {
	says := func(answer string) func(net.Conn) {
		return func(client net.Conn) { _, _ = io.WriteString(client, answer) } // who has gone hears nothing
	}
	return []Fault{
		{Case: 25, Name: "25 CONNECT answered 407", Where: OnProxy, connect: says(
			"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"\x1b[31mproxy\"\r\nContent-Length: 0\r\n\r\n",
		)},
		{Case: 25, Name: "25 CONNECT answered 502", Where: OnProxy, Passing: true, connect: says("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")},
		{Case: 25, Name: "25 CONNECT cut short", Where: OnProxy, Passing: true, connect: says("HTTP/1.1 200 Conn")},
		{Case: 25, Name: "25 CONNECT and the tunnel is closed", Where: OnProxy, Passing: true, connect: says("HTTP/1.1 200 OK\r\n\r\n")},
		{Case: 25, Name: "25 CONNECT not answered", Where: OnProxy, Passing: true, Slow: true, connect: func(client net.Conn) {
			_, _ = io.Copy(io.Discard, client) // until it hangs up
		}},
	}
}
