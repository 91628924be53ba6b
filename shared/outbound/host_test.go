package outbound_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/outbound"
)

// check calls rule for each host and compares.
func check(t *testing.T, rule func(string) bool, want map[string]bool) {
	t.Helper()
	for host, want := range want {
		if got := rule(host); got != want {
			t.Errorf("%.80q: %v, want %v", host, got, want)
		}
	}
}

func TestValidHostPort(t *testing.T) {
	check(t, outbound.ValidHostPort, map[string]bool{
		"example.com": true, "EXAMPLE.com:443": true, "my_stack": true, "1.2.3.4": true, "1.2.3.4:65535": true, "[::1]": true, "[::1]:8787": true, "a.1b": true,
		"": false, ".": false, "a..b": false, "example.com.": false, "example.com:": false, "example.com:0": false, "example.com:65536": false, "example.com:http": false,
		"::1": false, "[::1": false, "[::1]x": false, "[::1]:": false, "[1.2.3.4]": false, "[fe80::1%eth0]": false, "127.1": false, "2130706433": false,
		"①②⑦.⓪.⓪.①": false, "bücher.example": false, "a b": false, "user@example.com": false, "example.com/x": false,
		strings.Repeat("a", 64): false, strings.Repeat("a", 63): true, strings.Repeat("a.", 126) + "b": true, strings.Repeat("a.", 127) + "b": false,
	})
}

func TestPublicName(t *testing.T) {
	check(t, outbound.PublicName, map[string]bool{
		"example.com": true, "EXAMPLE.COM": true, "my_bucket.s3.eu-central-1.amazonaws.com": true, "xn--bcher-kva.example": true, "1.2.3.com": true,
		"": false, "intranet": false, "localhost": false, "a.localhost": false, "a.LOCAL": false, "metadata.google.internal": false, "router.home.arpa": false,
		"example.com.": false, ".example.com": false, "example..com": false, "-a.com": false, "a-.com": false, "example.com:443": false,
		"127.0.0.1": false, "127.1": false, "0x7f.1": false, "2130706433": false, "127.0.0.0x1": false, "::1": false, "①②⑦.⓪.⓪.①": false, "127。0。0。1": false, "bücher.example": false, "Key.example": false, "example.Key": false,
		strings.Repeat("a", 64) + ".com": false, strings.Repeat("a.", 130) + "com": false,
	})
}

func TestLoopback(t *testing.T) {
	check(t, outbound.Loopback, map[string]bool{
		"localhost": true, "LOCALHOST": true, "a.localhost": true, "127.0.0.1": true, "127.1.2.3": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "localhost.example": false, "192.168.1.7": false, "8.8.8.8": false, "host.docker.internal": false,
	})
}

func TestOnLoopback(t *testing.T) {
	check(t, outbound.OnLoopback, map[string]bool{
		"localhost": true, "localhost:8787": true, "127.0.0.1:8787": true, "127.1.2.3": true, "[::1]:8787": true, "[::1]": true,
		"": false, "evil.example": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false, "192.168.1.7:8787": false, "a.localhost": false, "[::1%25lo]:8787": false,
	})
}

func TestPrivate(t *testing.T) {
	check(t, outbound.Private, map[string]bool{
		"localhost": true, "a.localhost": true, "127.0.0.1": true, "::1": true, "10.0.0.1": true, "192.168.1.7": true, "::ffff:10.0.0.1": true, "fd00::1": true,
		"host.docker.internal": true, "nas.LOCAL": true, "simulator": true, "": true,
		"8.8.8.8": false, "2606:4700::1111": false, "example.com": false, "internal.example.com": false,
	})
}

func TestURLs(t *testing.T) {
	for link, want := range map[string]struct{ authority, setting, location string }{
		"https://EXAMPLE.com/A?b=1#c":     {"example.com:443", "example.com", "example.com/A"},
		"https://example.com:443/":        {"example.com:443", "example.com", "example.com:443/"},
		"https://[2001:db8::443]:443/x":   {"[2001:db8::443]:443", "[2001:db8::443]", "[2001:db8::443]:443/x"},
		"https://example.com:/":           {"example.com:443", "example.com", "example.com:/"},
		"https://example.com:8443":        {"example.com:8443", "example.com:8443", "example.com:8443"},
		"http://Example.com/a%20b":        {"example.com:80", "example.com", "example.com/a b"},
		"http://127.0.0.1:9000/x":         {"127.0.0.1:9000", "127.0.0.1:9000", "127.0.0.1:9000/x"},
		"http://[::1]:9000/x":             {"[::1]:9000", "[::1]:9000", "[::1]:9000/x"},
		"https://user:pw@example.com/x?y": {"example.com:443", "example.com", "example.com/x"},
	} {
		u, err := url.Parse(link)
		if err != nil {
			t.Fatal(err)
		}
		if got := outbound.Authority(u); got != want.authority {
			t.Errorf("the authority of %s is %s, want %s", link, got, want.authority)
		}
		if got := outbound.SettingHost(u); got != want.setting {
			t.Errorf("settings name the host of %s %s, want %s", link, got, want.setting)
		}
		if got := outbound.Location(link); got != want.location {
			t.Errorf("the location of %s is %s, want %s", link, got, want.location)
		}
	}
	if got := outbound.Location("https://exa mple.com/?x"); got != "https://exa mple.com/?x" {
		t.Errorf("the location of what is no URL is %q, want it unchanged", got)
	}
}
