// Package envtest gives tests the stand-in of AWS at AWS_ENDPOINT_URL.
package envtest

import (
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/preset/nanobanana-functions/shared/aws/env"
)

// Config is the configuration of clients of the stand-in. Where there is none
// the test is skipped; with AWS_TESTS=required, as in CI, it fails.
func Config(t testing.TB) aws.Config {
	t.Helper()
	switch {
	case os.Getenv("AWS_ENDPOINT_URL") != "":
		return env.Config(10 * time.Second)
	case os.Getenv("AWS_TESTS") == "required":
		t.Fatal("AWS_ENDPOINT_URL is not set: run this by make test-aws")
	}
	t.Skip("needs a stand-in of AWS, which make test-aws starts")
	return aws.Config{}
}
