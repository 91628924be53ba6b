// Package auth tells the owner of a request from its bearer token: a JWT of the
// identity provider (Supabase), verified in process against its published keys; a
// personal token, which stands for one owner; or one of our own servers' tokens,
// with which the owner is named that it asks for.
package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/task"
)

// The kinds of refusal, each a [task.Error] that says so from outside. What Owner
// returns wraps one of them with the reason, for the log; it never holds anything
// of the token.
var (
	// ErrUnauthorized: there is no token, or not one to trust.
	ErrUnauthorized error = &task.Error{Code: task.CodeUnauthorized}
	// ErrForbidden: the token is genuine but is not a person's, was given to a
	// client of his, or is used for what its kind may not do.
	ErrForbidden error = &task.Error{Code: task.CodeForbidden}
	// ErrUnavailable: nobody can tell, since the keys to verify with could not be had.
	ErrUnavailable error = &task.Error{Code: task.CodeUnavailable, RetryAfter: 5 * time.Second}
)

const (
	maxToken = 8 << 10 // bytes; refused before anything is parsed
	leeway   = 30 * time.Second
)

// Config says whose tokens are accepted. Issuer, Audience, JWKSURL and HTTP are required.
type Config struct {
	Issuer   string
	Audience string
	JWKSURL  string

	// JWTSecret gives the secret of HS256 tokens. Nil, or an empty secret: they are refused.
	JWTSecret func(context.Context) (string, error)

	// ServiceTokens gives the tokens of our own servers. Nil: they are refused.
	ServiceTokens func(context.Context) (token.ServiceTokens, error)

	// PersonalTokens gives the tokens of which each is one user's. Nil: they are refused.
	PersonalTokens func(context.Context) (token.PersonalTokens, error)

	// AllowClients accepts tokens given to clients of the user's: to third-party
	// OAuth clients (claim client_id), such as Claude's, and personal ones. Only
	// /mcp does.
	AllowClients bool

	HTTP *http.Client     // fetches the JWKS; redirects are not followed
	Now  func() time.Time // nil: the wall clock
}

// A Verifier tells owners. It is safe for concurrent use.
type Verifier struct {
	config     Config
	algorithms []jose.SignatureAlgorithm
	keys       *keySet
	proven     proven
}

// New gives a Verifier. The error names every required field that is empty.
func New(c Config) (*Verifier, error) {
	var faults []error
	for _, field := range []struct {
		name  string
		empty bool
	}{{"Issuer", c.Issuer == ""}, {"Audience", c.Audience == ""}, {"JWKSURL", c.JWKSURL == ""}, {"HTTP", c.HTTP == nil}} {
		if field.empty { // an empty expectation would be no check at all
			faults = append(faults, fmt.Errorf("auth: Config.%s is empty", field.name))
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if c.Now == nil {
		// By the wall clock: the monotonic one stands still while Lambda freezes
		// the process, and a withdrawn key would be believed for days.
		c.Now = func() time.Time { return time.Now().Round(0) }
	}
	v := &Verifier{
		config:     c,
		algorithms: []jose.SignatureAlgorithm{jose.ES256, jose.RS256},
		keys:       newKeySet(c.JWKSURL, c.HTTP, c.Now),
	}
	if c.JWTSecret != nil {
		v.algorithms = append(v.algorithms, jose.HS256)
	}
	return v, nil
}

// claims are those of a Supabase token that we judge by.
type claims struct {
	jwt.Claims
	Role     string `json:"role"`
	ClientID any    `json:"client_id"`
}

// Owner gives the owner whose token the request bears: the token's sub, 1 to 128
// visible ASCII characters; the one whose personal token it is; or the one on whose
// behalf one of our own servers asks.
// Its errors wrap ErrUnauthorized, ErrForbidden or ErrUnavailable, or are a
// task.CodeInvalidRequest for a server that does not say whom it asks for.
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
		// Not passed over: who sends it believes to act for somebody else.
		return "", fmt.Errorf("%w: a person's token with %s", ErrForbidden, onBehalfOf)
	}
	return owner, nil
}

// person gives the person whose own token this is, a JWT or a personal one.
func (v *Verifier) person(ctx context.Context, text string) (string, error) {
	if strings.HasPrefix(text, token.PersonalPrefix) {
		return v.personal(ctx, text)
	}
	c, err := v.claims(ctx, text)
	if err != nil {
		return "", err
	}
	if err := v.judge(c); err != nil {
		return "", err
	}
	return c.Subject, nil
}

// claims gives what a token says, once its signature is seen to hold.
func (v *Verifier) claims(ctx context.Context, text string) (claims, error) {
	sum := sha256.Sum256([]byte(text))
	if p, ok := v.proven.get(sum); ok {
		if key, err := v.key(ctx, p.id); err == nil && reflect.DeepEqual(key, p.key) {
			return p.claims, nil
		}
	}
	// Errors of go-jose are not wrapped here: some quote the token's header.
	token, err := jwt.ParseSigned(text, v.algorithms)
	if err != nil {
		return claims{}, unauthorized("not a JWT signed by an accepted algorithm")
	}
	id := keyID{kid: token.Headers[0].KeyID, algorithm: token.Headers[0].Algorithm}
	key, err := v.key(ctx, id)
	if err != nil {
		return claims{}, err
	}
	var c claims
	if err := token.Claims(key, &c); errors.Is(err, jose.ErrCryptoFailure) {
		return claims{}, unauthorized("the signature does not verify")
	} else if err != nil {
		return claims{}, unauthorized("the claims cannot be read")
	}
	v.proven.put(sum, proof{id: id, key: key, claims: c})
	return c, nil
}

// bearer gives the one token of the one Authorization header.
func bearer(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return "", unauthorized("not exactly one Authorization header")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		return "", unauthorized("not a bearer token")
	case len(token) > maxToken:
		return "", unauthorized("the token is too long")
	}
	return token, nil
}

// key gives the key that verifies a token with this header. Only alg and kid are
// looked at, and kid only to find one of the issuer's own keys: jwk, jku, x5c and
// x5u are the sender's word.
func (v *Verifier) key(ctx context.Context, id keyID) (any, error) {
	if id.algorithm != string(jose.HS256) {
		return v.keys.key(ctx, id)
	}
	secret, err := v.config.JWTSecret(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: the HS256 secret: %w", ErrUnavailable, err)
	}
	if secret == "" {
		return nil, unauthorized("HS256 without a secret set")
	}
	return []byte(secret), nil
}

// judge tells whether claims whose signature holds are a person's, of our issuer
// and for us, now.
func (v *Verifier) judge(c claims) error {
	switch c.Role {
	case "authenticated":
	case "anon", "service_role":
		// Ahead of the rest: Supabase's API keys are such tokens, of issuer
		// "supabase", without audience or sub, and sending one is a common mistake.
		return fmt.Errorf("%w: role %s is not a person", ErrForbidden, c.Role)
	default:
		return unauthorized("the role is not authenticated")
	}
	if c.Expiry == nil {
		return unauthorized("no exp")
	}
	expected := jwt.Expected{Issuer: v.config.Issuer, AnyAudience: jwt.Audience{v.config.Audience}, Time: v.config.Now()}
	if err := c.ValidateWithLeeway(expected, leeway); err != nil {
		return fmt.Errorf("%w: %w", ErrUnauthorized, err)
	}
	if !token.IsOwner(c.Subject) {
		return unauthorized("sub is not 1 to 128 visible characters")
	}
	if c.ClientID != nil {
		return v.client("a third-party client")
	}
	return nil
}

// client tells whether a token may be used that was given to such a client of
// the user's.
func (v *Verifier) client(kind string) error {
	if !v.config.AllowClients {
		return fmt.Errorf("%w: the token was given to %s", ErrForbidden, kind)
	}
	return nil
}

func unauthorized(reason string) error { return fmt.Errorf("%w: %s", ErrUnauthorized, reason) }
