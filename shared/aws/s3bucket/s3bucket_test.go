package s3bucket_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/preset/nanobanana-functions/shared/aws/env/envtest"
	"github.com/preset/nanobanana-functions/shared/aws/s3bucket"
	"github.com/preset/nanobanana-functions/shared/aws/s3link"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/media/mediatest"
)

func newBucket(t *testing.T, c aws.Config) string {
	t.Helper()
	name := "pictures-" + strings.ToLower(rand.Text())
	client := s3.NewFromConfig(c, func(o *s3.Options) { o.UsePathStyle = true })
	_, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{
		Bucket:                    &name,
		CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(c.Region)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestBucket(t *testing.T) {
	c := envtest.Config(t)
	name := newBucket(t, c)
	links := s3link.New(c, name)
	subject := mediatest.Subject{Bucket: s3bucket.New(c, name), Linker: links, Uploader: links, Client: &http.Client{}}
	mediatest.TestBucket(t, subject)
	mediatest.TestUploads(t, subject)
}

// slow answers the first requests with S3's 503 after reading them to the end.
type slow struct{ requests, refusals atomic.Int32 }

func (s *slow) Do(r *http.Request) (*http.Response, error) {
	if s.requests.Add(1) > s.refusals.Load() {
		return http.DefaultTransport.RoundTrip(r)
	}
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	const body = `<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>`
	return &http.Response{StatusCode: 503, Header: http.Header{"Content-Type": {"application/xml"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// When S3 asks to slow down, the request is repeated from the start of the body, at
// most three times.
func TestSlowDown(t *testing.T) {
	c := envtest.Config(t)
	name := newBucket(t, c)
	wire := &slow{}
	c.HTTPClient = wire
	b := s3bucket.New(c, name)
	body := strings.Repeat("picture ", 10_000)
	sum := sha256.Sum256([]byte(body))
	put := func() error {
		return b.Put(t.Context(), media.Key("slow", 1, sum, "png"), strings.NewReader(body), int64(len(body)), "image/png", sum)
	}
	wire.refusals.Store(2)
	if err := put(); err != nil || wire.requests.Load() != 3 {
		t.Errorf("twice: %v after %d requests", err, wire.requests.Load())
	}
	wire.requests.Store(0)
	if err := b.Erase(t.Context(), media.Prefix("slow")); err != nil {
		t.Errorf("twice: erase: %v", err)
	}
	wire.requests.Store(0)
	wire.refusals.Store(1000)
	if err := put(); err == nil || wire.requests.Load() > 4 {
		t.Errorf("always: %v after %d requests, want an error after 4", err, wire.requests.Load())
	}
}

// sent records the header of the last request.
type sent struct{ header http.Header }

func (s *sent) Do(r *http.Request) (*http.Response, error) {
	s.header = r.Header.Clone()
	return http.DefaultTransport.RoundTrip(r)
}

// Every object is sent with its type, its caching and its digest: once as the
// checksum that S3 stores, and once as the payload hash of the signature.
func TestHeaders(t *testing.T) {
	c := envtest.Config(t)
	name := newBucket(t, c)
	wire := &sent{}
	c.HTTPClient = wire
	sum := sha256.Sum256([]byte("picture"))
	key := media.Key("headers", 1, sum, "webp")
	if err := s3bucket.New(c, name).Put(t.Context(), key, strings.NewReader("picture"), 7, "image/webp", sum); err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string]string{
		"Content-Type": "image/webp", "Cache-Control": media.CacheControl,
		"X-Amz-Checksum-Sha256": base64.StdEncoding.EncodeToString(sum[:]), "X-Amz-Content-Sha256": hex.EncodeToString(sum[:]),
	} {
		if got := wire.header.Get(header); got != want {
			t.Errorf("%s is %q, want %q", header, got, want)
		}
	}
}

// small makes S3's pages of versions so small that there are several.
type small struct{ lists atomic.Int32 }

func (s *small) Do(r *http.Request) (*http.Response, error) {
	if q := r.URL.Query(); q.Has("versions") {
		s.lists.Add(1)
		q.Set("max-keys", "3")
		r.URL.RawQuery = q.Encode()
	}
	return http.DefaultTransport.RoundTrip(r)
}

// Erase leaves no version and no mark of a deleted object under its prefix, and all of
// them elsewhere, whether the bucket keeps versions, has none, or has stopped keeping them.
func TestEraseOfVersions(t *testing.T) {
	for _, status := range []types.BucketVersioningStatus{"", types.BucketVersioningStatusEnabled, types.BucketVersioningStatusSuspended} {
		t.Run("versions "+string(status), func(t *testing.T) {
			c := envtest.Config(t)
			name := newBucket(t, c)
			client := s3.NewFromConfig(c, func(o *s3.Options) { o.UsePathStyle = true })
			version := func(status types.BucketVersioningStatus) {
				t.Helper()
				_, err := client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
					Bucket: &name, VersioningConfiguration: &types.VersioningConfiguration{Status: status},
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			versions := func() (all []string) {
				t.Helper()
				got, err := client.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: &name})
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range got.Versions {
					all = append(all, *v.Key)
				}
				for _, m := range got.DeleteMarkers {
					all = append(all, "deleted "+*m.Key)
				}
				return all
			}
			b := s3bucket.New(c, name)
			put := func(key string) {
				t.Helper()
				if err := b.Put(t.Context(), key, strings.NewReader("picture"), 7, "image/png", sha256.Sum256([]byte("picture"))); err != nil {
					t.Fatal(err)
				}
			}
			remove := func(key string) {
				t.Helper()
				if _, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &name, Key: &key}); err != nil {
					t.Fatal(err)
				}
			}
			fill := func() {
				for n := range 4 {
					key := media.Key("gone", n+1, [32]byte{}, "png")
					put(key)
					put(key)
					if n%2 == 0 {
						remove(key)
					}
				}
			}
			if status != "" {
				version(types.BucketVersioningStatusEnabled)
				fill()
				version(status)
			}
			fill()
			put(media.Key("kept", 1, [32]byte{}, "png"))
			before := len(versions())
			wire := &small{}
			c.HTTPClient = wire
			if err := s3bucket.New(c, name).Erase(t.Context(), media.Prefix("gone")); err != nil {
				t.Fatal(err)
			}
			if left := versions(); len(left) != 1 || left[0] != media.Key("kept", 1, [32]byte{}, "png") {
				t.Errorf("of %d versions are left: %q", before, left)
			}
			if n := int(wire.lists.Load()); status != "" && n < before/3 {
				t.Errorf("%d pages for %d versions: the test has no second page", n, before)
			}
		})
	}
}
