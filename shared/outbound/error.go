package outbound

import (
	"crypto/tls"
	"errors"
	"net"
	"net/url"
)

// WithoutURL returns the cause within the *url.Error of an http.Client, or err if there
// is none. A *url.Error quotes the URL, which may be signed or contain a secret.
func WithoutURL(err error) error {
	if quoting, ok := errors.AsType[*url.Error](err); ok {
		return quoting.Err
	}
	return err
}

// Printable returns the error within err whose text contains only addresses, host
// names, certificate faults and system errors, or nil if there is none. Other errors
// of net/http may quote the URL or what the other side sent.
func Printable(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns
	}
	if cert, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return cert
	}
	return nil
}
