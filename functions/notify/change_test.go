package notify_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/webhook/webhooktest"
)

var (
	boardA = task.Target{Kind: "moodboard", ID: "a"}
	boardB = task.Target{Kind: "moodboard", ID: "b"}
)

// message is what a delivery says, in short.
type message struct {
	id, kind, timestamp string
	version             float64
	target, previous    any
	deleted             bool
	images              int
}

// takeMessage takes the only delivery, which has to match the contract.
func (h *harness) takeMessage(contract string) message {
	h.t.Helper()
	d := h.takeOne()
	h.checkContract(d, contract)
	if !d.SignedBy(h.key) {
		h.t.Errorf("not signed: %v", d.Header)
	}
	body := parse(h.t, d.Body)
	data := body["data"].(map[string]any)
	deleted, _ := data["deleted"].(bool)
	if deleted && (strings.Contains(string(d.Body), lifecycletest.Prompt) || strings.Contains(string(d.Body), "/v1/images/")) {
		h.t.Errorf("a deleted task is told as %s", d.Body)
	}
	return message{d.ID(), body["type"].(string), body["timestamp"].(string), data["version"].(float64), data["target"], data["previousTarget"], deleted, len(data["images"].([]any))}
}

func (h *harness) check(got, want message) {
	h.t.Helper()
	_, got.id, _ = strings.Cut(got.id, "-")
	if got.timestamp = ""; !reflect.DeepEqual(got, want) {
		h.t.Errorf("told %+v\nwant %+v", got, want)
	}
}

// A task that was told is moved and deleted: each is a message of its own, with what
// Preset needs.
func TestMovedAndDeleted(t *testing.T) {
	h := newHarness(t)
	x := h.Succeeded(t, "ada")
	a, b := map[string]any{"kind": "moodboard", "id": "a"}, map[string]any{"kind": "moodboard", "id": "b"}
	h.stream(x.ID)
	h.takeMessage("SucceededNotice")

	h.moved(x.ID, boardA) // had no target
	h.stream(x.ID)
	moved := h.takeMessage("MovedNotice")
	h.check(moved, message{"moved-2", "task.moved", "", 2, a, nil, false, 1})
	if want := h.row(x.ID).UpdatedAt.Format(time.RFC3339Nano); moved.timestamp != want {
		t.Errorf("moved at %s, told as %s", want, moved.timestamp)
	}
	h.moved(x.ID, boardB)
	h.stream(x.ID)
	h.check(h.takeMessage("MovedNotice"), message{"moved-3", "task.moved", "", 3, b, a, false, 1})

	h.deleted(x.ID)
	h.stream(x.ID) // the erase has not begun
	h.checkDelivered(x.ID, true)
	deleted := h.takeMessage("DeletedNotice")
	h.check(deleted, message{"deleted-4", "task.deleted", "", 4, b, nil, true, 0})
	if want := h.row(x.ID).DeletedAt.Format(time.RFC3339Nano); deleted.timestamp != want {
		t.Errorf("deleted at %s, told as %s", want, deleted.timestamp)
	}
	if row := h.row(x.ID); row.Work != task.Erase || row.NoticeTarget != nil {
		t.Errorf("work %q, and the row keeps %v", row.Work, row.NoticeTarget)
	}
	h.stream(x.ID)
	if again := h.receiver.Take(); len(again) > 0 {
		t.Errorf("it was sent %d times more", len(again))
	}
}

// Of a failed task, too.
func TestMovedFailure(t *testing.T) {
	h := newHarness(t)
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultCode, Code: 422}
	})
	x := h.Submitted(t, "ada", 1)
	h.stream(x.ID)
	h.takeMessage("FailedNotice")
	h.moved(x.ID, boardA)
	h.stream(x.ID)
	h.check(h.takeMessage("MovedNotice"), message{"moved-2", "task.moved", "", 2, map[string]any{"kind": "moodboard", "id": "a"}, nil, false, 0})
}

// A task that changes before it is told, once or more, is told once, as it is.
func TestChangedBeforeItIsTold(t *testing.T) {
	a, b := map[string]any{"kind": "moodboard", "id": "a"}, map[string]any{"kind": "moodboard", "id": "b"}
	for name, c := range map[string]struct {
		told     bool // of the end, on board A
		change   func(*harness, string)
		contract string
		want     message
	}{
		"moved":                      {false, func(h *harness, id string) { h.moved(id, boardB) }, "SucceededNotice", message{"succeeded-3", "task.succeeded", "", 3, b, nil, false, 1}},
		"deleted":                    {false, func(h *harness, id string) { h.deleted(id) }, "DeletedNotice", message{"deleted-3", "task.deleted", "", 3, a, nil, true, 0}},
		"moved and deleted":          {false, func(h *harness, id string) { h.moved(id, boardB); h.deleted(id) }, "DeletedNotice", message{"deleted-4", "task.deleted", "", 4, b, nil, true, 0}},
		"told, moved twice":          {true, func(h *harness, id string) { h.moved(id, boardA); h.moved(id, boardB) }, "MovedNotice", message{"moved-3", "task.moved", "", 3, b, nil, false, 1}},
		"told, moved there and back": {true, func(h *harness, id string) { h.moved(id, boardB); h.moved(id, boardA) }, "MovedNotice", message{"moved-3", "task.moved", "", 3, a, nil, false, 1}},
		"told, moved and deleted":    {true, func(h *harness, id string) { h.moved(id, boardB); h.deleted(id) }, "DeletedNotice", message{"deleted-3", "task.deleted", "", 3, b, nil, true, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			x := h.Succeeded(t, "ada")
			if c.told {
				h.stream(x.ID)
			} else {
				h.moved(x.ID, boardA)
				h.receiver.Answer(webhooktest.Status(http.StatusServiceUnavailable))
				h.stream(x.ID)
				h.receiver.Answer(nil)
			}
			h.receiver.Take()
			c.change(h, x.ID)
			h.stream(x.ID, x.ID, x.ID)
			h.check(h.takeMessage(c.contract), c.want)
			h.checkDelivered(x.ID, true)
			h.takeLog()
		})
	}
}

// A task that changes while its notice is under way: the answer counts for the version
// that was sent, and the change is told by the run that its own write asks for.
func TestChangedWhileItIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(*harness, string)
		contract string
		kind     string
	}{
		"moved":   {func(h *harness, id string) { h.moved(id, boardB) }, "SucceededNotice", "task.succeeded"},
		"deleted": {func(h *harness, id string) { h.deleted(id) }, "DeletedNotice", "task.deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			x := h.Succeeded(t, "ada")
			h.receiver.Answer(func(rw http.ResponseWriter, _ *http.Request) {
				c.change(h, x.ID)
				rw.WriteHeader(http.StatusNoContent)
			})
			h.stream(x.ID)
			h.receiver.Answer(nil)
			first := h.takeMessage("SucceededNotice")
			h.checkDelivered(x.ID, false)
			if row := h.row(x.ID); row.Version != x.Version+1 || row.NoticeTurn.Tries != 1 {
				t.Errorf("version %d after %d, %d tries: the answer to the first was written", row.Version, x.Version, row.NoticeTurn.Tries)
			}
			h.stream(x.ID) // the record of the change's own write
			second := h.takeMessage(c.contract)
			h.checkDelivered(x.ID, true)
			if second.kind != c.kind || second.version != 2 || first.version != 1 || first.id == second.id {
				t.Errorf("told %+v, then %+v", first, second)
			}
		})
	}
}

// failingBucket erases nothing.
type failingBucket struct{ media.Bucket }

func (failingBucket) Erase(context.Context, string) error { return errors.New("slow down") }

// runs delivers the record of the row's last write to each consumer that it asks for,
// and so on with the writes of those, as the stream does. It returns how often each
// consumer ran until nothing was written any more.
func (h *harness) runs(id string) map[task.Message]int {
	h.t.Helper()
	got := map[task.Message]int{}
	queue := h.row(id).Messages()
	for n := 0; len(queue) > 0; n++ {
		if n > 20 {
			h.t.Fatalf("the stream feeds itself: %v", got)
		}
		before := h.row(id).Version
		if got[queue[0]]++; queue[0] == task.Notify {
			h.stream(id)
		} else {
			_ = h.Ingester.Ingest(h.t.Context(), id) // its error is only for the log
		}
		queue = queue[1:]
		if after := h.row(id); after.Version != before {
			queue = append(queue, after.Messages()...)
		}
	}
	return got
}

// A write that one consumer makes asks the other once more, which is harmless; it never
// becomes a loop, whichever of them fails.
func TestConsumersDoNotFeedEachOther(t *testing.T) {
	const erase = task.Message(task.Erase)
	for name, c := range map[string]struct {
		receiver, bucket bool
		first, late      map[task.Message]int // after DELETE, and after a sweep 20 minutes later
	}{
		"both work":             {true, true, map[task.Message]int{erase: 2, task.Notify: 1}, map[task.Message]int{erase: 1}},
		"the receiver is down":  {false, true, map[task.Message]int{erase: 1, task.Notify: 1}, map[task.Message]int{erase: 1, task.Notify: 2}},
		"the bucket is down":    {true, false, map[task.Message]int{erase: 2, task.Notify: 1}, map[task.Message]int{erase: 1}},
		"both of them are down": {false, false, map[task.Message]int{erase: 1, task.Notify: 1}, map[task.Message]int{erase: 1, task.Notify: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			x := h.Succeeded(t, "ada")
			h.stream(x.ID)
			if !c.receiver {
				h.receiver.Answer(webhooktest.Status(http.StatusServiceUnavailable))
			}
			if !c.bucket {
				h.Ingester.Bucket = failingBucket{h.Ingester.Bucket}
			}
			h.deleted(x.ID)
			if got := h.runs(x.ID); !maps.Equal(got, c.first) {
				t.Errorf("after DELETE %v, want %v", got, c.first)
			}
			h.Clock.Add(20 * time.Minute)
			if swept, err := h.Sweep(t.Context()); err != nil || swept.Failed > 0 {
				t.Fatalf("%+v, %v", swept, err)
			}
			if got := h.runs(x.ID); !maps.Equal(got, c.late) {
				t.Errorf("after the sweep %v, want %v", got, c.late)
			}
			if row := h.row(x.ID); row.Due().IsZero() != (c.receiver && c.bucket) {
				t.Errorf("due %v", row.Due())
			}
		})
	}
}
