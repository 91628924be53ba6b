package notify

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

// Notice is what Preset is told.
type Notice struct {
	Type      string    `json:"type"`      // "task.succeeded" or "task.failed"
	Timestamp time.Time `json:"timestamp"` // when the task ended
	Data      Data      `json:"data"`
}

// Data is the task that has ended, and whose it is. One that was deleted
// before it was told is empty but for its end.
type Data struct {
	Owner   string `json:"owner"`
	Deleted bool   `json:"deleted,omitzero"`
	httpapi.Task
}

func notice(ctx context.Context, view httpapi.View, t *task.Task) ([]byte, error) {
	shown, err := view.Task(ctx, t)
	if err != nil {
		return nil, err
	}
	return httpapi.Encode(Notice{
		Type: "task." + string(t.Status), Timestamp: t.EndedAt,
		Data: Data{Owner: t.Owner, Deleted: t.Deleted(), Task: shown},
	})
}

// messageID is the one name of what there is to tell of a task. It has no dot:
// what is signed has dots between its parts.
func messageID(t *task.Task) string { return t.ID + "-" + string(t.Status) }

var errKeys = errors.New("notifyKeys of the secret")

// sign gives the value of webhook-signature: a signature by each key, so that
// the receiver may know the old one or the new one while one rolls.
func sign(keys config.Keys, id string, at time.Time, body []byte) (string, error) {
	if len(keys) == 0 {
		return "", fmt.Errorf("%w are missing: add a key", errKeys)
	}
	var signatures []string
	for i, k := range keys {
		raw, err := Key(string(k.Key))
		if err != nil {
			return "", fmt.Errorf("%w: number %d %w", errKeys, i+1, err)
		}
		w, err := standardwebhooks.NewWebhookRaw(raw)
		if err != nil {
			return "", fmt.Errorf("%w: number %d cannot sign", errKeys, i+1)
		}
		signature, err := w.Sign(id, at, body)
		if err != nil {
			return "", fmt.Errorf("%w: number %d cannot sign", errKeys, i+1)
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
