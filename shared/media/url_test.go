package media

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestCheckURL(t *testing.T) {
	for _, raw := range []string{
		"https://example.com",
		"https://example.com/a.png",
		"https://EXAMPLE.com:443/a.png?sig=x%2Fy&b=1#top",
		"https://my_bucket.s3.eu-central-1.amazonaws.com/a%20b.png",
		"https://xn--bcher-kva.example/bücher.png",
		"https://1.2.3.com/x",
		"https://a.b.c.d.e.museum/",
		"https://example.com/" + strings.Repeat("x", maxURL-len("https://example.com/")),
	} {
		if err := CheckURL(raw); err != nil {
			t.Errorf("CheckURL(%.60q): %v", raw, err)
		}
	}
	for want, raws := range map[error][]string{
		errLinkEmpty:  {""},
		errLinkLong:   {"https://example.com/" + strings.Repeat("x", maxURL), strings.Repeat("x", 3000)},
		errLinkScheme: {"http://example.com/x", "ftp://example.com", "file:///etc/passwd", "data:image/png;base64,AA", "javascript:alert(1)", "//example.com/x", "example.com/x", "upload:1", "task:x/1"},
		errLinkChars: {"https://example.com/a b", " https://example.com/", "https://example.com/\n", "https://exa\tmple.com/", `https://example.com\@evil.com/`,
			`https:\\example.com\x`, "https://example.com/\x00", "https://example.com/\x7f", "https://example.com/\u202egnp.x", "https://example.com/\xff", "https://example.com/\u00a0", "https://exam\u200bple.com/"},
		errLinkUser: {"https://user:pw@example.com/", "https://user@example.com/", "https://@example.com/", "https://example.com:443@evil.com/"},
		errLinkPort: {"https://example.com:22/", "https://example.com:80/", "https://example.com:8443/", "https://example.com:0443/"},
		errLinkForm: {"https://", "https:///x", "https:example.com", "https://exam%ple.com/", "https://example.com:port/", "https://example.com/%zz", "https://[::1/"},
		errLinkHost: {
			"https://127.0.0.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://0.0.0.0/", "https://2130706433/",
			"https://0x7f000001/", "https://127.1/", "https://0x7f.1/", "https://0177.0.0.1/", "https://127.0.0.0x1/", "https://169.254.169.254/", "https://8.8.8.8/",
			"https://1.1.1.1./", "https://localhost/", "https://localhost./", "https://LOCALHOST/", "https://a.localhost/", "https://a.local/", "https://a.LOCAL/",
			"https://metadata.google.internal/", "https://router.home.arpa/", "https://nas.lan/", "https://intranet/", "https://example.com./", "https://.example.com/",
			"https://example..com/", "https://-a.com/", "https://a-.com/", "https://①②⑦.⓪.⓪.①/", "https://１２７.０.０.１/", "https://127。0。0。1/", "https://bücher.example/", "https://ⓔxample.com/",
			"https://example.com,evil.com/", "https://exam!ple.com/", "https://[fe80::1%25eth0]/", "https://" + strings.Repeat("a", 64) + ".com/", "https://" + strings.Repeat("a.", 130) + "com/",
		},
	} {
		for _, raw := range raws {
			if err := CheckURL(raw); err != want {
				t.Errorf("CheckURL(%.60q): %v, want: %v", raw, err, want)
			}
		}
	}
}

func FuzzCheckURL(f *testing.F) {
	for _, raw := range []string{
		"https://example.com/a.png?x=1#y", "https://①②⑦.⓪.⓪.①/", "https://example.com:443/", "https://127.1/", "https://0x7f.1/", "https://[::1]/",
		`https://a.com\@b.com`, "https://user@a.com", "https://a.com:443@b.com", "HTTPS://A.COM", "https://a.com?@b.com", "https://%61.com",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if CheckURL(raw) != nil {
			return
		}
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "https" || u.User != nil || u.Port() != "" && u.Port() != "443" || len(raw) > maxURL {
			t.Fatalf("CheckURL(%q) = nil", raw)
		}
		host := u.Hostname()
		if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(host, ".") || strings.HasSuffix(host, ".") {
			t.Fatalf("CheckURL(%q) = nil with host %q", raw, host)
		}
		// A parser that reads on to the next slash must find the same host
		// as Go.
		rest := raw[len("https://"):]
		if end := strings.IndexAny(rest, "/?#"); end >= 0 {
			rest = rest[:end]
		}
		if strings.TrimSuffix(rest, ":443") != host && strings.TrimSuffix(rest, ":") != host {
			t.Fatalf("CheckURL(%q) = nil: Go finds host %q, other parsers may find %q", raw, host, rest)
		}
	})
}

func TestPublic(t *testing.T) {
	for _, a := range []string{
		"1.1.1.1", "8.8.8.8", "93.184.215.14", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.31.195.255", "192.31.197.0", "192.52.192.255", "192.52.194.0", "192.175.47.255", "192.175.49.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
		"2606:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888", "2001:200::", "2620:4f:7fff::1", "2620:4f:8001::1", "::ffff:8.8.8.8",
	} {
		if !public(netip.MustParseAddr(a)) {
			t.Errorf("%s is refused", a)
		}
	}
	for _, a := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.0", "100.100.100.200", "100.127.255.255", "127.0.0.1", "127.255.255.255", "169.254.169.254",
		"172.16.0.0", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.31.196.0", "192.31.196.255", "192.52.193.1", "192.88.99.1", "192.168.0.1", "192.175.48.0", "192.175.48.255", "198.18.0.0", "198.19.255.255", "198.51.100.1", "203.0.113.1",
		"224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
		"2001:2::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::", "2620:4f:8000::1", "2620:4f:8000:ffff::1", "::ffff:192.31.196.1", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "2606:4700::1%eth0",
	} {
		if public(netip.MustParseAddr(a)) {
			t.Errorf("%s is not refused", a)
		}
	}
	if public(netip.Addr{}) {
		t.Error("the zero address is not refused")
	}
}
