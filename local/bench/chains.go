package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// systemBundles are Debian's and Fedora's, of about the size of Amazon Linux's.
var systemBundles = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"}

// An authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// chains returns the certificates of AWS's services (RSA 2048) and of a site behind
// Cloudflare (P-256, under a root of P-384). As with theirs, each root is also signed by
// an older one and sent along. Their roots are written to extra, and to bundle after the
// system's.
func chains(bundle, extra string) (aws, web tls.Certificate, err error) {
	old, err := issue("Bench Old Root", newRSA, nil, true)
	if err != nil {
		return aws, web, err
	}
	aws, awsRoot, err := chain("AWS", old, newRSA, newRSA)
	if err != nil {
		return aws, web, err
	}
	web, webRoot, err := chain("Web", old, newEC(elliptic.P384()), newEC(elliptic.P256()))
	if err != nil {
		return aws, web, err
	}
	text, err := os.ReadFile(systemBundles[0])
	if err != nil {
		text, err = os.ReadFile(systemBundles[1])
	}
	if err != nil {
		return aws, web, fmt.Errorf("the system's root certificates: %w", err)
	}
	var roots bytes.Buffer
	for _, c := range []*x509.Certificate{old.cert, awsRoot, webRoot} {
		_ = pem.Encode(&roots, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a Buffer takes all
	}
	if err := os.WriteFile(extra, roots.Bytes(), 0o600); err != nil {
		return aws, web, err
	}
	return aws, web, os.WriteFile(bundle, append(text, roots.Bytes()...), 0o600)
}

// chain returns a server's certificate with what it sends along, and its root.
func chain(name string, old *authority, rootKey, key func() (crypto.Signer, error)) (c tls.Certificate, rootCert *x509.Certificate, err error) {
	root, err := issue("Bench "+name+" Root", rootKey, nil, true)
	if err != nil {
		return c, nil, err
	}
	crossed, err := issue("Bench "+name+" Root", func() (crypto.Signer, error) { return root.key, nil }, old, true)
	if err != nil {
		return c, nil, err
	}
	middle, err := issue("Bench "+name+" Intermediate", key, root, true)
	if err != nil {
		return c, nil, err
	}
	leaf, err := issue("127.0.0.1", key, middle, false)
	if err != nil {
		return c, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{leaf.cert.Raw, middle.cert.Raw, crossed.cert.Raw}, PrivateKey: leaf.key}, root.cert, nil
}

func newRSA() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }

func newEC(c elliptic.Curve) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) { return ecdsa.GenerateKey(c, rand.Reader) }
}

// issue returns a certificate that by signs, or that signs itself if by is nil.
func issue(name string, newKey func() (crypto.Signer, error), by *authority, isCA bool) (*authority, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Country: []string{"US"}, Organization: []string{"Bench"}, CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), BasicConstraintsValid: true, IsCA: isCA,
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if isCA {
		t.KeyUsage |= x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	} else {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		t.IPAddresses, t.DNSNames = []net.IP{net.IPv4(127, 0, 0, 1)}, []string{"localhost"}
	}
	if by == nil {
		by = &authority{cert: t, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, by.cert, key.Public(), by.key)
	if err != nil {
		return nil, fmt.Errorf("a certificate for %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{cert: cert, key: key}, err
}
