// Package env configures the AWS SDK from Lambda's own environment variables. The
// SDK's config package also searches everywhere else, which takes a quarter of a
// cold start.
package env

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

const (
	attempts   = 4 // of one request; its answer may have been lost
	maxBackoff = 500 * time.Millisecond
)

// Config returns the configuration of clients that give each request at most
// timeout. AWS_ENDPOINT_URL directs them to a stand-in.
func Config(timeout time.Duration) aws.Config {
	c := aws.Config{
		Region:      os.Getenv("AWS_REGION"),
		Credentials: aws.CredentialsProviderFunc(credentials),
		HTTPClient:  awshttp.NewBuildableClient().WithTimeout(timeout).WithTransportOptions(resume),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = attempts, maxBackoff })
		},
	}
	if endpoint := os.Getenv("AWS_ENDPOINT_URL"); endpoint != "" {
		c.BaseEndpoint = &endpoint
	}
	return c
}

// resume lets a client's further connections resume its TLS session; outbound.NewClient
// says why that is safe.
func resume(t *http.Transport) {
	t.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(0)
}

// credentials returns those of the function's role. Lambda sets them once for the
// life of the process.
func credentials(context.Context) (aws.Credentials, error) {
	c := aws.Credentials{
		AccessKeyID:     os.Getenv("AWS_ACCESS_KEY_ID"),
		SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
		SessionToken:    os.Getenv("AWS_SESSION_TOKEN"),
		Source:          "environment",
	}
	if !c.HasKeys() {
		return c, errors.New("env: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set")
	}
	return c, nil
}
