package media_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
)

// public is an https server that a Fetcher with its options finds at
// https://example.com, like a server on the Internet.
type public struct {
	*httptest.Server
	options media.FetchOptions

	mu     sync.Mutex // guards the fields below
	names  map[string][]string
	dialed []string
}

func newPublic(t *testing.T) *public {
	p := &public{Server: httptest.NewTLSServer(hostile()), names: map[string][]string{"example.com": {"8.8.8.8"}}}
	t.Cleanup(p.Close)
	p.Config.ErrorLog = log.New(io.Discard, "", 0) // the tests break off handshakes
	p.options = trusting(p.Server)
	p.options.Trusted = nil
	p.options.RootCAs = x509.NewCertPool()
	p.options.RootCAs.AddCert(p.Certificate())
	// Each lookup of a name returns the next of its answers, the last one repeatedly.
	p.options.Lookup = func(ctx context.Context, network, host string) ([]netip.Addr, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		host = strings.ToLower(host)
		answers := p.names[host]
		if len(answers) == 0 {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		if len(answers) > 1 {
			p.names[host] = answers[1:]
		}
		var addrs []netip.Addr
		for _, a := range strings.Fields(answers[0]) {
			addrs = append(addrs, netip.MustParseAddr(a))
		}
		return addrs, nil
	}
	p.options.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		p.mu.Lock()
		p.dialed = append(p.dialed, address)
		p.mu.Unlock()
		if address != "8.8.8.8:443" {
			return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connection refused")}
		}
		var d net.Dialer
		return d.DialContext(ctx, network, p.Listener.Addr().String())
	}
	return p
}

func TestFetchFromPublicHosts(t *testing.T) {
	const link = "https://example.com/ok.png?" + secret
	for _, test := range []struct {
		name    string
		link    string
		answers []string
		kind    media.Kind // "" for success
		dialed  string
	}{
		{"a public name", link, []string{"8.8.8.8"}, "", "[8.8.8.8:443]"},
		{"port 443 spelled out", "https://EXAMPLE.com:443/ok.png", []string{"8.8.8.8"}, "", "[8.8.8.8:443]"},
		{"an IPv4 address mapped to IPv6", link, []string{"::ffff:8.8.8.8"}, "", "[8.8.8.8:443]"},
		{"the second address answers", link, []string{"8.8.4.4 8.8.8.8"}, "", "[8.8.4.4:443 8.8.8.8:443]"},
		{"a private address is skipped", link, []string{"10.0.0.1 8.8.8.8"}, "", "[8.8.8.8:443]"},
		{"a private address", link, []string{"192.168.1.1"}, media.KindRefused, "[]"},
		{"private addresses embedded in IPv6", link, []string{"::ffff:127.0.0.1 64:ff9b::7f00:1 2002:7f00:1::"}, media.KindRefused, "[]"},
		{"a name that changes its address between two hops", "https://example.com/to?url=/ok.png", []string{"8.8.8.8", "127.0.0.1"}, media.KindRefused, "[8.8.8.8:443]"},
		{"a redirect to plain http", "https://example.com/to?url=http://example.com/ok.png", []string{"8.8.8.8"}, "", "[8.8.8.8:443 8.8.8.8:443]"},
		{"a redirect to plain http on another port", "https://example.com/to?url=http://example.com:8080/ok.png", []string{"8.8.8.8"}, media.KindRefused, "[8.8.8.8:443]"},
		{"a redirect to another port", "https://example.com/to?url=https://example.com:8443/ok.png", []string{"8.8.8.8"}, media.KindRefused, "[8.8.8.8:443]"},
		{"a redirect to a name for a private address", "https://example.com/to?url=https://other.example.com/", []string{"8.8.8.8"}, media.KindRefused, "[8.8.8.8:443]"},
		{"an unknown name", "https://unknown.example.com/?" + secret, []string{"8.8.8.8"}, media.KindUnreachable, "[]"},
		{"no server listens", link, []string{"8.8.4.4"}, media.KindUnreachable, "[8.8.4.4:443]"},
		{"a certificate for another name", "https://alias.test.com/?" + secret, []string{"8.8.8.8"}, media.KindUnreachable, "[8.8.8.8:443]"},
		{"a public address, but the certificate is not for it", "https://8.8.8.8/?" + secret, []string{""}, media.KindUnreachable, "[8.8.8.8:443]"},
		{"plain http is fetched with https", "http://example.com/ok.png", []string{"8.8.8.8"}, "", "[8.8.8.8:443]"},
		{"plain http with its port", "http://example.com:80/ok.png", []string{"8.8.8.8"}, "", "[8.8.8.8:443]"},
		{"plain http whose https does not answer", "http://example.com/ok.png?" + secret, []string{"8.8.4.4"}, media.KindUnreachable, "[8.8.4.4:443]"},
		{"not a link", "https://exa mple.com/?" + secret, []string{""}, media.KindRefused, "[]"},
		{"no link", "", []string{""}, media.KindRefused, "[]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPublic(t)
			p.names["example.com"] = test.answers
			p.names["other.example.com"] = []string{"10.1.2.3"}
			p.names["alias.test.com"] = []string{"8.8.8.8"}
			p.names["8.8.8.8"] = []string{"8.8.8.8"}
			_, err := media.NewFetcher(p.options).Fetch(t.Context(), test.link, io.Discard)
			if test.kind != "" {
				wantFetchError(t, err, test.kind)
			} else if err != nil {
				t.Error(err)
			}
			if got := fmt.Sprint(p.dialed); got != test.dialed {
				t.Errorf("dialed %s, want %s", got, test.dialed)
			}
		})
	}
}

// The guard would only see the address of a proxy. net/http reads the environment once
// per process, so the test needs a process of its own.
func TestFetchUsesNoProxy(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFetchFromPublicHosts$")
	cmd.Env = append(os.Environ(), "HTTPS_PROXY=http://127.0.0.1:9", "GORACE=atexit_sleep_ms=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("with HTTPS_PROXY set: %v\n%s", err, out)
	}
}

// TestFetchRefusesPrivateAddresses replaces neither Lookup nor Dial.
func TestFetchRefusesPrivateAddresses(t *testing.T) {
	fetcher := media.NewFetcher(media.FetchOptions{ConnectTimeout: time.Second})
	for _, host := range []string{
		"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1",
		"169.254.169.254", "192.31.196.1", "192.52.193.1", "192.175.48.1", "[2620:4f:8000::1]", "[fd00:ec2::254]", "10.0.0.1", "100.64.0.1", "localhost", "localhost.", "metadata.google.internal",
		"①②⑦.⓪.⓪.①", "１２７.０.０.１", "127。0。0。1", "[fe80::1%25lo]",
	} {
		_, err := fetcher.Fetch(t.Context(), "https://"+host+"/?"+secret, io.Discard)
		wantFetchError(t, err, media.KindRefused)
	}
}
