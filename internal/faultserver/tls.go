package faultserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"time"
)

// authority is a certificate authority of one server, and what it has signed.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool

	good, expired, wrongHost, selfSigned *tls.Certificate
}

// tlsPlan is how a handshake goes.
type tlsPlan struct {
	cert  *tls.Certificate
	stall bool // the hello is not answered
	close bool // it is answered by closing
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	a := &authority{key: key, pool: x509.NewCertPool(), cert: template("faultserver CA", time.Now())}
	a.cert.IsCA, a.cert.KeyUsage = true, x509.KeyUsageCertSign
	raw, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	if a.cert, err = x509.ParseCertificate(raw); err != nil {
		return nil, err
	}
	a.pool.AddCert(a.cert)
	return a, a.issue()
}

// issue makes the certificates, good and bad.
func (a *authority) issue() error {
	now := time.Now()
	for _, c := range []struct {
		to   **tls.Certificate
		make func(t *x509.Certificate) (parent *x509.Certificate)
	}{
		{&a.good, func(*x509.Certificate) *x509.Certificate { return a.cert }},
		{&a.expired, func(t *x509.Certificate) *x509.Certificate {
			t.NotBefore, t.NotAfter = now.Add(-48*time.Hour), now.Add(-24*time.Hour)
			return a.cert
		}},
		{&a.wrongHost, func(t *x509.Certificate) *x509.Certificate {
			t.IPAddresses, t.DNSNames = nil, []string{"elsewhere.example"}
			return a.cert
		}},
		{&a.selfSigned, func(t *x509.Certificate) *x509.Certificate { return t }},
	} {
		t := template("faultserver", now)
		t.IPAddresses, t.DNSNames = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, []string{"localhost", "*.example"}
		parent := c.make(t)
		raw, err := x509.CreateCertificate(rand.Reader, t, parent, &a.key.PublicKey, a.key)
		if err != nil {
			return err
		}
		*c.to = &tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: a.key}
	}
	return nil
}

func template(name string, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
}

// client is the configuration of a client that trusts the authority.
func (a *authority) client() *tls.Config {
	return &tls.Config{RootCAs: a.pool, MinVersion: tls.VersionTLS12}
}

// serveTLS shakes hands and serves what the client chose.
func (s *Server) serveTLS(c *conn) {
	plan := tlsPlan{cert: s.ca.good}
	for i := range s.opts.Faults {
		if f := s.opts.Faults[i].Fault; f.tls != nil && s.meetsConn(i) {
			f.tls(s, &plan)
		}
	}
	switch {
	case plan.stall:
		c.hold()
		return
	case plan.close:
		_, _ = c.Read(make([]byte, 1)) // the hello has come
		return
	}
	config := &tls.Config{Certificates: []tls.Certificate{*plan.cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if s.opts.HTTP2 {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	over := tls.Server(c, config)
	if over.Handshake() != nil { //nolint:noctx // Close ends it
		return
	}
	if over.ConnectionState().NegotiatedProtocol == "h2" {
		c.framed = true
		s.serveHTTP2(c, over)
		return
	}
	s.serveHTTP1(c, over)
}

// meetsConn tells whether an injection meets this connection, and counts it.
func (s *Server) meetsConn(i int) bool {
	in := s.opts.Faults[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[i]++
	n := s.seen[i] - in.Skip
	return n > 0 && (in.Times <= 0 || n <= in.Times)
}

func tlsFaults() []Fault {
	cert := func(pick func(*authority) *tls.Certificate) func(*Server, *tlsPlan) {
		return func(s *Server, p *tlsPlan) { p.cert = pick(s.ca) }
	}
	return []Fault{
		{Case: 25, Name: "25 certificate expired", Where: OnTLS, tls: cert(func(a *authority) *tls.Certificate { return a.expired })},
		{Case: 25, Name: "25 certificate of another host", Where: OnTLS, tls: cert(func(a *authority) *tls.Certificate { return a.wrongHost })},
		{Case: 25, Name: "25 certificate signed by itself", Where: OnTLS, tls: cert(func(a *authority) *tls.Certificate { return a.selfSigned })},
		{Case: 25, Name: "25 handshake stalled", Where: OnTLS, Passing: true, Slow: true, tls: func(_ *Server, p *tlsPlan) { p.stall = true }},
		{Case: 25, Name: "25 handshake cut", Where: OnTLS, Passing: true, tls: func(_ *Server, p *tlsPlan) { p.close = true }},
	}
}
