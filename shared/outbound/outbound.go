// Package outbound contains what all calls to other machines share: the HTTP client,
// the list of errors that are safe to print, the rules for hosts, and the clock for
// the age of what a call returned. It makes no calls itself and knows nothing of
// tasks, pictures or the provider.
package outbound

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// UserAgent is the User-Agent of calls to the provider and to Preset.
const UserAgent = "preset-nanobanana-functions/1"

// NewClient returns the HTTP client for all outside calls except the downloads that
// media.Fetcher guards. It follows no redirect, so that a key or a signature never
// goes to another host, and it uses no proxy. It has no Timeout: callers set one or
// pass a context with a deadline. Its Transport may be replaced.
//
// Every call has a connection of its own. Lambda freezes a process between calls for
// longer than servers keep a connection, and the outcome of a POST on a stale
// connection is unknown; net/http would also repeat a GET. A handshake per call
// costs less. A client's later handshakes with a host resume its TLS session, which
// spares the server's signature and the proof of its certificates, most of a handshake's
// cost; so a process needs one client.
//
// Resuming cannot send a request twice or half. Go sends early data over QUIC alone:
// the handshake is over before the first byte of a request, and a server that refuses
// the session makes a full handshake on the same connection. A session stays with its
// host's name, and with a chain of certificates that has been verified and is still valid.
func NewClient() *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout:    5 * time.Second,
			TLSClientConfig:        &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(0)},
			MaxResponseHeaderBytes: 64 << 10,
			DisableKeepAlives:      true,
		},
	}
}

// WallClock returns the current time without its monotonic reading. The monotonic
// clock stops while Lambda freezes the process, so a key, a secret or a balance of
// an hour ago would look fresh.
func WallClock() time.Time { return time.Now().Round(0) }
