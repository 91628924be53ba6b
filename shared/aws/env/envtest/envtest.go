// Package envtest connects tests to the stand-in of AWS at AWS_ENDPOINT_URL.
package envtest

import (
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/preset/nanobanana-functions/shared/aws/env"
)

// Config returns the configuration of clients of the stand-in. Without a stand-in
// it skips the test; with AWS_TESTS=required, as in CI, the test fails.
func Config(t testing.TB) aws.Config {
	t.Helper()
	switch {
	case os.Getenv("AWS_ENDPOINT_URL") != "":
		return env.Config(10 * time.Second)
	case os.Getenv("AWS_TESTS") == "required":
		t.Fatal("AWS_ENDPOINT_URL is not set: run make test-aws")
	}
	t.Skip("needs a stand-in of AWS: run make test-aws")
	return aws.Config{}
}
