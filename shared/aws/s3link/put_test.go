package s3link

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// signature returns the signature of a request of the example in AWS's
// documentation, by the steps described there, as S3 computes it.
func signature(canonicalRequest string) string {
	sum := sha256.Sum256([]byte(canonicalRequest))
	key := []byte("AWS4wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
	for _, message := range []string{
		"20130524", "us-east-1", "s3", "aws4_request",
		"AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n" + hex.EncodeToString(sum[:]),
	} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(message))
		key = mac.Sum(nil)
	}
	return hex.EncodeToString(key)
}

// canonical returns S3's canonical form of a PUT with this length and type, and the
// query of u.
func canonical(u *url.URL, length, contentType, ifNoneMatch string) string {
	q := u.Query()
	q.Del("X-Amz-Signature")
	return strings.Join([]string{
		"PUT", u.EscapedPath(), strings.ReplaceAll(q.Encode(), "+", "%20"),
		"content-length:" + length, "content-type:" + contentType, "host:" + u.Host, "if-none-match:" + ifNoneMatch, "",
		"content-length;content-type;host;if-none-match", "UNSIGNED-PAYLOAD",
	}, "\n")
}

// The documentation's example shows that the steps above are right.
func TestStepsOfTheSignature(t *testing.T) {
	got := signature(strings.Join([]string{
		"GET", "/test.txt",
		"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host",
		"host:examplebucket.s3.amazonaws.com", "", "host", "UNSIGNED-PAYLOAD",
	}, "\n"))
	if got != "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404" {
		t.Errorf("got %s", got)
	}
}

// Length, type and If-None-Match are signed: a request that differs has another
// signature, and S3 refuses it.
func TestPutIsSigned(t *testing.T) {
	link, header, err := links("us-east-1", nil).PutLink(t.Context(), "uploads/0/a.png", 1483022, 15*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	for name, want := range map[string]string{
		"X-Amz-Expires": "900", "X-Amz-SignedHeaders": "content-length;content-type;host;if-none-match",
		"X-Amz-Signature": signature(canonical(u, "1483022", "image/png", "*")),
	} {
		if got := q.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, other := range []string{
		canonical(u, "1483023", "image/png", "*"), canonical(u, "1483022", "text/html", "*"), canonical(u, "1483022", "image/png", ""),
	} {
		if signature(other) == q.Get("X-Amz-Signature") {
			t.Errorf("the signature is also that of\n%s", other)
		}
	}
	if got := slices.Sorted(maps.Keys(header)); !slices.Equal(got, []string{"Content-Type", "If-None-Match"}) || header.Get("Content-Type") != "image/png" || header.Get("If-None-Match") != "*" {
		t.Errorf("headers to send: %v", header)
	}
	if !strings.HasPrefix(link, "https://examplebucket.s3.us-east-1.amazonaws.com/uploads/0/a.png?") {
		t.Errorf("the link is %s", link)
	}
}

// A role's credentials are temporary: the link carries their token.
func TestPutWithARole(t *testing.T) {
	l := links("us-east-1", nil)
	l.credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "key", SecretAccessKey: "secret", SessionToken: "token"}, nil
	})
	link, _, err := l.PutLink(t.Context(), "uploads/0/a.png", 5, time.Minute)
	if err != nil || !strings.Contains(link, "X-Amz-Security-Token=token") {
		t.Errorf("%s, %v", link, err)
	}
}
