package media

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/preset/nanobanana-functions/shared/outbound"
)

// A Kind is the reason why a download failed, in one word.
type Kind string

// Kinds of failed downloads.
const (
	KindRefused     Kind = "refused"       // the guard forbids the link, a redirect or the address behind it
	KindUnreachable Kind = "unreachable"   // no response: DNS, connection, TLS, malformed HTTP
	KindStatus      Kind = "status"        // a response whose Status carries no complete picture
	KindTimeout     Kind = "timeout"       // too slow, or the caller's context ended
	KindTooBig      Kind = "too_big"       // longer than FetchOptions.MaxBytes
	KindNotPicture  Kind = "not_a_picture" // does not begin as PNG, JPEG or WebP, compressed or not
	KindCut         Kind = "cut_short"     // ended before the announced length
)

// A FetchError is the reason why a download failed. Its text names the host of the
// link and nothing else of it, since it may be signed.
type FetchError struct {
	Kind   Kind
	Host   string // of the last hop; empty if there is none
	Status int    // of the response, for KindStatus
	Err    error  // the cause; nil if its text could quote the link
}

// Error implements error.
func (e *FetchError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "media: fetch from %q: %s", e.Host, e.Kind)
	if e.Status != 0 {
		fmt.Fprintf(&b, " %d", e.Status)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *FetchError) Unwrap() error { return e.Err }

// Causes of a FetchError that are not errors of other packages.
var (
	errNotPublic = errors.New("not an address of the public Internet")
	errRedirect  = errors.New("a redirect without a valid target")
	errRedirects = errors.New("too many redirects")
	errOverall   = errors.New("the download took too long")
	errStalled   = errors.New("the download is too slow")
	errGzip      = errors.New("the gzip data is broken")
)

// fetchError returns the FetchError for err. ctx is the context of the download.
// kind applies unless ctx or err show a more precise one.
func fetchError(ctx context.Context, kind Kind, host string, err error) *FetchError {
	if cause := context.Cause(ctx); cause != nil {
		return &FetchError{Kind: KindTimeout, Host: host, Err: cause}
	}
	var timeout interface{ Timeout() bool }
	safe := outbound.Printable(err)
	switch {
	case errors.Is(err, errNotPublic):
		kind, safe = KindRefused, errNotPublic
	case errors.As(err, &timeout) && timeout.Timeout():
		kind = KindTimeout
	}
	return &FetchError{Kind: kind, Host: host, Err: safe}
}
