package guard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

type (
	homeKey struct{}
	awayKey struct{}
)

func homeOf(ctx context.Context) *url.URL {
	home, _ := ctx.Value(homeKey{}).(*url.URL)
	return home
}

// withAway marks a request that has left home, for the dialler.
func withAway(ctx context.Context, to *url.URL) context.Context {
	return context.WithValue(ctx, awayKey{}, to)
}

// nearness is how close to this machine an address lies. A server may send its clients as near as it is itself: one
// in the internet that redirects to a router in the home network, or to the machine itself, is up to no good.
type nearness int

const (
	public   nearness = iota
	private           // of a network that is somebody's own
	loopback          // this machine
	reserved          // link-local, cloud metadata, unspecified, multicast: nobody is sent there
)

// networks are those that are not what their addresses look like to package netip. The last four are the services of
// clouds that tell secrets to whoever asks, outside of the link-local networks.
var networks = []struct {
	prefix netip.Prefix
	near   nearness
}{
	{netip.MustParsePrefix("0.0.0.0/8"), reserved},
	{netip.MustParsePrefix("100.100.100.200/32"), reserved},
	{netip.MustParsePrefix("168.63.129.16/32"), reserved},
	{netip.MustParsePrefix("fd00:ec2::/32"), reserved},
	{netip.MustParsePrefix("fd20:ce::254/128"), reserved},
	{netip.MustParsePrefix("100.64.0.0/10"), private}, // of carriers; the cloud's service above lies in it
}

// wrappers are the IPv6 networks whose addresses hold an IPv4 address, from the byte at.
var wrappers = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, // NAT64
	{netip.MustParsePrefix("2002::/16"), 2},     // 6to4
}

func nearnessOf(addr netip.Addr) nearness {
	addr = addr.Unmap().WithZone("")
	for _, w := range wrappers {
		if w.prefix.Contains(addr) {
			b := addr.As16()
			addr = netip.AddrFrom4([4]byte(b[w.at : w.at+4]))
		}
	}
	for _, n := range networks {
		if n.prefix.Contains(addr) {
			return n.near
		}
	}
	switch {
	case addr.IsLoopback():
		return loopback
	case addr.IsUnspecified(), addr.IsMulticast(), addr.IsLinkLocalUnicast():
		return reserved
	case addr.IsPrivate():
		return private
	}
	return public
}

// nearnessOfHost is that of a server: of its address farthest away, when it has several, and public when it cannot
// be told.
func nearnessOfHost(ctx context.Context, host string) nearness {
	if IsLoopback(host) {
		return loopback
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return nearnessOf(addr)
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(addrs) == 0 {
		return public
	}
	far := reserved
	for _, addr := range addrs {
		far = min(far, nearnessOf(addr))
	}
	return far
}

// checkAddress refuses an address that is nearer than home, or reserved.
func checkAddress(ctx context.Context, addr netip.Addr, home *url.URL) error {
	near := nearnessOf(addr)
	if near == public || near < reserved && near <= nearnessOfHost(ctx, home.Hostname()) {
		return nil
	}
	return fmt.Errorf("%w: %s sends to the address %s, which is not for it to send to", ErrRedirect, home.Host, addr)
}

// checkLiteral is checkAddress for a URL that names an address. It holds behind a proxy too, where nothing is dialled
// here.
func checkLiteral(to, home *url.URL) error {
	addr, err := netip.ParseAddr(to.Hostname())
	if err != nil {
		return nil //nolint:nilerr // a name: its addresses are checked when they are dialled
	}
	return checkAddress(context.Background(), addr, home)
}

// IsLoopback tells whether a host, with or without a port, can only be this machine.
func IsLoopback(host string) bool {
	name := hostname(host)
	if addr, err := netip.ParseAddr(name); err == nil {
		return addr.Unmap().IsLoopback()
	}
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// hostname is a host without its port and brackets.
func hostname(host string) string {
	if end := strings.LastIndexByte(host, ':'); end >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:end]
	}
	return strings.Trim(host, "[]")
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// The types of http.Transport.DialContext and Proxy.
type (
	dialFunc  = func(ctx context.Context, network, addr string) (net.Conn, error)
	proxyFunc = func(*http.Request) (*url.URL, error)
)

// guardDial checks the address that a request that has left home was connected to, before a byte is sent. The
// check is of the connection itself, so that no second answer of a name server can differ from the first. A proxy is
// the user's choice and may lie anywhere.
func guardDial(dial dialFunc, proxy proxyFunc) dialFunc {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		to, away := ctx.Value(awayKey{}).(*url.URL)
		if err != nil || !away || isProxied(to, proxy) {
			return conn, err
		}
		remote, ok := conn.RemoteAddr().(*net.TCPAddr)
		if !ok {
			return conn, nil
		}
		if err := checkAddress(ctx, remote.AddrPort().Addr(), homeOf(ctx)); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return conn, nil
	}
}

func isProxied(to *url.URL, proxy proxyFunc) bool {
	if proxy == nil {
		return false
	}
	through, err := proxy(&http.Request{URL: to})
	return err == nil && through != nil
}
