package serve

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/outbound"
	"github.com/preset/nanobanana-functions/shared/task"
)

// localPath is the prefix of routes that only a browser on this machine may use,
// such as the one that returns the page's token.
const localPath = "/local/"

// splitLocal serves paths under localPath with local, guarded by localOnly, and
// all others with public. No CORS headers are set under localPath.
func splitLocal(local, public http.Handler) http.Handler {
	guarded := localOnly(local)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, localPath) {
			guarded.ServeHTTP(w, r)
			return
		}
		public.ServeHTTP(w, r)
	})
}

// localOnly passes on requests that come directly from a program on this machine,
// and refuses all others, also those caused by another site's page.
func localOnly(h http.Handler) http.Handler {
	refuse := httpapi.Handler(slog.New(slog.DiscardHandler), func(*http.Request) (httpapi.Answer, error) {
		return httpapi.Answer{}, &task.Error{Code: task.CodeForbidden, Fields: []task.Field{{
			Code: "not_local", Message: "This works only in a browser on the machine that runs bin/local. There, open the address that bin/local prints, without a tunnel.",
		}}}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if !fromThisMachine(r) || !fromOwnPage(r) {
			refuse.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// fromThisMachine reports whether a request comes from this machine, addressed to
// this machine, without a proxy or tunnel in between. A DNS name rebound to this
// machine shows in Host; a tunnel that rewrites Host shows in other headers.
func fromThisMachine(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() || !outbound.OnLoopback(r.Host) {
		return false
	}
	for name, values := range r.Header {
		switch {
		case strings.HasPrefix(name, "Sec-"): // set by the browser
		case isForwardingHeader(name):
			return false
		case name == "Cookie" || name == "User-Agent": // may contain anything
		case slices.ContainsFunc(values, hasRemoteAddress):
			return false
		}
	}
	return true
}

// forwardingWords occur in the names of headers with which proxies, tunnels and
// CDNs pass on who sent a request: X-Forwarded-For, Via, CF-Connecting-IP,
// True-Client-IP, X-Original-Host. Browsers send none of them.
var forwardingWords = []string{
	"forward", "forwarded", "forwarder", "via", "hop", "hops", "proxy", "proxied", "tunnel", "gateway", "relay", "loop",
	"ip", "addr", "client", "real", "original", "remote", "connecting", "peer", "cluster", "cdn", "cf", "envoy", "amzn", "azure", "ngrok", "tailscale",
}

// isForwardingHeader reports whether a header's name contains one of forwardingWords.
func isForwardingHeader(name string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(strings.ToLower(name), func(c rune) bool { return c == '-' || c == '_' }), func(word string) bool {
		return slices.Contains(forwardingWords, word)
	})
}

// hasRemoteAddress reports whether a header's value contains the address of another
// machine. Then a proxy has forwarded the request, whatever the header's name.
func hasRemoteAddress(value string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(value, func(c rune) bool { return strings.ContainsRune(`,; ="`, c) }), func(word string) bool {
		if at, err := netip.ParseAddrPort(word); err == nil {
			return !at.Addr().Unmap().IsLoopback()
		}
		ip, err := netip.ParseAddr(strings.Trim(word, "[]"))
		return err == nil && !ip.Unmap().IsLoopback()
	})
}

// fromOwnPage reports whether a request comes from the studio page or from no page
// at all. A page on another port of this machine is another site.
func fromOwnPage(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none": // none: the user typed the address
	default:
		return false
	}
	origin, sent := r.Header["Origin"]
	return !sent || len(origin) == 1 && origin[0] == "http://"+r.Host
}
