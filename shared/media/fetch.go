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

// FetchOptions are the knobs of a Fetcher. Every zero value means the default
// given in brackets.
type FetchOptions struct {
	// Trusted are "host:port" entries that may be reached by plain http
	// and at private addresses: stand-ins of the local run.
	Trusted []string

	MaxBytes       int64         // longest body [MaxBytes]
	ConnectTimeout time.Duration // for each: DNS, one address, TLS [5 s]
	HeaderTimeout  time.Duration // from the request to the answer's headers [10 s]
	Timeout        time.Duration // for all of one Fetch [60 s]

	// A body has to bring FloorBytes [16 KiB] in every FloorWindow [10 s].
	FloorWindow time.Duration
	FloorBytes  int64

	// Lookup resolves a host name [net.DefaultResolver.LookupNetIP].
	Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	// Dial connects to an address that has passed the guard, never to a
	// name unless it is Trusted [net.Dialer.DialContext].
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// RootCAs are the certificate authorities believed [the system's].
	RootCAs *x509.CertPool
}

// A Fetcher downloads pictures from links that come from outside: over https,
// from public addresses only, on every hop, within bounds of time and size.
// It may be used by several goroutines at once.
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

// Fetch writes the picture behind rawURL to w and returns its length. What
// begins as a picture may still be none: see package picture. Neither
// Content-Type nor Content-Encoding is believed: the first bytes decide whether
// the body is a picture, or one compressed by gzip, which is decompressed
// within the same limits. An http link is fetched over https. On failure w
// holds part of the picture, and the error is a *FetchError unless writing to w
// failed. Memory does not grow with the picture, and nothing goes on after
// Fetch has returned.
func (f *Fetcher) Fetch(ctx context.Context, rawURL string, w io.Writer) (int64, error) {
	ctx, stop := context.WithTimeoutCause(ctx, f.o.Timeout, errOverall)
	defer stop()
	n, err := f.follow(ctx, rawURL, w)
	// A link that was escaped for a page once too often: it is tried as it
	// stands first, since it may be signed.
	plain := unescape.Replace(rawURL)
	if err == nil || n > 0 || plain == rawURL || ctx.Err() != nil {
		return n, err
	}
	if n, again := f.follow(ctx, plain, w); again == nil || n > 0 {
		return n, again
	}
	return 0, err
}

// unescape undoes the ways in which pages write "&" in a link.
var unescape = strings.NewReplacer("&amp;", "&", "&#38;", "&", "&#x26;", "&")

// follow fetches one link, along its redirects.
func (f *Fetcher) follow(ctx context.Context, rawURL string, w io.Writer) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	u, err := url.Parse(rawURL)
	if err != nil {
		return 0, &FetchError{Kind: KindRefused, Err: errLinkForm}
	}
	transport := f.transport(ctx)
	for range 1 + maxRedirects {
		f.secure(u)
		resp, err := f.get(ctx, transport, u)
		if err != nil {
			return 0, err
		}
		if !redirects(resp.StatusCode) {
			defer resp.Body.Close()
			return f.save(ctx, cancel, resp, w)
		}
		resp.Body.Close()
		// By hand, because http.Client would send the signed link on as
		// Referer and quote it in its errors.
		next, err := resp.Location()
		if err != nil {
			return 0, &FetchError{Kind: KindRefused, Host: u.Hostname(), Err: errRedirect}
		}
		u = next
	}
	return 0, &FetchError{Kind: KindRefused, Host: u.Hostname(), Err: errRedirects}
}

// secure makes an http link an https one, unless it leads to a stand-in.
func (f *Fetcher) secure(u *url.URL) {
	if u.Scheme != "http" || f.trusted[outbound.Authority(u)] {
		return
	}
	u.Scheme = "https"
	if u.Port() == "80" {
		u.Host = strings.TrimSuffix(u.Host, ":80")
	}
}

func redirects(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// transport returns a transport for the hops of one download. One that
// lasted would dial on after ctx has ended.
func (f *Fetcher) transport(ctx context.Context) *http.Transport {
	return &http.Transport{
		// Proxy stays nil: behind one the guard would see its address only.
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

// get makes one hop. Its answer's body is the caller's to close.
func (f *Fetcher) get(ctx context.Context, transport http.RoundTripper, u *url.URL) (*http.Response, error) {
	if err := f.check(u); err != nil {
		return nil, &FetchError{Kind: KindRefused, Host: u.Hostname(), Err: err}
	}
	req := (&http.Request{
		Method: http.MethodGet,
		URL:    u,
		Host:   u.Host,
		Header: http.Header{
			// A host that picks a form by it does not pick a lossy copy.
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

// check says why u may not be asked for, as far as u itself tells; dial
// judges the address behind its name.
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

// dial connects to address, a host and port that check has passed. The name
// is looked up once, and what is connected to are the very addresses that
// were judged: an answer that changes between two questions gains nothing.
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

// connect dials address. The connection does not outlive ctx, which no part
// of net/http sees to during the TLS handshake.
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
