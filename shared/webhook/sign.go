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

// ErrKeys is the error of keys that are missing or faulty: it fails whatever
// is sent, until somebody sees to the secret.
var ErrKeys = errors.New("notifyKeys of the secret")

// LogLevel is how loud the error of a Send is: faulty keys are an error, a
// receiver that is away is a warning.
func LogLevel(err error) slog.Level {
	if errors.Is(err, ErrKeys) {
		return slog.LevelError
	}
	return slog.LevelWarn
}

// sign gives the value of webhook-signature: a signature by each key, so that
// the receiver may know the old one or the new one while one rolls.
func sign(keys token.Keys, id string, at time.Time, body []byte) (string, error) {
	if len(keys) == 0 {
		return "", fmt.Errorf("%w are missing: add a key", ErrKeys)
	}
	var signatures []string
	for i, k := range keys {
		raw, err := Key(string(k.Key))
		if err != nil {
			return "", fmt.Errorf("%w: number %d %w", ErrKeys, i+1, err)
		}
		w, err := standardwebhooks.NewWebhookRaw(raw)
		if err != nil {
			return "", fmt.Errorf("%w: number %d cannot sign", ErrKeys, i+1)
		}
		signature, err := w.Sign(id, at, body)
		if err != nil {
			return "", fmt.Errorf("%w: number %d cannot sign", ErrKeys, i+1)
		}
		signatures = append(signatures, signature)
	}
	return strings.Join(signatures, " "), nil
}

// minKey is the least number of bytes that the specification allows; its
// library would sign with none.
const minKey = 24

// Key reads a key as receivers' libraries do: base64, behind "whsec_" or not.
// The error quotes nothing of it.
func Key(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
	if err != nil || len(key) < minKey {
		return nil, fmt.Errorf("is not the base64 of at least %d random bytes, which is what receivers take: make one by openssl rand -base64 36", minKey)
	}
	return key, nil
}
