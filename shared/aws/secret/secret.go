// Package secret reads the service's one secret from Secrets Manager.
package secret

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/preset/nanobanana-functions/shared/aws/env"
	"github.com/preset/nanobanana-functions/shared/config"
)

const requestTime = 3 * time.Second // of one try, of the 5 s that config gives a read

// Open gives the secret under arn, whose first read is on its way when Open
// returns: beside the rest of a cold start, not after it.
func Open(arn string) *config.Secrets {
	secrets := New(env.Config(requestTime), arn)
	go func() { _, _ = secrets.Current(context.Background()) }() // whoever needs it asks again, and has the error
	return secrets
}

// New gives the secret under arn that a client of this configuration reaches.
func New(c aws.Config, arn string) *config.Secrets {
	client := secretsmanager.NewFromConfig(c)
	read := func(ctx context.Context) ([]byte, error) {
		got, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
		if err != nil {
			return nil, err
		}
		return []byte(aws.ToString(got.SecretString)), nil
	}
	return config.NewSecrets(read, time.Now)
}
