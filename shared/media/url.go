package media

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"code.dny.dev/ssrf"

	"github.com/preset/nanobanana-functions/shared/outbound"
)

// maxURL is the length in bytes of the longest link that users may send.
const maxURL = 2048

// What is wrong with a link, in sentences for people. None quotes the link.
var (
	errLinkLong   = errors.New("the link is longer than 2,048 characters")
	errLinkChars  = errors.New("the link contains spaces, backslashes or unprintable characters")
	errLinkForm   = errors.New("this is not a complete link")
	errLinkScheme = errors.New("the link has to begin with https://")
	errLinkUser   = errors.New("the link must not contain a user name or password")
	errLinkPort   = errors.New("the link must not name a port other than 443")
	errLinkHost   = errors.New("the link has to name a public host, such as images.example.com")
	errLinkEmpty  = errors.New("the link is empty")
)

// CheckURL returns nil if raw, a link from a user, may be passed to the provider as a
// picture to edit: https on port 443 of a public DNS name, without credentials. It
// queries no name server. The text of its error is for people and quotes nothing
// of raw.
func CheckURL(raw string) error {
	switch {
	case raw == "":
		return errLinkEmpty
	case len(raw) > maxURL:
		return errLinkLong
	case !utf8.ValidString(raw) || strings.ContainsFunc(raw, unsafeInURL):
		return errLinkChars
	}
	u, err := url.Parse(raw)
	if err != nil {
		return errLinkForm // err quotes raw
	}
	if err := checkAuthority(u); err != nil {
		return err
	}
	if !outbound.PublicName(u.Hostname()) {
		return errLinkHost
	}
	return nil
}

// unsafeInURL reports whether URL parsers disagree on r or readers cannot see it: a
// backslash ends the host for browsers but not for Go, and some parsers drop tabs
// and line ends.
func unsafeInURL(r rune) bool {
	return r == ' ' || r == '\\' || !unicode.IsPrint(r)
}

// checkAuthority checks all of u before its path, except whether the host is public.
func checkAuthority(u *url.URL) error {
	switch {
	case u.Scheme != "https":
		return errLinkScheme
	case u.User != nil:
		return errLinkUser
	case u.Hostname() == "":
		return errLinkForm
	case u.Port() != "" && u.Port() != "443":
		return errLinkPort
	}
	return nil
}

// public reports whether a is an address of the public Internet. The lists of package
// ssrf hold what the IANA registries of special-purpose addresses set aside, and the
// ranges that carry another address inside (6to4, Teredo). IPv6 addresses beyond
// 2000::/3 are not public: NAT64 (64:ff9b::/96), unique local and link-local ones.
func public(a netip.Addr) bool {
	a = a.Unmap()
	within := func(p netip.Prefix) bool { return p.Contains(a) }
	if a.Is4() {
		return !slices.ContainsFunc(ssrf.IPv4DeniedPrefixes, within)
	}
	return a.Zone() == "" && ssrf.IPv6GlobalUnicast.Contains(a) && !slices.ContainsFunc(ssrf.IPv6DeniedPrefixes, within)
}
