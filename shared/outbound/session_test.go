package outbound_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/outbound"
)

const earlyData = 42 // the extension of a ClientHello (RFC 8446, 4.2.10)

// secure is a TLS server that counts what its clients do.
type secure struct {
	*httptest.Server
	full, resumed, offered, early int
	names                         []string        // full handshakes, by the name that the client asked for
	connections                   map[string]bool // of complete requests
}

// newSecure starts a server of a TLS version. It hands each session that a client
// offers to unwrap, or takes it if unwrap is nil.
func newSecure(t *testing.T, version uint16, unwrap func() (*tls.SessionState, error)) *secure {
	t.Helper()
	s := &secure{connections: map[string]bool{}}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err != nil || string(body) != "order" {
			t.Errorf("a request brought %q, %v", body, err)
		}
		s.connections[r.RemoteAddr] = true
		if r.TLS.DidResume {
			s.resumed++
			return
		}
		s.full++
		s.names = append(s.names, r.TLS.ServerName)
	}))
	config := &tls.Config{MinVersion: version, MaxVersion: version}
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Contains(hello.Extensions, earlyData) {
			s.early++
		}
		return nil, nil
	}
	config.UnwrapSession = func(ticket []byte, state tls.ConnectionState) (*tls.SessionState, error) {
		if len(ticket) == 0 { // TLS 1.2 announces that it knows tickets
			return nil, nil
		}
		s.offered++
		if unwrap != nil {
			return unwrap()
		}
		return s.TLS.DecryptTicket(ticket, state)
	}
	config.WrapSession = func(state tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		return s.TLS.EncryptTicket(state, session)
	}
	s.TLS = config
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // some handshakes fail
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// client returns a client that trusts s and takes every host for it.
func (s *secure) client() *http.Client {
	client := outbound.NewClient()
	transport := client.Transport.(*http.Transport)
	if transport.TLSClientConfig == nil {
		transport.TLSClientConfig = &tls.Config{}
	}
	transport.TLSClientConfig.RootCAs = x509.NewCertPool()
	transport.TLSClientConfig.RootCAs.AddCert(s.Certificate())
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.Listener.Addr().String())
	}
	return client
}

func order(client *http.Client, host string) error {
	resp, err := client.Post("https://"+host+"/", "text/plain", strings.NewReader("order"))
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func versions(t *testing.T, test func(t *testing.T, version uint16)) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) { test(t, version) })
	}
}

func TestCallsResumeTheSession(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		server := newSecure(t, version, nil)
		client := server.client()
		for range 5 {
			if err := order(client, "example.com"); err != nil {
				t.Fatal(err)
			}
		}
		if server.full != 1 || server.resumed != 4 || len(server.connections) != 5 {
			t.Errorf("%d full handshakes, %d resumed, on %d connections; want 1, 4, 5", server.full, server.resumed, len(server.connections))
		}
		if server.early != 0 {
			t.Errorf("%d handshakes announced early data", server.early)
		}
	})
}

// A request is sent once, and whole, after the full handshake.
func TestRefusedSessionIsAFullHandshake(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		server := newSecure(t, version, func() (*tls.SessionState, error) { return nil, nil })
		client := server.client()
		for range 5 {
			if err := order(client, "example.com"); err != nil {
				t.Fatal(err)
			}
		}
		if server.full != 5 || len(server.connections) != 5 || server.offered != 4 || server.early != 0 {
			t.Errorf("%d full handshakes on %d connections, %d sessions offered, %d with early data; want 5, 5, 4, 0",
				server.full, len(server.connections), server.offered, server.early)
		}
	})
}

// Such a call has sent nothing, and the next one does not offer the session again.
func TestSessionThatBreaksTheHandshakeIsForgotten(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		server := newSecure(t, version, func() (*tls.SessionState, error) { return nil, errors.New("broken") })
		client := server.client()
		for i, works := range []bool{true, false, true} {
			if err := order(client, "example.com"); (err == nil) != works {
				t.Fatalf("call %d: %v", i+1, err)
			}
		}
		if server.full != 2 || server.offered != 1 {
			t.Errorf("%d requests arrived and %d sessions were offered, want 2 and 1", server.full, server.offered)
		}
	})
}

func TestSessionBelongsToItsHost(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		server := newSecure(t, version, nil)
		client := server.client()
		for range 2 {
			for _, host := range []string{"example.com", "www.example.com"} {
				if err := order(client, host); err != nil {
					t.Fatal(err)
				}
			}
			// The certificate does not name this one.
			if _, ok := errors.AsType[*tls.CertificateVerificationError](order(client, "example.net")); !ok {
				t.Error("the certificate was accepted for another host")
			}
		}
		if want := []string{"example.com", "www.example.com"}; !slices.Equal(server.names, want) || server.resumed != 2 || server.offered != 2 {
			t.Errorf("full handshakes for %v, %d sessions offered, %d resumed; want one each for %v, 2, 2", server.names, server.offered, server.resumed, want)
		}
	})
}

func TestSessionNeedsATrustedChain(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		server := newSecure(t, version, nil)
		client := server.client()
		trusting := client.Transport.(*http.Transport).TLSClientConfig
		roots := trusting.RootCAs
		check := func(pool *x509.CertPool, trusted bool) {
			t.Helper()
			trusting.RootCAs = pool
			if err := order(client, "example.com"); (err == nil) != trusted {
				t.Errorf("a call failed with %v, trusted: %v", err, trusted)
			}
		}
		check(x509.NewCertPool(), false) // the first handshake
		check(x509.NewCertPool(), false) // the failed one left nothing to resume
		check(roots, true)
		check(x509.NewCertPool(), false) // the session's chain is no longer trusted
		if server.full != 1 || server.offered != 0 {
			t.Errorf("%d requests arrived, and %d sessions were offered; want 1 and 0", server.full, server.offered)
		}
	})
}
