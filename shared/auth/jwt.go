package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/preset/nanobanana-functions/shared/auth/token"
)

const leeway = 30 * time.Second // for clocks that differ

// claims are the claims of a Supabase token that we check.
type claims struct {
	jwt.Claims
	Role      string `json:"role"`
	Anonymous bool   `json:"is_anonymous"`
	ClientID  any    `json:"client_id"`
}

// verify returns the claims of a JWT whose signature is valid.
func (v *Verifier) verify(ctx context.Context, text string) (claims, error) {
	sum := sha256.Sum256([]byte(text))
	if e, ok := v.verified.get(sum); ok {
		if key, err := v.key(ctx, e.id); err == nil && reflect.DeepEqual(key, e.key) {
			return e.claims, nil
		}
	}
	// Errors of go-jose are not wrapped here: some quote the token's header.
	parsed, err := jwt.ParseSigned(text, v.algorithms)
	if err != nil {
		return claims{}, unauthorized("not a JWT signed by an accepted algorithm")
	}
	id := keyID{kid: parsed.Headers[0].KeyID, algorithm: parsed.Headers[0].Algorithm}
	key, err := v.key(ctx, id)
	if err != nil {
		return claims{}, err
	}
	var c claims
	if err := parsed.Claims(key, &c); errors.Is(err, jose.ErrCryptoFailure) {
		return claims{}, unauthorized("the signature does not verify")
	} else if err != nil {
		return claims{}, unauthorized("the claims cannot be read")
	}
	v.verified.put(sum, verifiedClaims{id: id, key: key, claims: c})
	return c, nil
}

// key returns the key that verifies a token with this header. It uses only alg
// and kid, and kid only to choose among the issuer's own keys: the sender
// controls jwk, jku, x5c and x5u.
func (v *Verifier) key(ctx context.Context, id keyID) (any, error) {
	if id.algorithm != string(jose.HS256) {
		return v.keys.key(ctx, id)
	}
	secret, err := v.secret(ctx)
	if err != nil {
		return nil, err
	}
	if secret.JWTSecret == "" {
		return nil, unauthorized("HS256 without a secret set")
	}
	return []byte(secret.JWTSecret), nil
}

// checkClaims checks that verified claims are a person's, from our issuer, for
// our audience, and valid now.
func (v *Verifier) checkClaims(c claims) error {
	switch c.Role {
	case "authenticated":
	case "":
		return unauthorized("no role")
	default:
		// Checked first: sending one of Supabase's API keys is a common mistake.
		// They are JWTs of issuer "supabase", without audience or sub. Signing in
		// again mends no role, so this is no 401.
		return forbidden("role", "This token is not a signed-in person's. Send the access token of a user's session.")
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
	if c.Anonymous && !v.config.AllowAnonymous {
		return forbidden("anonymous", "This session has no account. Sign up or sign in first.")
	}
	if c.ClientID != nil {
		return v.checkClient("a third-party client")
	}
	return nil
}
