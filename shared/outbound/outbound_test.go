package outbound_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/outbound"
)

// A proxy would see keys, and a dial-time check of addresses would see only the proxy.
func TestNewClientUsesNoProxy(t *testing.T) {
	if outbound.NewClient().Transport.(*http.Transport).Proxy != nil {
		t.Error("the client has a proxy")
	}
}

func TestNewClient(t *testing.T) {
	var connections []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connections = append(connections, r.RemoteAddr)
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	t.Cleanup(server.Close)
	client := outbound.NewClient()
	for range 2 {
		resp, err := client.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusFound {
			t.Errorf("the answer has status %d, want the redirect itself", resp.StatusCode)
		}
	}
	if len(connections) != 2 || connections[0] == connections[1] {
		t.Errorf("two calls came from %v, want one connection each", connections)
	}
}

func TestWallClockHasNoMonotonicReading(t *testing.T) {
	if now := outbound.WallClock(); strings.Contains(now.String(), "m=") {
		t.Errorf("%s has a monotonic reading", now)
	}
}

func TestErrorsKeepSecrets(t *testing.T) {
	const secret = "c0ffee"
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // the handshake fails
	server.StartTLS()
	t.Cleanup(server.Close)
	call := func(link string) error {
		resp, err := outbound.NewClient().Get(link + "/?key=" + secret)
		if err == nil {
			_ = resp.Body.Close()
			t.Fatalf("%s answered", link)
		}
		return err
	}
	for name, tt := range map[string]struct {
		err       error
		printable string // part of the text; "" means nothing is printable
	}{
		"a refused connection":      {call("http://127.0.0.1:1"), "connection refused"},
		"an unknown name":           {call("http://x.invalid"), "x.invalid"},
		"an unknown authority":      {call(server.URL), "certificate"},
		"a reply that is not HTTP":  {&url.Error{Op: "Get", URL: "http://x/" + secret, Err: errors.New("malformed HTTP response " + secret)}, ""},
		"the caller's cancellation": {context.Canceled, ""},
		"no error":                  {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			safe := outbound.Printable(tt.err)
			if (safe == nil) != (tt.printable == "") || safe != nil && !strings.Contains(safe.Error(), tt.printable) {
				t.Errorf("printable is %v, want %q", safe, tt.printable)
			}
			if safe != nil && strings.Contains(safe.Error(), secret) {
				t.Errorf("%v quotes the URL", safe)
			}
		})
	}
}

func TestWithoutURL(t *testing.T) {
	cause := io.ErrUnexpectedEOF
	quoting := &url.Error{Op: "Get", URL: "https://example.com/?key=c0ffee", Err: cause}
	for _, tt := range []struct{ err, want error }{
		{quoting, cause}, {fmt.Errorf("reading: %w", quoting), cause}, {net.ErrClosed, net.ErrClosed}, {nil, nil},
	} {
		if got := outbound.WithoutURL(tt.err); got != tt.want {
			t.Errorf("WithoutURL(%v) = %v, want %v", tt.err, got, tt.want)
		}
	}
}
