package notify

import (
	"context"
	"time"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

// Notice is the body of a notice.
type Notice struct {
	Type      string    `json:"type"`      // "task.succeeded" or "task.failed"
	Timestamp time.Time `json:"timestamp"` // when the task ended
	Data      Data      `json:"data"`
}

// Data is the ended task and its owner. Of a task that was deleted before the
// notice was sent, only how it ended is left.
type Data struct {
	Owner   string `json:"owner"`
	Deleted bool   `json:"deleted,omitzero"`
	httpapi.Task
}

func encodeNotice(ctx context.Context, view httpapi.View, t *task.Task) ([]byte, error) {
	shown, err := view.Task(ctx, t)
	if err != nil {
		return nil, err
	}
	shown.Inputs = nil // only their owner sees what was uploaded
	return httpapi.Encode(Notice{
		Type: "task." + string(t.Status), Timestamp: t.EndedAt,
		Data: Data{Owner: t.Owner, Deleted: t.Deleted(), Task: shown},
	})
}

// messageID returns the webhook-id of a task's notice, always the same. It has no
// dot, because dots separate the parts of what is signed.
func messageID(t *task.Task) string { return t.ID + "-" + string(t.Status) }
