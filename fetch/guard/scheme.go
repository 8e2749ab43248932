package guard

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"
)

// probeTimeout is how long a loopback host may take to say whether it speaks TLS. Some plain servers wait for the rest
// of the line that they take the greeting for.
const probeTimeout = 3 * time.Second

// Schemes knows which hosts are spoken to in https, and which in http. It may be used by several goroutines. The zero
// value has asked nobody yet.
type Schemes struct {
	mu     sync.Mutex
	asking map[string]*sync.Mutex // of loopback hosts: who finds out holds it
	plain  map[string]bool        // what was found out of them
}

// Base is the URL of the server at host: https, or http where plain says so, or where a host on loopback answers
// nothing else.
func (s *Schemes) Base(ctx context.Context, host string, plain bool) (*url.URL, error) {
	if !plain && IsLoopback(host) {
		var err error
		if plain, err = s.isPlain(ctx, host); err != nil {
			return nil, err
		}
	}
	u := &url.URL{Scheme: "https", Host: host}
	if plain {
		u.Scheme = "http"
	}
	return u, nil
}

// isPlain asks a loopback host once whether it speaks TLS. One goroutine asks, the others wait for it.
func (s *Schemes) isPlain(ctx context.Context, host string) (bool, error) {
	s.mu.Lock()
	if s.asking == nil {
		s.asking, s.plain = make(map[string]*sync.Mutex), make(map[string]bool)
	}
	asking := s.asking[host]
	if asking == nil {
		asking = new(sync.Mutex)
		s.asking[host] = asking
	}
	s.mu.Unlock()

	asking.Lock()
	defer asking.Unlock()
	s.mu.Lock()
	plain, known := s.plain[host]
	s.mu.Unlock()
	if known {
		return plain, nil
	}
	speaks, err := speaksTLS(ctx, host)
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	s.plain[host] = !speaks
	s.mu.Unlock()
	return !speaks, nil
}

// speaksTLS greets host in TLS and says nothing more. Whoever answers in TLS speaks it, whatever is wrong with the
// certificate. An error means that nobody answers at all.
func speaksTLS(ctx context.Context, host string) (bool, error) {
	addr := hostPort(&url.URL{Scheme: "https", Host: host})
	dialer := tls.Dialer{Config: &tls.Config{
		MinVersion: tls.VersionTLS12,
		// The empty line makes a server that takes the greeting for HTTP answer at once.
		NextProtos: []string{"http/1.1", "\r\n\r\n"},
	}}
	probe, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := dialer.DialContext(probe, "tcp", addr)
	if err == nil {
		return true, conn.Close()
	}
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	var (
		cert  *tls.CertificateVerificationError
		alert tls.AlertError
		dial  *net.OpError
	)
	switch {
	case errors.As(err, &cert), errors.As(err, &alert):
		return true, nil
	case errors.As(err, &dial) && dial.Op == "dial":
		return false, fmt.Errorf("connect to %s: %w", host, err)
	}
	return false, nil
}
