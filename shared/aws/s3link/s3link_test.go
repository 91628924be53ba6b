package s3link

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/preset/nanobanana-functions/shared/media"
)

// links returns a Linker with the credentials and the time of the example in AWS's
// documentation, "Authenticating Requests: Using Query Parameters".
func links(region string, endpoint *string) *Linker {
	l := New(aws.Config{
		Region: region, BaseEndpoint: endpoint,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}, nil
		}),
	}, "examplebucket")
	l.now = func() time.Time { return time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC) }
	return l
}

func query(t *testing.T, l *Linker, key string, ttl time.Duration, o media.LinkOptions) (*url.URL, url.Values) {
	t.Helper()
	link, err := l.Link(t.Context(), key, ttl, o)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	return u, u.Query()
}

// The link is the example of AWS's documentation, including the signature.
func TestSignature(t *testing.T) {
	l := links("us-east-1", nil)
	l.base = "https://examplebucket.s3.amazonaws.com/"
	_, q := query(t, l, "test.txt", 24*time.Hour, media.LinkOptions{})
	for name, want := range map[string]string{
		"X-Amz-Algorithm":     "AWS4-HMAC-SHA256",
		"X-Amz-Credential":    "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request",
		"X-Amz-Date":          "20130524T000000Z",
		"X-Amz-Expires":       "86400",
		"X-Amz-SignedHeaders": "host",
		"X-Amz-Signature":     "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
	} {
		if got := q.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestWhereLinksLead(t *testing.T) {
	standIn := "http://127.0.0.1:5000/"
	for _, test := range []struct {
		region   string
		endpoint *string
		want     string
	}{
		{"eu-central-1", nil, "https://examplebucket.s3.eu-central-1.amazonaws.com/tasks/0/1-a.png?"},
		{"cn-north-1", nil, "https://examplebucket.s3.cn-north-1.amazonaws.com.cn/tasks/0/1-a.png?"},
		{"eu-central-1", &standIn, "http://127.0.0.1:5000/examplebucket/tasks/0/1-a.png?"},
	} {
		u, _ := query(t, links(test.region, test.endpoint), "tasks/0/1-a.png", time.Minute, media.LinkOptions{})
		if !strings.HasPrefix(u.String(), test.want) {
			t.Errorf("%s leads to %s", test.region, u)
		}
	}
}

func TestDownloadIsSigned(t *testing.T) {
	_, shown := query(t, links("us-east-1", nil), "tasks/0/1-a.png", time.Minute, media.LinkOptions{})
	_, saved := query(t, links("us-east-1", nil), "tasks/0/1-a.png", time.Minute, media.LinkOptions{Download: "preset.png"})
	if got := saved.Get("response-content-disposition"); got != "attachment; filename=preset.png" {
		t.Errorf("disposition is %q", got)
	}
	if shown.Has("response-content-disposition") || shown.Get("X-Amz-Signature") == saved.Get("X-Amz-Signature") {
		t.Error("the signature does not cover the name")
	}
}

// The response has the type that the link names, and the signature covers it.
func TestContentTypeIsSigned(t *testing.T) {
	_, plain := query(t, links("us-east-1", nil), "uploads/0/a.png", time.Minute, media.LinkOptions{})
	_, typed := query(t, links("us-east-1", nil), "uploads/0/a.png", time.Minute, media.LinkOptions{ContentType: "image/jpeg"})
	if got := typed.Get("response-content-type"); got != "image/jpeg" {
		t.Errorf("the type is %q", got)
	}
	if plain.Has("response-content-type") || plain.Get("X-Amz-Signature") == typed.Get("X-Amz-Signature") {
		t.Error("the signature does not cover the type")
	}
}
