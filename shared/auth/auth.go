// Package auth determines the owner of a request from its bearer token: a JWT of
// the identity provider (Supabase), verified in process against its published
// keys; a personal token, which signs in one owner; or a service token, with
// which one of our own servers names the owner it acts for. See
// docs/decisions/tokens.md.
package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/outbound"
	"github.com/preset/nanobanana-functions/shared/task"
)

// The kinds of refusal, each a [task.Error] that the client sees. The errors of
// Owner wrap one of them with the reason, and never quote the token. People see the
// reason of a refusal that signing in again does not mend.
var (
	// ErrUnauthorized: there is no token, or no valid one.
	ErrUnauthorized error = &task.Error{Code: task.CodeUnauthorized}
	// ErrForbidden: the token is genuine but is not a person's, was given to one
	// of the user's clients, or may not be used in this way.
	ErrForbidden error = &task.Error{Code: task.CodeForbidden}
	// ErrUnavailable: the keys that verify the token could not be read.
	ErrUnavailable error = &task.Error{Code: task.CodeUnavailable, RetryAfter: 5 * time.Second}
)

const maxToken = 8 << 10 // bytes; checked before anything is parsed

// ErrTooLong is no ErrUnauthorized: the next token would be as long.
var ErrTooLong error = task.Malformed(task.Field{Code: "token_too_long", Message: "The sign-in token is longer than 8 KiB, which is the most that is accepted here. " +
	"Signing in again does not help: remove large values, such as pictures, from the account's metadata."})

// Config determines which tokens a Verifier accepts. Issuer, Audience, JWKSURL, HTTP and Log are required.
type Config struct {
	Issuer   string
	Audience string
	JWKSURL  string

	// Secret returns the secret, which verifies HS256, service and personal
	// tokens. If it is nil, they are refused.
	Secret func(context.Context) (config.Secret, error)

	// AllowClients accepts tokens given to the user's clients: to third-party
	// OAuth clients such as Claude (claim client_id), and personal tokens. Only
	// /mcp sets it.
	AllowClients bool

	// AllowAnonymous accepts sessions without an account (claim is_anonymous).
	AllowAnonymous bool

	HTTP *http.Client // fetches the JWKS; redirects are not followed
	Log  *slog.Logger
	Now  func() time.Time // nil: the wall clock
}

// A Verifier determines owners. It is safe for concurrent use.
type Verifier struct {
	config     Config
	algorithms []jose.SignatureAlgorithm
	keys       *keySet
	verified   claimsCache
}

// New returns a Verifier. The error names every required field that is empty.
func New(c Config) (*Verifier, error) {
	var faults []error
	for _, field := range []struct {
		name  string
		empty bool
	}{{"Issuer", c.Issuer == ""}, {"Audience", c.Audience == ""}, {"JWKSURL", c.JWKSURL == ""}, {"HTTP", c.HTTP == nil}, {"Log", c.Log == nil}} {
		if field.empty { // an empty expectation would check nothing
			faults = append(faults, fmt.Errorf("auth: Config.%s is empty", field.name))
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if c.Now == nil {
		c.Now = outbound.WallClock // by the monotonic clock, a withdrawn key would stay valid for days
	}
	v := &Verifier{
		config:     c,
		algorithms: []jose.SignatureAlgorithm{jose.ES256, jose.RS256},
		keys:       newKeySet(c),
	}
	if c.Secret != nil {
		v.algorithms = append(v.algorithms, jose.HS256)
	}
	return v, nil
}

// FromSettings returns the Verifier of every function but mcp: it refuses tokens
// given to the user's clients with ErrForbidden.
func FromSettings(c config.Settings, secrets *config.Secrets, client *http.Client, log *slog.Logger) (*Verifier, error) {
	return New(fromSettings(c, secrets, client, log))
}

// ForClients returns the Verifier of mcp: it also accepts tokens given to the
// user's clients.
func ForClients(c config.Settings, secrets *config.Secrets, client *http.Client, log *slog.Logger) (*Verifier, error) {
	clients := fromSettings(c, secrets, client, log)
	clients.AllowClients = true
	return New(clients)
}

func fromSettings(c config.Settings, secrets *config.Secrets, client *http.Client, log *slog.Logger) Config {
	return Config{Issuer: c.AuthIssuer, Audience: c.AuthAudience, JWKSURL: c.AuthJWKSURL, AllowAnonymous: c.AllowAnonymous, Secret: secrets.Current, HTTP: client, Log: log}
}

// Prepare fetches the issuer's keys before the first token needs them, and returns
// soon after ctx ends. If it fails, the first token fetches them.
func (v *Verifier) Prepare(ctx context.Context) error { return v.keys.prepare(ctx) }

// Owner returns the owner of a request, 1 to 128 visible ASCII characters: the
// JWT's sub, the personal token's owner, or the user for whom one of our own
// servers asks. Its errors wrap ErrUnauthorized, ErrForbidden or ErrUnavailable,
// or are a task.CodeInvalidRequest if a token is too long or a server does not name
// one user.
func (v *Verifier) Owner(ctx context.Context, r *http.Request) (string, error) {
	text, err := bearer(r.Header)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(text, token.ServicePrefix) {
		return v.onBehalf(ctx, r.Header, text)
	}
	owner, err := v.person(ctx, text)
	if err != nil {
		return "", err
	}
	if len(r.Header.Values(onBehalfOf)) > 0 {
		// Not ignored: the sender believes it acts for somebody else.
		return "", fmt.Errorf("%w: a person's token with %s", ErrForbidden, onBehalfOf)
	}
	return owner, nil
}

// bearer returns the one token of the one Authorization header.
func bearer(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return "", unauthorized("not exactly one Authorization header")
	}
	scheme, text, _ := strings.Cut(values[0], " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		return "", unauthorized("not a bearer token")
	case len(text) > maxToken:
		return "", ErrTooLong
	}
	return text, nil
}

// person returns the owner of a personal token or a JWT.
func (v *Verifier) person(ctx context.Context, text string) (string, error) {
	if strings.HasPrefix(text, token.PersonalPrefix) {
		return v.personal(ctx, text)
	}
	c, err := v.verify(ctx, text)
	if err != nil {
		return "", err
	}
	if err := v.checkClaims(c); err != nil {
		return "", err
	}
	return c.Subject, nil
}

// personal returns the owner of a personal token.
func (v *Verifier) personal(ctx context.Context, text string) (string, error) {
	secret, err := v.secret(ctx)
	if err != nil {
		return "", err
	}
	owner := secret.PersonalTokens.Owner(text)
	if owner == "" {
		return "", unauthorized("not one of our personal tokens")
	}
	if err := v.checkClient("one of the user's programs"); err != nil {
		return "", err
	}
	return owner, nil
}

// checkClient returns ErrForbidden unless tokens given to the user's clients,
// such as this one, are accepted.
func (v *Verifier) checkClient(client string) error {
	if !v.config.AllowClients {
		return fmt.Errorf("%w: the token was given to %s", ErrForbidden, client)
	}
	return nil
}

// secret returns the secret, the zero one if Config has none.
func (v *Verifier) secret(ctx context.Context) (config.Secret, error) {
	if v.config.Secret == nil {
		return config.Secret{}, nil
	}
	secret, err := v.config.Secret(ctx)
	if err != nil {
		return config.Secret{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return secret, nil
}

func unauthorized(reason string) error { return fmt.Errorf("%w: %s", ErrUnauthorized, reason) }

// forbidden returns an ErrForbidden with a reason that people see.
func forbidden(code, reason string) error {
	return &task.Error{Code: task.CodeForbidden, Fields: []task.Field{{Code: code, Message: reason}}, Err: ErrForbidden}
}
