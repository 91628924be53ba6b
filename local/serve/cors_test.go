package serve

import (
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// corsList returns the items of a list under CorsConfiguration in template.yaml.
func corsList(t *testing.T, name string) []string {
	t.Helper()
	template, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(name + `: \[(.+)\]`).FindSubmatch(template)
	if found == nil {
		t.Fatalf("template.yaml has no %s", name)
	}
	return strings.Split(string(found[1]), ", ")
}

// checkAllowed checks that a header lists exactly what the gateway on AWS lists.
func checkAllowed(t *testing.T, resp *http.Response, header, name string) {
	t.Helper()
	if got, want := strings.Split(resp.Header.Get(header), ", "), corsList(t, name); !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q as in template.yaml", header, got, want)
	}
}

// Pages on this machine may call the API without a setting, with the headers that
// the gateway sends on AWS; no other page may, and none may use what is the page's.
func TestCORSOfPagesOnThisMachine(t *testing.T) {
	r := startHarness(t, nil)
	for _, origin := range []string{"http://localhost:3000", "http://127.0.0.1:5173", "http://[::1]:3000", "https://localhost:3000"} {
		resp, _ := r.request(http.MethodOptions, "/v1/tasks", "", "Origin", origin, "Access-Control-Request-Method", "POST",
			"Access-Control-Request-Headers", "authorization,content-type,idempotency-key")
		if resp.StatusCode != http.StatusNoContent || resp.Header.Get("Access-Control-Allow-Origin") != origin {
			t.Errorf("the preflight from %s: %s %v", origin, resp.Status, resp.Header)
		}
		checkAllowed(t, resp, "Access-Control-Allow-Methods", "AllowMethods")
		checkAllowed(t, resp, "Access-Control-Allow-Headers", "AllowHeaders")
		resp, body := r.request(http.MethodPost, "/v1/tasks", `{"prompt":"a red bicycle"}`, "Origin", origin, "Authorization", "Bearer "+r.Token, "Content-Type", "application/json")
		if resp.StatusCode != http.StatusAccepted || resp.Header.Get("Access-Control-Allow-Origin") != origin {
			t.Errorf("an order from %s: %s %v %s", origin, resp.Status, resp.Header, body)
		}
		checkAllowed(t, resp, "Access-Control-Expose-Headers", "ExposeHeaders")
		if resp, _ := r.request("GET", "/local/session", "", "Origin", origin); resp.StatusCode != http.StatusForbidden || resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("the page's token, from %s: %s %v", origin, resp.Status, resp.Header)
		}
	}
	for _, origin := range []string{"https://attacker.example", "http://localhost.attacker.example", "http://192.168.1.7:3000", "null"} {
		resp, _ := r.request(http.MethodOptions, "/v1/tasks", "", "Origin", origin, "Access-Control-Request-Method", "POST")
		if resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %s %v", origin, resp.Status, resp.Header)
		}
	}
}

// A page on this machine may read pictures and put uploads, each answer with one
// Access-Control-Allow-Origin: browsers refuse two.
func TestCORSOfFiles(t *testing.T) {
	r := startHarness(t, nil)
	made := r.AwaitSuccess(t, r.Submit(t, map[string]any{"prompt": "a red bicycle"}, "k").ID)
	const origin = "http://localhost:3000"
	check := func(what string, resp *http.Response) {
		t.Helper()
		allowed := resp.Header.Values("Access-Control-Allow-Origin")
		if resp.StatusCode >= 400 || len(allowed) != 1 || allowed[0] != "*" && allowed[0] != origin {
			t.Errorf("%s: %s %v", what, resp.Status, resp.Header)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, made.Images[0].URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", origin)
	link, err := http.DefaultTransport.RoundTrip(req) // does not follow the redirect
	if err != nil {
		t.Fatal(err)
	}
	_ = link.Body.Close()
	check("a picture's link", link)
	picture, _ := r.request("GET", strings.TrimPrefix(link.Header.Get("Location"), r.URL), "", "Origin", origin)
	check("a picture", picture)

	u := requestUpload(t, r.User, 5)
	path := strings.TrimPrefix(u.UploadURL, r.URL)
	preflight, _ := r.request(http.MethodOptions, path, "", "Origin", origin, "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "content-type,if-none-match")
	check("the preflight of an upload", preflight)
	upload, _ := r.request(http.MethodPut, path, "bytes", "Origin", origin, "Content-Type", "image/png", "If-None-Match", "*")
	check("an upload", upload)
}
