package serve

import (
	"cmp"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/local/signin"
	"github.com/preset/nanobanana-functions/shared/config"
)

// Only a browser on this machine gets the page's token: not a DNS name rebound to
// it, another site's page, another machine, or a user behind a tunnel.
func TestLocalOnly(t *testing.T) {
	guarded := localOnly(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a token") }))
	for name, tt := range map[string]struct {
		method, host, peer string
		header             []string
		allowed            bool
	}{
		"a program":                             {allowed: true},
		"the page":                              {header: []string{"Sec-Fetch-Site", "same-origin", "Accept-Language", "de", "Referer", "http://127.0.0.1:8787/", "User-Agent", "Chrome/1 1.2.3.4", "Cookie", "seen=10.0.0.1", "Sec-Ch-Ua", `"x";v="8.0.0.0"`}, allowed: true},
		"the page's PUT":                        {method: "PUT", header: []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:8787"}, allowed: true},
		"the page, opened as localhost":         {host: "localhost:8787", header: []string{"Origin", "http://localhost:8787"}, allowed: true},
		"IPv6":                                  {host: "[::1]:8787", peer: "[::1]:5000", allowed: true},
		"a typed address":                       {header: []string{"Sec-Fetch-Site", "none"}, allowed: true},
		"IPv4 written as IPv6":                  {peer: "[::ffff:127.0.0.1]:5000", allowed: true},
		"a rebound DNS name":                    {host: "attacker.example:8787"},
		"this machine's address in the network": {host: "192.168.1.7:8787"},
		"a name that begins with 127.0.0.1":     {host: "127.0.0.1.attacker.example"},
		"another machine":                       {peer: "192.168.1.9:5000"},
		"another machine, by IPv6":              {peer: "[fe80::1%eth0]:5000"},
		"a peer without an address":             {peer: "@"},
		"another site's page":                   {header: []string{"Sec-Fetch-Site", "cross-site"}},
		"a page on another port":                {header: []string{"Sec-Fetch-Site", "same-site"}},
		"an Origin on another port":             {header: []string{"Origin", "http://127.0.0.1:3000"}},
		"an Origin with https":                  {header: []string{"Origin", "https://127.0.0.1:8787"}},
		"another site in an old browser":        {header: []string{"Origin", "https://attacker.example"}},
		"a page with the Origin null":           {header: []string{"Origin", "null"}},
		"an empty Origin":                       {header: []string{"Origin", ""}},
		"an unknown Sec-Fetch-Site":             {header: []string{"Sec-Fetch-Site", "new-word"}},
		"ngrok":                                 {header: []string{"X-Forwarded-For", "127.0.0.1"}},
		"a tunnel that forwards the host":       {header: []string{"X-Forwarded-Host", "x.example"}},
		"the standard Forwarded header":         {header: []string{"Forwarded", "for=_hidden"}},
		"a proxy":                               {header: []string{"Via", "1.1 proxy"}},
		"nginx":                                 {header: []string{"X-Real-IP", "127.0.0.1"}},
		"Cloudflare":                            {header: []string{"CF-Connecting-IP", "127.0.0.1"}},
		"Cloudflare's ray":                      {header: []string{"CF-Ray", "8c0"}},
		"Akamai":                                {header: []string{"True-Client-IP", "127.0.0.1"}},
		"Fastly":                                {header: []string{"Fastly-Client-IP", "127.0.0.1"}},
		"Envoy":                                 {header: []string{"X-Envoy-External-Address", "127.0.0.1"}},
		"IIS":                                   {header: []string{"X-Original-URL", "/local/session"}},
		"a header with underscores":             {header: []string{"X_FORWARDED_FOR", "127.0.0.1"}},
		"an address in an unknown header":       {header: []string{"X-Anything", "203.0.113.9"}},
		"an IPv6 address in an unknown header":  {header: []string{"X-Anything", `who="[2001:db8::1]:443";x`}},
		"an address with a port in an unknown header": {header: []string{"X-Anything", "ok, 203.0.113.9:5000"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(cmp.Or(tt.method, "GET"), "/local/session", nil)
			r.Host, r.RemoteAddr = cmp.Or(tt.host, "127.0.0.1:8787"), cmp.Or(tt.peer, "127.0.0.1:5000")
			for i := 0; i < len(tt.header); i += 2 {
				r.Header.Set(tt.header[i], tt.header[i+1])
			}
			w := httptest.NewRecorder()
			guarded.ServeHTTP(w, r)
			body := w.Body.String()
			if tt.allowed != (w.Code == 200) || tt.allowed != (body == "a token") || !tt.allowed && w.Code != 403 {
				t.Errorf("%d %s, allowed: %v", w.Code, body, tt.allowed)
			}
			if w.Header().Get("Cache-Control") != "no-store" {
				t.Error("it may be cached")
			}
		})
	}
}

// Even CORS settings that let every site use the API let none read the page's token.
func TestLocalIsOutsideCORS(t *testing.T) {
	r := startHarness(t, map[string]string{"CORS_ORIGINS": "*"})
	const site = "https://attacker.example"
	for _, tt := range []struct{ method, path string }{
		{"GET", "/local/session"}, {"GET", "/%6cocal/session"}, {"PUT", "/local/simulator"}, {"OPTIONS", "/local/session"}, {"GET", "/local/nothing"},
	} {
		resp, body := r.request(tt.method, tt.path, "", "Origin", site, "Access-Control-Request-Method", "GET")
		if resp.StatusCode != 403 || resp.Header.Get("Access-Control-Allow-Origin") != "" || strings.Contains(body, `"token"`) {
			t.Errorf("%s %s: %s %v %s", tt.method, tt.path, resp.Status, resp.Header, body)
		}
		// A browser that sends no Origin does not let the site read the answer either.
		resp, _ = r.request(tt.method, tt.path, "")
		if resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s %s: %v", tt.method, tt.path, resp.Header)
		}
	}
	for _, path := range []string{"//local/session", "/x/../local/session", "/local", "/LOCAL/session"} {
		if resp, body := r.request("GET", path, ""); resp.StatusCode != 404 {
			t.Errorf("%s: %s %s", path, resp.Status, body)
		}
	}
	if resp, _ := r.request("GET", "/v1/models", "", "Origin", site); resp.StatusCode != 200 || resp.Header.Get("Access-Control-Allow-Origin") != site {
		t.Errorf("the API: %s %v", resp.Status, resp.Header)
	}
}

// If pictures cost credits, the page gets no token, only the command that prints
// one.
func TestSessionWithPaidProvider(t *testing.T) {
	const address = "http://127.0.0.1:9000"
	data := t.TempDir()
	studio, err := openStudio(config.Settings{BaseURL: config.DefaultBaseURL, AuthIssuer: address + signin.Path}, address, data)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/local/session", nil)
	r.RemoteAddr, r.Host = "127.0.0.1:5000", "127.0.0.1:9000"
	localOnly(studio.localHandler(slog.New(slog.DiscardHandler), newTroubles(), nil, http.NotFoundHandler())).ServeHTTP(w, r)
	var session struct{ Token, TokenCommand string }
	if err := json.Unmarshal(w.Body.Bytes(), &session); err != nil || w.Code != 200 || session.Token != "" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if want := "bin/local token -addr 127.0.0.1:9000 -data " + data; session.TokenCommand != want {
		t.Errorf("the command is %q, want %q", session.TokenCommand, want)
	}
}
