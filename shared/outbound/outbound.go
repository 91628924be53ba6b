// Package outbound holds what all calls to other machines have in common: the
// one HTTP client, the one list of errors that are safe to print, the rules for
// hosts, and the clock that measures the age of what a call returned. It makes no
// call itself and knows nothing of tasks, pictures or the provider.
package outbound

import (
	"net"
	"net/http"
	"time"
)

// UserAgent is the User-Agent of our calls to the provider and to Preset.
const UserAgent = "preset-nanobanana-functions/1"

// NewClient returns the HTTP client for all outside calls but downloads of
// pictures, which media.Fetcher guards. It follows no redirect, so that a key
// or a signature never goes to another host, and uses no proxy. It has no
// Timeout: callers bring a context or set one. Its Transport may be replaced.
//
// Every call has a connection of its own. A Lambda is frozen between calls for
// longer than any server keeps a connection, and nobody knows the fate of a POST
// written to a stale one; net/http would also repeat a read by itself. A
// handshake per call is the cheaper price.
func NewClient() *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout:    5 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			DisableKeepAlives:      true,
		},
	}
}

// WallClock returns the time without the monotonic clock. That clock stands
// still while Lambda freezes the process, so that a key, a secret or a balance
// of an hour ago would look fresh.
func WallClock() time.Time { return time.Now().Round(0) }
