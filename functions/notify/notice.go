package notify

import (
	"context"
	"time"

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
