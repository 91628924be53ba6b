package serve

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

// localPath is where everything stands that is for the developer's own browser
// on this machine, such as the page's token.
const localPath = "/local/"

// split serves localPath by own, behind ours and outside CORS, and everything
// else by rest. The mux of rest must have nothing under localPath.
func split(own, rest http.Handler) http.Handler {
	guarded := ours(own)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, localPath) {
			guarded.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})
}

// ours refuses requests that do not come straight from a program on this
// machine, and those that another site's page has caused.
func ours(h http.Handler) http.Handler {
	refuse := httpapi.Handler(slog.New(slog.DiscardHandler), func(*http.Request) (httpapi.Answer, error) {
		return httpapi.Answer{}, &task.Error{Code: task.CodeForbidden, Fields: []task.Field{{
			Code: "not_local", Message: "This is only for a browser on the machine that runs bin/local. Open the address that bin/local prints, there and without a tunnel.",
		}}}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if !fromHere(r) || !sameSite(r) {
			refuse.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// fromHere reports whether a request comes from this machine, under a name of
// this machine, and without a proxy or tunnel in between. A name rebound to
// this machine shows in Host; a tunnel that rewrites Host shows in the rest.
func fromHere(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() || !isLoopback(r.Host) {
		return false
	}
	for name, values := range r.Header {
		switch {
		case strings.HasPrefix(name, "Sec-"): // the browser's own
		case speaksOfHops(name):
			return false
		case name == "Cookie" || name == "User-Agent": // may hold any numbers
		case slices.ContainsFunc(values, namesStranger):
			return false
		}
	}
	return true
}

// isLoopback reports whether host, with or without a port, is this machine.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// hopWords are words in the names of the headers by which proxies, tunnels and
// delivery networks pass on whose request it was: X-Forwarded-For, Via,
// CF-Connecting-IP, True-Client-IP, X-Original-Host. Browsers send none.
var hopWords = []string{
	"forward", "forwarded", "forwarder", "via", "hop", "hops", "proxy", "proxied", "tunnel", "gateway", "relay", "loop",
	"ip", "addr", "client", "real", "original", "remote", "connecting", "peer", "cluster", "cdn", "cf", "envoy", "amzn", "azure", "ngrok", "tailscale",
}

// speaksOfHops reports whether a header's name has one of hopWords.
func speaksOfHops(name string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(strings.ToLower(name), func(c rune) bool { return c == '-' || c == '_' }), func(word string) bool {
		return slices.Contains(hopWords, word)
	})
}

// namesStranger reports whether a header's value has the address of another
// machine in it: whatever the header is called, somebody has passed it on.
func namesStranger(value string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(value, func(c rune) bool { return strings.ContainsRune(`,; ="`, c) }), func(word string) bool {
		if at, err := netip.ParseAddrPort(word); err == nil {
			return !at.Addr().Unmap().IsLoopback()
		}
		ip, err := netip.ParseAddr(strings.Trim(word, "[]"))
		return err == nil && !ip.Unmap().IsLoopback()
	})
}

// sameSite reports whether a request is one of our own page, or of no page at
// all. Another port of this machine is another site.
func sameSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none": // none: typed by the user
	default:
		return false
	}
	origin, sent := r.Header["Origin"]
	return !sent || len(origin) == 1 && origin[0] == "http://"+r.Host
}
