package auth

import (
	"context"
	"fmt"
)

// personal gives the owner whom a personal token stands for.
func (v *Verifier) personal(ctx context.Context, token string) (string, error) {
	if v.config.PersonalTokens == nil {
		return "", unauthorized("no personal tokens here")
	}
	tokens, err := v.config.PersonalTokens(ctx)
	if err != nil {
		return "", fmt.Errorf("%w: the personal tokens: %w", ErrUnavailable, err)
	}
	owner := tokens.Owner(token)
	if owner == "" {
		return "", unauthorized("not a personal token of ours")
	}
	if err := v.client("a program of the user's"); err != nil {
		return "", err
	}
	return owner, nil
}
