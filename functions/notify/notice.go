package notify

import (
	"context"
	"strconv"
	"time"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

// Notice is the body of a notice.
type Notice struct {
	Type      string    `json:"type"`      // "task." and a task.NoticeKind
	Timestamp time.Time `json:"timestamp"` // when that happened
	Data      Data      `json:"data"`
}

// Data is the whole task at that version and its owner, so that a receiver needs no
// earlier notice. Of a deleted task, only how it ended and where it was are left.
type Data struct {
	Owner          string       `json:"owner,omitempty"` // empty: a deleted task's that was given up once
	Version        int          `json:"version"`         // the higher one holds
	Deleted        bool         `json:"deleted,omitzero"`
	PreviousTarget *task.Target `json:"previousTarget,omitempty"` // of a moved task that had one
	httpapi.Task
}

func encodeNotice(ctx context.Context, view httpapi.View, t *task.Task) ([]byte, error) {
	shown, err := view.Task(ctx, t)
	if err != nil {
		return nil, err
	}
	shown.Inputs = nil // only their owner sees what was uploaded
	data := Data{Owner: t.Owner, Version: t.NoticeVersion(), Deleted: t.Deleted(), Task: shown}
	kind := t.NoticeKind()
	switch kind {
	case task.NoticeMoved:
		data.PreviousTarget = t.NoticeTarget
	case task.NoticeDeleted:
		data.Target = t.NoticeTarget
	}
	return httpapi.Encode(Notice{Type: "task." + string(kind), Timestamp: t.NoticeAt(), Data: data})
}

// messageID returns the webhook-id of a task's notice, the same for each repeat. It
// has no dot, because dots separate the parts of what is signed.
func messageID(t *task.Task) string {
	return t.ID + "-" + string(t.NoticeKind()) + "-" + strconv.Itoa(t.NoticeVersion())
}
