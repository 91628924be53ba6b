package auth_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth"
)

// Where no secret is configured, nobody's HS256 token is good: neither one made
// with the empty key, nor one made with some other key that stands for none.
func TestHS256WithoutASecret(t *testing.T) {
	c := newClock()
	mint := newMint(t, c)
	p := newProvider(t, mint)
	claims := string(must(json.Marshal(mint.Claims("mallory", time.Hour))))
	for name, key := range map[string]string{
		"the empty key": "", "a zero": "\x00", "a block of zeros": strings.Repeat("\x00", sha256.BlockSize),
		"null": "null", "a null of full length": strings.Repeat("null", 8), "32 spaces": strings.Repeat(" ", 32),
	} {
		unsigned := strings.TrimSuffix(raw(`{"alg":"HS256","typ":"JWT"}`, claims, ""), ".")
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(unsigned))
		token := unsigned + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
		for config, change := range map[string]func(*auth.Config){
			"not wired": func(*auth.Config) {},
			"empty":     func(c *auth.Config) { c.JWTSecret = func(context.Context) (string, error) { return "", nil } },
		} {
			t.Run(config+", tried with "+name, func(t *testing.T) {
				owner, err := newVerifier(t, p, c, change).Owner(t.Context(), request("Bearer "+token))
				check(t, owner, err, auth.ErrUnauthorized, token)
				// By ourselves: not because the library happens to refuse short keys.
				if config == "empty" && !strings.Contains(err.Error(), "without a secret") {
					t.Errorf("refused for another reason: %v", err)
				}
			})
		}
	}
}
