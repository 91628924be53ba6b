package notify_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/preset/nanobanana-functions/functions/notify"
	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/webhook/webhooktest"
)

// world is a world whose tasks' ends are told to a receiver.
type world struct {
	*lifecycletest.Harness
	t        *testing.T
	function notify.Function
	key      []byte // signs
	receiver *webhooktest.Receiver
	hidden   []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Harness: lifecycletest.New(t), t: t, receiver: webhooktest.NewReceiver(t), hidden: []string{webhooktest.Query, lifecycletest.Prompt, "/v1/images/", nanobananatest.DefaultKey}}
	w.Rules.Notify, w.Ingester.Rules.Notify = true, true
	var spelt token.Key
	w.key, spelt = webhooktest.KeyOf("a")
	w.keys(spelt)

	c := w.Settings
	c.NotifyURL = w.receiver.URL
	w.function = notify.FromSettings(c, w.Rows, w.Secrets, w.Log)
	w.function.Now = w.Clock.Now
	t.Cleanup(func() { w.log() })
	return w
}

// keys makes these the keys that sign. Who has read others already keeps them
// for five minutes.
func (w *world) keys(keys ...token.Key) {
	w.Secret.SetNotifyKeys(keys...)
	for _, k := range keys {
		w.hidden = append(w.hidden, strings.TrimPrefix(string(k.Key), "whsec_"))
	}
}

// one takes the one delivery that there is.
func (w *world) one() webhooktest.Delivery {
	w.t.Helper()
	all := w.receiver.Take()
	if len(all) != 1 {
		w.t.Fatalf("%d deliveries, want 1", len(all))
	}
	return all[0]
}

// stream hands a record of each task to the function, as the table's stream does.
func (w *world) stream(ids ...string) {
	w.t.Helper()
	var e events.DynamoDBEvent
	for _, id := range ids {
		e.Records = append(e.Records, events.DynamoDBEventRecord{EventID: "e", Change: events.DynamoDBStreamRecord{
			Keys: map[string]events.DynamoDBAttributeValue{"id": events.NewStringAttribute(id)},
		}})
	}
	if err := notify.New(w.function)(w.t.Context(), e); err != nil {
		w.t.Errorf("the batch failed: %v", err)
	}
}

func (w *world) row(id string) *task.Task {
	w.t.Helper()
	x, err := w.Rows.Task(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return x
}

// told fails the test unless a task is told, or is not and stays due.
func (w *world) told(id string, want bool) {
	w.t.Helper()
	x := w.row(id)
	if told := x.Work == "" && !x.NotifiedAt.IsZero() && x.DueAt.IsZero(); told != want {
		w.t.Errorf("told: %v, want %v: work %q, told at %v, due %v", told, want, x.Work, x.NotifiedAt, x.DueAt)
	}
	if waits := x.Work == task.Notify && x.NotifiedAt.IsZero() && !x.DueAt.IsZero(); waits == want {
		w.t.Errorf("it is to be told: %v, want %v", waits, !want)
	}
}

// log takes what notify logged, and holds it against what no log may hold.
func (w *world) log() string {
	w.t.Helper()
	text := w.Logged.Take()
	for _, secret := range w.hidden {
		if strings.Contains(text, secret) {
			w.t.Errorf("the log holds %q: %s", secret, text)
		}
	}
	// That a task has ended is ingest's to say.
	return strings.Join(slices.DeleteFunc(strings.SplitAfter(text, "\n"), func(line string) bool {
		return strings.Contains(line, `"event":"`+lifecycle.EventEnded+`"`)
	}), "")
}

// contract fails the test unless the body is what openapi.yaml says of it.
func (w *world) contract(d webhooktest.Delivery, kind string) {
	w.t.Helper()
	c := httpapitest.Load(w.t)
	c.CheckJSON(w.t, "Notice", d.Body)
	c.CheckJSON(w.t, kind, d.Body)
}

// parsed reads a body into plain JSON values.
func parsed(t *testing.T, b []byte) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
