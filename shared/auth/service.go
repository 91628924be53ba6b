package auth

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/task"
)

// onBehalfOf is the header in which one of our own servers names the owner.
// Browsers cannot send it from another origin's page: CORS does not allow it.
const onBehalfOf = "On-Behalf-Of"

// onBehalf gives the owner for whom a request asks that bears a service token.
func (v *Verifier) onBehalf(ctx context.Context, h http.Header, bearer string) (string, error) {
	if v.config.ServiceTokens == nil {
		return "", unauthorized("no service tokens here")
	}
	tokens, err := v.config.ServiceTokens(ctx)
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: the service tokens: %w", ErrUnavailable, err)
	case !tokens.Verify(bearer):
		return "", unauthorized("not a service token of ours")
	case len(h.Values("Origin")) > 0:
		// A token that may act for everybody has been given to a page, where
		// everybody can read it. That is to fail on its first day.
		return "", fmt.Errorf("%w: a service token in a browser", ErrForbidden)
	}
	// Without a comma: the gateway joins two headers with one.
	if owners := h.Values(onBehalfOf); len(owners) == 1 && token.IsOwner(owners[0]) && !strings.Contains(owners[0], ",") {
		return owners[0], nil
	}
	return "", task.Malformed(task.Field{
		Code:    "invalid_on_behalf_of",
		Message: "A service token needs one On-Behalf-Of header with the user's id: 1 to 128 visible ASCII characters, without a comma.",
	})
}
