package notify_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/preset/nanobanana-functions/functions/notify"
	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/outbound"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/webhook/webhooktest"
)

// harness is a harness whose notices go to a receiver.
type harness struct {
	*lifecycletest.Harness
	t        *testing.T
	function notify.Function
	key      []byte // signs
	receiver *webhooktest.Receiver
	hidden   []string
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	h := &harness{Harness: lifecycletest.New(t), t: t, receiver: webhooktest.NewReceiver(t), hidden: []string{webhooktest.Query, lifecycletest.Prompt, "/v1/images/", nanobananatest.DefaultKey}}
	h.Rules.Notify, h.Ingester.Rules.Notify = true, true
	var spelt token.Key
	h.key, spelt = webhooktest.NewKey("a")
	h.setKeys(spelt)

	c := h.Settings
	c.NotifyURL = h.receiver.URL
	h.function = notify.FromSettings(c, h.Rows, h.Secrets, outbound.NewClient(), h.Log)
	h.function.Now = h.Clock.Now
	t.Cleanup(func() { h.takeLog() })
	return h
}

// setKeys sets the keys that sign. Keys that were read before stay cached for
// five minutes.
func (h *harness) setKeys(keys ...token.Key) {
	h.Secret.SetNotifyKeys(keys...)
	for _, k := range keys {
		h.hidden = append(h.hidden, strings.TrimPrefix(string(k.Key), "whsec_"))
	}
}

// takeOne takes the only delivery.
func (h *harness) takeOne() webhooktest.Delivery {
	h.t.Helper()
	all := h.receiver.Take()
	if len(all) != 1 {
		h.t.Fatalf("%d deliveries, want 1", len(all))
	}
	return all[0]
}

// stream calls the function with a record of each task, as the table's stream
// does.
func (h *harness) stream(ids ...string) {
	h.t.Helper()
	var e events.DynamoDBEvent
	for _, id := range ids {
		e.Records = append(e.Records, events.DynamoDBEventRecord{EventID: "e", Change: events.DynamoDBStreamRecord{
			Keys: map[string]events.DynamoDBAttributeValue{"id": events.NewStringAttribute(id)},
		}})
	}
	if err := notify.New(h.function)(h.t.Context(), e); err != nil {
		h.t.Errorf("the batch failed: %v", err)
	}
}

func (h *harness) row(id string) *task.Task {
	h.t.Helper()
	x, err := h.Rows.Task(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return x
}

// checkDelivered fails the test unless a task's notice is delivered or, if want
// is false, still due.
func (h *harness) checkDelivered(id string, want bool) {
	h.t.Helper()
	x := h.row(id)
	if delivered := x.Notice == "" && !x.NotifiedAt.IsZero() && x.NoticeTurn.DueAt.IsZero(); delivered != want {
		h.t.Errorf("delivered: %v, want %v: notice %q, delivered at %v, due %v", delivered, want, x.Notice, x.NotifiedAt, x.NoticeTurn.DueAt)
	}
	if waits := x.Notice == task.Pending && !x.NoticeTurn.DueAt.IsZero(); waits == want {
		h.t.Errorf("it is still due: %v, want %v", waits, !want)
	}
}

// moved moves a task as PUT target does, a second later.
func (h *harness) moved(id string, to task.Target) {
	h.t.Helper()
	h.Clock.Add(time.Second)
	h.update(id, func(x *task.Task) error { return x.SetTarget(h.Rules, to, h.Now()) })
}

// deleted deletes a task as DELETE does, a second later.
func (h *harness) deleted(id string) {
	h.t.Helper()
	h.Clock.Add(time.Second)
	h.update(id, func(x *task.Task) error { return x.Delete(h.Rules, h.Now()) })
}

// takeLog takes notify's log and checks that it contains no secret.
func (h *harness) takeLog() string {
	h.t.Helper()
	text := h.Logged.Take()
	for _, secret := range h.hidden {
		if strings.Contains(text, secret) {
			h.t.Errorf("the log holds %q: %s", secret, text)
		}
	}
	// Ingest logs that a task has ended.
	return strings.Join(slices.DeleteFunc(strings.SplitAfter(lifecycletest.Uncommon(text), "\n"), func(line string) bool {
		return strings.Contains(line, `"event":"`+lifecycle.EventEnded+`"`)
	}), "")
}

// checkContract fails the test unless the body matches openapi.yaml.
func (h *harness) checkContract(d webhooktest.Delivery, kind string) {
	h.t.Helper()
	c := httpapitest.Load(h.t)
	c.CheckJSON(h.t, kind, d.Body)
}

// parse decodes a body into plain JSON values.
func parse(t *testing.T, b []byte) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
