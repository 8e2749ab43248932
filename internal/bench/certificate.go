package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificate is the file with the certificate of all TLS servers, which is its own authority, and its key.
func (b *bench) certificate() string { return filepath.Join(b.dir, "certificate.pem") }

func (b *bench) makeCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mstore bench"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	for kind, raw := range map[string][]byte{"CERTIFICATE": cert, "PRIVATE KEY": secret} {
		if err := pem.Encode(&out, &pem.Block{Type: kind, Bytes: raw}); err != nil {
			return err
		}
	}
	return os.WriteFile(b.certificate(), out.Bytes(), 0o600) //nolint:forbidigo // nobody reads it meanwhile
}
