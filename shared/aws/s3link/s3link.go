// Package s3link signs links to the pictures in an S3 bucket. It makes no request
// and does not use the S3 client, which would double a function's size.
package s3link

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/preset/nanobanana-functions/shared/aws/env"
	"github.com/preset/nanobanana-functions/shared/media"
)

// Linker is a media.Linker and a media.Uploader of one bucket.
type Linker struct {
	credentials aws.CredentialsProvider
	region      string
	base        string // of every link; ends with a slash
	signer      *v4.Signer
	now         func() time.Time
}

var (
	_ media.Linker   = (*Linker)(nil)
	_ media.Uploader = (*Linker)(nil)
)

// Open returns the Linker of a bucket in the function's own region.
func Open(bucket string) *Linker { return New(env.Config(0), bucket) }

// New returns the Linker of a bucket with this configuration.
func New(c aws.Config, bucket string) *Linker {
	base := "https://" + bucket + ".s3." + c.Region + "." + domain(c.Region) + "/"
	if c.BaseEndpoint != nil {
		base = strings.TrimRight(*c.BaseEndpoint, "/") + "/" + bucket + "/"
	}
	return &Linker{
		credentials: c.Credentials, region: c.Region, base: base, now: time.Now,
		signer: v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }), // as S3 does
	}
}

// domain returns the domain of a region.
func domain(region string) string {
	if strings.HasPrefix(region, "cn-") {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}

// Link implements media.Linker. A link expires with the credentials that signed it
// if they expire before ttl.
func (l *Linker) Link(ctx context.Context, key string, ttl time.Duration, o media.LinkOptions) (string, error) {
	query := url.Values{"X-Amz-Expires": {strconv.Itoa(int(ttl.Seconds()))}}
	if o.Download != "" {
		query.Set("response-content-disposition", mime.FormatMediaType("attachment", map[string]string{"filename": o.Download}))
	}
	if o.ContentType != "" {
		query.Set("response-content-type", o.ContentType)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, l.base+key+"?"+query.Encode(), nil)
	if err != nil {
		return "", fmt.Errorf("s3link: %w", err)
	}
	link, _, err := l.presign(ctx, request)
	return link, err
}

// PutLink implements media.Uploader. The signature covers the length, the type and
// If-None-Match: *, so S3 refuses a request that differs in one of them.
func (l *Linker) PutLink(ctx context.Context, key string, size int64, ttl time.Duration) (string, http.Header, error) {
	query := url.Values{"X-Amz-Expires": {strconv.Itoa(int(ttl.Seconds()))}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, l.base+key+"?"+query.Encode(), nil)
	if err != nil {
		return "", nil, fmt.Errorf("s3link: %w", err)
	}
	request.ContentLength = size // the signer includes it
	header := http.Header{"Content-Type": {media.ContentType(key)}, "If-None-Match": {"*"}}
	request.Header = header.Clone()
	link, signed, err := l.presign(ctx, request)
	if err != nil {
		return "", nil, err
	}
	for name := range header {
		if signed.Get(name) == "" {
			return "", nil, fmt.Errorf("s3link: %s is not signed", name)
		}
	}
	return link, header, nil
}

// presign signs a request, and returns the link and the headers that the signature covers.
func (l *Linker) presign(ctx context.Context, request *http.Request) (string, http.Header, error) {
	credentials, err := l.credentials.Retrieve(ctx)
	if err != nil {
		return "", nil, fmt.Errorf("s3link: %w", err)
	}
	link, signed, err := l.signer.PresignHTTP(ctx, credentials, request, "UNSIGNED-PAYLOAD", "s3", l.region, l.now())
	if err != nil {
		return "", nil, fmt.Errorf("s3link: %w", err)
	}
	return link, signed, nil
}
