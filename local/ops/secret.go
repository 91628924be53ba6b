package ops

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// Secret is a stack's secret in Secrets Manager.
type Secret struct {
	client *secretsmanager.Client
	arn    string
}

func newSecret(c aws.Config, arn string) *Secret {
	return &Secret{client: secretsmanager.NewFromConfig(c), arn: arn}
}

// Read returns the secret's JSON and its version.
func (x *Secret) Read(ctx context.Context) (value []byte, version string, err error) {
	got, err := x.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &x.arn})
	if err != nil {
		return nil, "", fmt.Errorf("the secret cannot be read: %w", err)
	}
	return []byte(aws.ToString(got.SecretString)), aws.ToString(got.VersionId), nil
}
