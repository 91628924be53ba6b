package auth

import (
	"context"
	"net/http"

	"github.com/preset/nanobanana-functions/shared/config"
)

// FromSettings gives a Verifier by the settings. HS256 tokens are accepted
// where the secret holds what verifies them, and so are service tokens.
func FromSettings(c config.Settings, secrets *config.Secrets, client *http.Client) (*Verifier, error) {
	return New(Config{
		Issuer: c.AuthIssuer, Audience: c.AuthAudience, JWKSURL: c.AuthJWKSURL, HTTP: client,
		JWTSecret: func(ctx context.Context) (string, error) {
			secret, err := secrets.Current(ctx)
			return string(secret.JWTSecret), err
		},
		ServiceTokens: func(ctx context.Context) (config.ServiceTokens, error) {
			secret, err := secrets.Current(ctx)
			return secret.ServiceTokens, err
		},
	})
}
