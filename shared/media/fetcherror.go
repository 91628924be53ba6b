package media

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/preset/nanobanana-functions/shared/outbound"
)

// A Kind says in one word why a download failed.
type Kind string

// Kinds of failed downloads.
const (
	KindRefused     Kind = "refused"       // the guard forbids the link, a redirect or the address behind it
	KindUnreachable Kind = "unreachable"   // no answer: DNS, connection, TLS, malformed HTTP
	KindStatus      Kind = "status"        // answered with a Status that carries no whole picture
	KindTimeout     Kind = "timeout"       // too slow, or the caller's context ended
	KindTooBig      Kind = "too_big"       // longer than FetchOptions.MaxBytes
	KindNotPicture  Kind = "not_a_picture" // does not begin as PNG, JPEG or WebP, compressed or not
	KindCut         Kind = "cut_short"     // ended before its announced end
)

// A FetchError says why a download failed. Its text names the host but
// nothing else of the link, which may be signed.
type FetchError struct {
	Kind   Kind
	Host   string // of the last hop; empty where there is none
	Status int    // of the answer, for KindStatus
	Err    error  // the cause, where its text cannot quote the link; or nil
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

// Causes of a FetchError that do not come from elsewhere.
var (
	errNotPublic = errors.New("not an address of the public Internet")
	errRedirect  = errors.New("a redirect to nowhere")
	errRedirects = errors.New("too many redirects")
	errOverall   = errors.New("the download took too long")
	errStalled   = errors.New("the download is too slow")
	errGzip      = errors.New("the gzip data are broken")
)

// fetchError makes the FetchError for err, which came up while ctx was that
// of the download. kind is for an err that does not know better.
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
