// Package secret reads the service's one secret from Secrets Manager.
package secret

import (
	"context"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/preset/nanobanana-functions/shared/aws/env"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

const requestTimeout = 3 * time.Second // of one try; config allows 5 s for the whole read

// Open returns the secret at arn. It reads nothing yet.
func Open(arn string, log *slog.Logger) *config.Secrets {
	return New(env.Config(requestTimeout), arn, log)
}

// New returns the secret at arn, read by a client of this configuration.
func New(c aws.Config, arn string, log *slog.Logger) *config.Secrets {
	client := secretsmanager.NewFromConfig(c)
	read := func(ctx context.Context) ([]byte, error) {
		got, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
		if err != nil {
			return nil, err
		}
		return []byte(aws.ToString(got.SecretString)), nil
	}
	return config.NewSecrets(read, outbound.WallClock, log)
}
