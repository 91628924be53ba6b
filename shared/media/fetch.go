package media

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/outbound"
)

const (
	userAgent    = "nanobanana-functions/1 (+https://github.com/preset/nanobanana-functions)"
	maxRedirects = 5
)

// FetchOptions configure a Fetcher. A zero value means the default in brackets.
type FetchOptions struct {
	// Trusted lists the "host:port" entries that may use plain http and
	// private addresses: the stand-ins of the local run.
	Trusted []string

	MaxBytes       int64         // the longest body [MaxBytes]
	ConnectTimeout time.Duration // for each of DNS, one address, TLS [5 s]
	HeaderTimeout  time.Duration // from the request to the response headers [10 s]
	Timeout        time.Duration // for all of one Fetch [60 s]

	// A body must deliver FloorBytes [16 KiB] in every FloorWindow [10 s].
	FloorWindow time.Duration
	FloorBytes  int64

	// Lookup resolves a host name [net.DefaultResolver.LookupNetIP].
	Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	// Dial connects to an IP address that the guard allows, or to a Trusted
	// entry [net.Dialer.DialContext].
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// RootCAs are the trusted certificate authorities [the system's].
	RootCAs *x509.CertPool
}

// A Fetcher downloads pictures from untrusted links. Each hop must use https and a
// public address, and the download is limited in time and size. A Fetcher is safe
// for concurrent use.
type Fetcher struct {
	o       FetchOptions
	trusted map[string]bool
}

// NewFetcher returns a Fetcher.
func NewFetcher(o FetchOptions) *Fetcher {
	o.MaxBytes = cmp.Or(o.MaxBytes, MaxBytes)
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, 5*time.Second)
	o.HeaderTimeout = cmp.Or(o.HeaderTimeout, 10*time.Second)
	o.Timeout = cmp.Or(o.Timeout, time.Minute)
	o.FloorWindow = cmp.Or(o.FloorWindow, 10*time.Second)
	o.FloorBytes = cmp.Or(o.FloorBytes, 16<<10)
	if o.Lookup == nil {
		o.Lookup = net.DefaultResolver.LookupNetIP
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	f := &Fetcher{o: o, trusted: make(map[string]bool)}
	for _, hostPort := range o.Trusted {
		f.trusted[strings.ToLower(hostPort)] = true
	}
	return f
}

// Fetch writes the picture at rawURL to w and returns its length. It ignores
// Content-Type and Content-Encoding: the first bytes decide whether the body is a
// picture, or one compressed with gzip, which Fetch decompresses within the same
// limits. A file that begins as a picture may still be none; package picture finds
// out. Fetch uses https for an http link. After a failure w holds part of the
// picture, and the error is a *FetchError unless writing to w failed. Memory does
// not grow with the picture, and nothing runs on after Fetch has returned.
func (f *Fetcher) Fetch(ctx context.Context, rawURL string, w io.Writer) (int64, error) {
	ctx, stop := context.WithTimeoutCause(ctx, f.o.Timeout, errOverall)
	defer stop()
	n, err := f.follow(ctx, rawURL, w)
	// The link may have been escaped for a page once too often. It is first
	// tried as it is, since it may be signed.
	plain := unescape.Replace(rawURL)
	if err == nil || n > 0 || plain == rawURL || ctx.Err() != nil {
		return n, err
	}
	if n, again := f.follow(ctx, plain, w); again == nil || n > 0 {
		return n, again
	}
	return 0, err
}

// unescape replaces the ways in which HTML writes "&" in a link.
var unescape = strings.NewReplacer("&amp;", "&", "&#38;", "&", "&#x26;", "&")

// follow fetches one link and follows its redirects.
func (f *Fetcher) follow(ctx context.Context, rawURL string, w io.Writer) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	u, err := url.Parse(rawURL)
	if err != nil {
		return 0, &FetchError{Kind: KindRefused, Err: errLinkForm}
	}
	transport := f.transport(ctx)
	for range 1 + maxRedirects {
		f.upgrade(u)
		resp, err := f.get(ctx, transport, u)
		if err != nil {
			return 0, err
		}
		if !isRedirect(resp.StatusCode) {
			defer resp.Body.Close()
			return f.save(ctx, cancel, resp, w)
		}
		resp.Body.Close()
		// http.Client would pass the signed link on as Referer and quote it
		// in its errors.
		next, err := resp.Location()
		if err != nil {
			return 0, &FetchError{Kind: KindRefused, Host: u.Hostname(), Err: errRedirect}
		}
		u = next
	}
	return 0, &FetchError{Kind: KindRefused, Host: u.Hostname(), Err: errRedirects}
}

// upgrade turns an http link into an https one, unless it leads to a stand-in.
func (f *Fetcher) upgrade(u *url.URL) {
	if u.Scheme != "http" || f.trusted[outbound.Authority(u)] {
		return
	}
	u.Scheme = "https"
	if u.Port() == "80" {
		u.Host = strings.TrimSuffix(u.Host, ":80")
	}
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// transport returns a transport for one download, all its hops included. A shared
// transport would go on dialing after ctx has ended.
func (f *Fetcher) transport(ctx context.Context) *http.Transport {
	return &http.Transport{
		// Proxy stays nil: the guard would only see the proxy's address.
		DialContext: func(_ context.Context, network, address string) (net.Conn, error) {
			return f.dial(ctx, network, address)
		},
		TLSClientConfig:        &tls.Config{RootCAs: f.o.RootCAs},
		TLSHandshakeTimeout:    f.o.ConnectTimeout,
		ResponseHeaderTimeout:  f.o.HeaderTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
		DisableKeepAlives:      true,
	}
}

// get makes the request of one hop. The caller closes the response's body.
func (f *Fetcher) get(ctx context.Context, transport http.RoundTripper, u *url.URL) (*http.Response, error) {
	if err := f.check(u); err != nil {
		return nil, &FetchError{Kind: KindRefused, Host: u.Hostname(), Err: err}
	}
	req := (&http.Request{
		Method: http.MethodGet,
		URL:    u,
		Host:   u.Host,
		Header: http.Header{
			// The order keeps hosts that negotiate from sending a lossy copy.
			"Accept":          {"image/png, image/jpeg;q=0.9, image/webp;q=0.5, */*;q=0.1"},
			"Accept-Encoding": {"identity"},
			"User-Agent":      {userAgent},
		},
	}).WithContext(ctx)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, fetchError(ctx, KindUnreachable, u.Hostname(), err)
	}
	return resp, nil
}

// check returns why u must not be requested, or nil. It looks at u alone; dial
// checks the addresses of its host.
func (f *Fetcher) check(u *url.URL) error {
	if f.trusted[outbound.Authority(u)] && (u.Scheme == "http" || u.Scheme == "https") && u.User == nil {
		return nil
	}
	if err := checkAuthority(u); err != nil {
		return err
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil && public(addr) || outbound.PublicName(u.Hostname()) {
		return nil
	}
	return errLinkHost
}

// dial connects to address, a host and port that check has allowed. It looks the
// name up once and connects to the addresses that it checked, so that a DNS answer
// that changes in between has no effect.
func (f *Fetcher) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if f.trusted[strings.ToLower(address)] {
		return f.connect(ctx, network, address)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := f.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	err = errNotPublic
	for _, addr := range addrs {
		if !public(addr) {
			continue
		}
		var conn net.Conn
		conn, err = f.connect(ctx, network, net.JoinHostPort(addr.Unmap().String(), port))
		if err == nil {
			return conn, nil
		}
	}
	return nil, err
}

func (f *Fetcher) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, f.o.ConnectTimeout)
	defer cancel()
	return f.o.Lookup(ctx, "ip", host)
}

// connect dials address and closes the connection when ctx ends, which net/http
// does not do during the TLS handshake.
func (f *Fetcher) connect(ctx context.Context, network, address string) (net.Conn, error) {
	dialCtx, cancel := context.WithTimeout(ctx, f.o.ConnectTimeout)
	defer cancel()
	conn, err := f.o.Dial(dialCtx, network, address)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	return conn, nil
}
