package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	slice    = 64 << 10              // bytes that are carried before the pace is looked at
	slack    = 20 * time.Millisecond // what a connection that was held up may catch up with
	inFlight = 64                    // pieces of 32 KiB under way to the server
)

// shape is what a link does to each connection. The zero value carries all there is, at once.
type shape struct {
	rate  int64         // bytes a second, each way
	delay time.Duration // a round trip: paid by a connection and by every question
	cut   int64         // bytes to the client, after which the connection ends
}

// link stands before a server and makes it a far or a flaky one. It is a process of its own, so that what it costs is
// nobody's.
type link struct {
	host string

	ask  io.Writer
	said *bufio.Reader
}

// link starts a link to the server at host, which lives as long as the bench.
func (b *bench) link(host string, s shape) (*link, error) {
	args := chore("link", host, strconv.FormatInt(s.rate, 10), s.delay.String(), strconv.FormatInt(s.cut, 10))
	cmd := exec.Command(args[0], args[1:]...) //nolint:gosec,noctx // it is this program, and ends with its standard input
	ask, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	said, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	b.stops = append(b.stops, func() { _ = ask.Close(); _ = cmd.Wait() })
	l := &link{ask: ask, said: bufio.NewReader(said)}
	l.host, err = l.said.ReadString('\n')
	l.host = strings.TrimSpace(l.host)
	return l, err
}

// sent is how many bytes the link has carried to clients.
func (l *link) sent() (int64, error) {
	if _, err := io.WriteString(l.ask, "\n"); err != nil {
		return 0, err
	}
	line, err := l.said.ReadString('\n')
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(line), 10, 64)
}

// carrier is the other end: the process of a link.
type carrier struct {
	shape
	server string
	sent   atomic.Int64
}

// serveLink is the chore of link: HOST RATE DELAY CUT. It prints where it listens, then the bytes sent so far for every
// line that it reads.
func serveLink(ctx context.Context, args []string) (err error) {
	c := &carrier{server: args[0]}
	if c.rate, err = strconv.ParseInt(args[1], 10, 64); err != nil {
		return err
	}
	if c.delay, err = time.ParseDuration(args[2]); err != nil {
		return err
	}
	if c.cut, err = strconv.ParseInt(args[3], 10, 64); err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go c.carry(ctx, client)
		}
	}()
	if _, err := fmt.Fprintln(os.Stdout, listener.Addr()); err != nil {
		return err
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if _, err := fmt.Fprintln(os.Stdout, c.sent.Load()); err != nil {
			return err
		}
	}
	return listener.Close()
}

// carry serves one connection until either side ends it or it is cut.
func (c *carrier) carry(ctx context.Context, client net.Conn) {
	var both sync.WaitGroup
	defer both.Wait()
	defer func() { _ = client.Close() }()
	server, err := new(net.Dialer).DialContext(ctx, "tcp", c.server)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	both.Go(func() { c.up(server, client) })
	c.down(client, server)
}

// down carries answers, without looking at them: the system moves the bytes, where it can.
func (c *carrier) down(client io.Writer, server io.Reader) {
	pace := pacer{rate: c.rate}
	for total := int64(0); c.cut == 0 || total < c.cut; {
		want := int64(slice)
		if c.cut > 0 {
			want = min(want, c.cut-total)
		}
		n, err := io.CopyN(client, server, want)
		total += n
		c.sent.Add(n)
		if err != nil {
			return
		}
		pace.wait(n)
	}
}

// parcel is what a client said, and when the server may hear it.
type parcel struct {
	due  time.Time
	data []byte
}

// up carries questions, and uploads, each of them late by the delay; what is said first also by that of the connection.
func (c *carrier) up(server net.Conn, client io.ReadCloser) {
	parcels := make(chan parcel, inFlight)
	go func() {
		defer close(parcels)
		delay := 2 * c.delay
		for {
			data := make([]byte, slice/2)
			n, err := client.Read(data)
			if n > 0 {
				parcels <- parcel{due: time.Now().Add(delay), data: data[:n]}
				delay = c.delay
			}
			if err != nil {
				return
			}
		}
	}()
	pace := pacer{rate: c.rate}
	for p := range parcels {
		<-time.After(time.Until(p.due))
		if _, err := server.Write(p.data); err != nil {
			_ = client.Close()
			for range parcels { // the reader ends when nobody waits for it
			}
			return
		}
		pace.wait(int64(len(p.data)))
	}
	if half, ok := server.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
}

// pacer holds a connection to its rate, in bytes a second; 0 is none.
type pacer struct {
	rate int64
	next time.Time // when what was carried so far should have taken this long
}

func (p *pacer) wait(n int64) {
	if p.rate == 0 {
		return
	}
	if earliest := time.Now().Add(-slack); p.next.Before(earliest) {
		p.next = earliest
	}
	p.next = p.next.Add(time.Duration(n) * time.Second / time.Duration(p.rate))
	<-time.After(time.Until(p.next))
}
