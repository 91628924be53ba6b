package env_test

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/preset/nanobanana-functions/shared/aws/env"
)

func TestConfig(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token", "AWS_ENDPOINT_URL": "",
	} {
		t.Setenv(name, value)
	}
	c := env.Config(time.Second)
	got, err := c.Credentials.Retrieve(t.Context())
	if err != nil || got.AccessKeyID != "id" || got.SecretAccessKey != "secret" || got.SessionToken != "token" {
		t.Errorf("credentials: %v", err)
	}
	if c.Region != "eu-central-1" || c.BaseEndpoint != nil || c.Retryer().MaxAttempts() != 4 {
		t.Errorf("region %q, endpoint %v, %d attempts", c.Region, c.BaseEndpoint, c.Retryer().MaxAttempts())
	}
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	if c := env.Config(time.Second); c.BaseEndpoint == nil || *c.BaseEndpoint != "http://127.0.0.1:1" {
		t.Error("AWS_ENDPOINT_URL is ignored")
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	if _, err := c.Credentials.Retrieve(t.Context()); err == nil {
		t.Error("credentials without a key")
	}
}

// The SDK's clients copy the HTTP client before they use it.
func TestConnectionsResumeTheSession(t *testing.T) {
	var full, resumed int
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.TLS.DidResume {
			resumed++
		} else {
			full++
		}
	}))
	server.Config.SetKeepAlivesEnabled(false)
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	client := env.Config(time.Minute).HTTPClient.(*awshttp.BuildableClient).WithTransportOptions(func(tr *http.Transport) {
		tr.TLSClientConfig.RootCAs = roots
	})
	for range 5 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	if full != 1 || resumed != 4 {
		t.Errorf("%d full handshakes and %d resumed, want 1 and 4", full, resumed)
	}
}
