package faultserver

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// ProxyOptions say what goes wrong on the way to a server that behaves. The zero value passes everything on.
type ProxyOptions struct {
	Latency  time.Duration // of every byte, in each direction
	CutAfter int64         // bytes from the server after which a connection is closed; 0: none
	CutReset bool          // by RST

	Connect bool        // clients say by CONNECT where they want to go, and get where the proxy goes
	Faults  []Injection // of OnProxy; they count the requests to CONNECT
}

// Proxied is a proxy of TCP on loopback, in front of one server. Its methods may be called from several goroutines.
type Proxied struct {
	ln   net.Listener
	to   string
	opts ProxyOptions
	done chan struct{}
	wg   sync.WaitGroup

	mu       sync.Mutex
	resumed  *sync.Cond
	paused   bool
	closed   bool
	open     map[net.Conn]bool // whether it is a client's
	accepted int
	seen     []int
	asked    []string
	down     int64
}

// Proxy starts a proxy to a host and port. Close ends it.
func Proxy(to string, opts ProxyOptions) (*Proxied, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is over at once
	if err != nil {
		return nil, err
	}
	p := &Proxied{
		ln: ln, to: to, opts: opts, done: make(chan struct{}), open: make(map[net.Conn]bool), seen: make([]int, len(opts.Faults)),
	}
	p.resumed = sync.NewCond(&p.mu)
	p.wg.Go(p.accept)
	return p, nil
}

// Host is the proxy's host and port.
func (p *Proxied) Host() string { return p.ln.Addr().String() }

// Connections is how many connections were accepted.
func (p *Proxied) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Down is how many bytes from the server were passed on.
func (p *Proxied) Down() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.down
}

// Asked are the hosts that clients wanted to CONNECT to, in order.
func (p *Proxied) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}

// Pause stops all bytes; connections stay open. Resume lets them go on.
func (p *Proxied) Pause() { p.pause(true) }

// Resume ends a Pause.
func (p *Proxied) Resume() { p.pause(false) }

func (p *Proxied) pause(on bool) {
	p.mu.Lock()
	p.paused = on
	p.resumed.Broadcast()
	p.mu.Unlock()
}

// Reset resets all connections that are open.
func (p *Proxied) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, clients := range []bool{true, false} { // clients first: they are not to see the end of the other side
		for c, client := range p.open {
			if client == clients {
				hangUp(c, true)
			}
		}
	}
}

// Close ends the proxy and its connections, and waits for them.
func (p *Proxied) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	close(p.done)
	for c := range p.open {
		_ = c.Close()
	}
	p.resumed.Broadcast()
	p.mu.Unlock()
	err := p.ln.Close()
	p.wg.Wait()
	return err
}

func hangUp(c net.Conn, reset bool) {
	if tcp, ok := c.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

func (p *Proxied) accept() {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		if p.add(client, true) {
			p.wg.Go(func() { p.serve(client) })
		}
	}
}

// add keeps a connection, so that Close and Reset find it.
func (p *Proxied) add(c net.Conn, client bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = c.Close()
		return false
	}
	p.open[c] = client
	return true
}

func (p *Proxied) drop(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	delete(p.open, c)
	p.mu.Unlock()
}

// serve passes one connection on.
func (p *Proxied) serve(client net.Conn) {
	defer p.drop(client)
	p.mu.Lock()
	p.accepted++
	p.mu.Unlock()
	in := bufio.NewReader(client)
	if p.opts.Connect && !p.connect(client, in) {
		return
	}
	server, err := net.Dial("tcp", p.to) //nolint:noctx // to loopback
	if err != nil || !p.add(server, false) {
		return
	}
	defer p.drop(server)
	var both sync.WaitGroup
	both.Go(func() { (&flow{p: p, from: client, read: in, to: server}).run() })
	both.Go(func() { (&flow{p: p, from: server, read: server, to: client, down: true, left: p.opts.CutAfter}).run() })
	both.Wait()
}

func closeWrite(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
}

// flow is one direction of a connection through a proxy.
type flow struct {
	p        *Proxied
	from, to net.Conn
	read     io.Reader // from, and what was read of it before
	down     bool      // from the server
	left     int64     // bytes until it is cut, when the proxy cuts
}

// parcel is bytes and when they are to be handed over.
type parcel struct {
	data []byte
	at   time.Time
}

var errProxyClosed = errors.New("faultserver: the proxy was closed")

// run copies until an end, each byte late by the latency. A clean end is passed on; after any other both sides are closed.
func (f *flow) run() {
	parcels := make(chan parcel, 64)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(parcels)
		for {
			buf := make([]byte, 64<<10)
			n, err := f.read.Read(buf)
			if n > 0 {
				parcels <- parcel{buf[:n], time.Now().Add(f.p.opts.Latency)}
			}
			if err != nil {
				return
			}
		}
	})
	for got := range parcels {
		if err := f.deliver(got); err != nil {
			hangUp(f.to, errors.Is(err, errCut) && f.p.opts.CutReset)
			_ = f.from.Close()
			break
		}
	}
	for range parcels {
	}
	reading.Wait()
	closeWrite(f.to)
}

func (f *flow) deliver(got parcel) error {
	if err := f.p.wait(got.at); err != nil {
		return err
	}
	if !f.down {
		_, err := f.to.Write(got.data)
		return err
	}
	cut := f.p.opts.CutAfter > 0 && int64(len(got.data)) >= f.left
	if cut {
		got.data = got.data[:f.left]
	}
	n, err := f.to.Write(got.data)
	f.left -= int64(n)
	f.p.mu.Lock()
	f.p.down += int64(n)
	f.p.mu.Unlock()
	if cut && err == nil {
		return errCut
	}
	return err
}

// wait returns at a time, or when a pause ends that holds then.
func (p *Proxied) wait(at time.Time) error {
	if d := time.Until(at); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-p.done:
			return errProxyClosed
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.paused && !p.closed {
		p.resumed.Wait()
	}
	if p.closed {
		return errProxyClosed
	}
	return nil
}
