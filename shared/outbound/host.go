package outbound

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

const (
	maxName  = 253 // bytes of a DNS name
	maxLabel = 63  // bytes of one of its labels

	// nameBytes are the bytes of labels. The underscore is Docker's.
	nameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
)

// ValidHostPort reports whether s is an IP address, an IPv6 one in brackets and
// without a zone, or a DNS name, with or without a port. A name is ASCII: Go's
// resolver maps look-alike digits to addresses.
func ValidHostPort(s string) bool {
	host, port, found := strings.Cut(s, ":")
	if strings.HasPrefix(s, "[") {
		host, port, found = strings.Cut(s[1:], "]")
		if a, err := netip.ParseAddr(host); !found || err != nil || !a.Is6() || a.Zone() != "" {
			return false
		}
		if port == "" {
			return true
		}
		port, found = strings.CutPrefix(port, ":")
		return found && validPort(port)
	}
	labels := strings.Split(host, ".")
	if found && !validPort(port) || !validName(host, labels) {
		return false
	}
	_, err := netip.ParseAddr(host)
	// A host that ends in a number is an address or, like 127.1, meant as one.
	return err == nil || strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// validName reports whether name, which consists of labels, is written as a DNS
// name, or as an IPv4 address.
func validName(name string, labels []string) bool {
	for _, label := range labels {
		if label == "" || len(label) > maxLabel || strings.Trim(label, nameBytes) != "" {
			return false
		}
	}
	return len(name) <= maxName
}

// PublicName reports whether host is a dotted DNS name that can be public. Its last
// label begins with an ASCII letter, so no spelling of an IP address is one: Go reads
// "①②⑦.⓪.⓪.①" as 127.0.0.1, other parsers "127.1", "0x7f.1" and "2130706433".
func PublicName(host string) bool {
	labels := strings.Split(host, ".") // not lower-cased yet: U+212A, the Kelvin sign, becomes a k
	if len(labels) < 2 || !validName(host, labels) {
		return false
	}
	for _, label := range labels {
		if label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	switch top := strings.ToLower(labels[len(labels)-1]); top {
	case "arpa", "corp", "home", "internal", "intranet", "lan", "local", "localdomain", "localhost", "private":
		return false
	default:
		return top[0] >= 'a' // not a number, decimal or hexadecimal
	}
}

// Loopback reports whether host, an address or a name without a port, is this machine.
// It looks no name up: localhost and the names below it are this machine.
func Loopback(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().IsLoopback()
	}
	host = strings.ToLower(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// OnLoopback reports whether the Host of a request, with or without a port, is this
// machine, so that only a program on it can have sent the request here. It is
// stricter than Loopback: a name below localhost could lead to another machine.
func OnLoopback(host string) bool {
	name := (&url.URL{Host: host}).Hostname()
	return name == "localhost" || net.ParseIP(name).IsLoopback()
}

// Private reports whether host, an address or a name without a port, is this machine or
// in its own network, like host.docker.internal and the single-label name of a
// container. It looks no name up.
func Private(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().IsLoopback() || a.Unmap().IsPrivate()
	}
	host = strings.ToLower(host)
	return Loopback(host) || !strings.Contains(host, ".") ||
		strings.HasSuffix(host, ".internal") || strings.HasSuffix(host, ".local")
}

// Authority returns the host and port of u in lower case, as a dialer takes them.
func Authority(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// SettingHost returns the host of u in lower case, as settings name hosts: with its port,
// unless that is 443 over https.
func SettingHost(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if u.Scheme == "https" {
		host = strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":")
	}
	return host
}

// Location returns the host of a link in lower case and its path, without scheme and
// query. It returns a link that is not a URL unchanged.
func Location(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return link
	}
	return strings.ToLower(u.Host) + u.Path
}
