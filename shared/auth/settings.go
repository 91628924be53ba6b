package auth

import (
	"context"
	"net/http"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/config"
)

// FromSettings gives a Verifier by the settings. HS256 tokens are accepted
// where the secret holds what verifies them, and so are service tokens. Tokens
// given to clients of the user's are known, and forbidden.
func FromSettings(c config.Settings, secrets *config.Secrets, client *http.Client) (*Verifier, error) {
	return New(fromSettings(c, secrets, client))
}

// ForClients gives the Verifier of /mcp alone: as FromSettings does, but tokens
// given to clients of the user's are accepted.
func ForClients(c config.Settings, secrets *config.Secrets, client *http.Client) (*Verifier, error) {
	clients := fromSettings(c, secrets, client)
	clients.AllowClients = true
	return New(clients)
}

func fromSettings(c config.Settings, secrets *config.Secrets, client *http.Client) Config {
	return Config{
		Issuer: c.AuthIssuer, Audience: c.AuthAudience, JWKSURL: c.AuthJWKSURL, HTTP: client,
		JWTSecret: func(ctx context.Context) (string, error) {
			secret, err := secrets.Current(ctx)
			return string(secret.JWTSecret), err
		},
		ServiceTokens: func(ctx context.Context) (token.ServiceTokens, error) {
			secret, err := secrets.Current(ctx)
			return secret.ServiceTokens, err
		},
		PersonalTokens: func(ctx context.Context) (token.PersonalTokens, error) {
			secret, err := secrets.Current(ctx)
			return secret.PersonalTokens, err
		},
	}
}
