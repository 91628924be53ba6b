package env_test

import (
	"testing"
	"time"

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
