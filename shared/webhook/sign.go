package webhook

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/preset/nanobanana-functions/shared/auth/token"
)

// ErrKeys means that the signing keys are missing or faulty. Every Send fails with it
// until the secret is corrected.
var ErrKeys = errors.New("notifyKeys of the secret")

// LogLevel returns the level at which to log an error of Send: Error for faulty keys,
// Warn for a receiver that does not accept the notice.
func LogLevel(err error) slog.Level {
	if errors.Is(err, ErrKeys) {
		return slog.LevelError
	}
	return slog.LevelWarn
}

// sign returns the value of the header webhook-signature: one signature per key, so
// that the receiver can use the old or the new key while a key is being replaced.
func sign(keys token.Keys, id string, at time.Time, body []byte) (string, error) {
	if len(keys) == 0 {
		return "", fmt.Errorf("%w are missing: add a key", ErrKeys)
	}
	var signatures []string
	for i, k := range keys {
		raw, err := ParseKey(string(k.Key))
		if err != nil {
			return "", fmt.Errorf("%w: number %d %w", ErrKeys, i+1, err)
		}
		var signature string
		w, err := standardwebhooks.NewWebhookRaw(raw)
		if err == nil {
			signature, err = w.Sign(id, at, body)
		}
		if err != nil {
			return "", fmt.Errorf("%w: number %d cannot sign", ErrKeys, i+1)
		}
		signatures = append(signatures, signature)
	}
	return strings.Join(signatures, " "), nil
}

// minKey is the length in bytes of the shortest key that the specification allows. Its
// library would sign with an empty key.
const minKey = 24

// ParseKey decodes a key as receivers' libraries do: base64, with or without the prefix
// "whsec_". The error does not quote the key.
func ParseKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
	if err != nil || len(key) < minKey {
		return nil, fmt.Errorf("is not the base64 of at least %d random bytes, which receivers require: make one with openssl rand -base64 36", minKey)
	}
	return key, nil
}
