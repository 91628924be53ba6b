package auth

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/task"
)

// onBehalfOf is the header in which one of our own servers names the owner. CORS
// keeps browsers from sending it from other origins' pages.
const onBehalfOf = "On-Behalf-Of"

// onBehalf returns the owner for whom a request with a service token asks.
func (v *Verifier) onBehalf(ctx context.Context, h http.Header, text string) (string, error) {
	secret, err := v.secret(ctx)
	switch {
	case err != nil:
		return "", err
	case !secret.ServiceTokens.Verify(text):
		return "", unauthorized("not one of our service tokens")
	case len(h.Values("Origin")) > 0:
		// Somebody put a token that may act for every user into a page, where
		// everybody can read it. This must fail from the first day.
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
