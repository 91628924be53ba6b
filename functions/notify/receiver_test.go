package notify_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/preset/nanobanana-functions/functions/notify"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// delivery is what a receiver got.
type delivery struct {
	header http.Header
	body   []byte
}

// signedBy says whether one of its signatures is key's. It is written by the
// specification, not by the library that signs.
func (d delivery) signedBy(key []byte) bool {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", d.header.Get("webhook-id"), d.header.Get("webhook-timestamp"), d.body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return slices.ContainsFunc(strings.Split(d.header.Get("webhook-signature"), " "), func(got string) bool {
		return hmac.Equal([]byte(got), []byte(want))
	})
}

// keyOf gives a key, and as the secret has it.
func keyOf(letter string) ([]byte, config.Key) {
	key := []byte(strings.Repeat(letter, 36))
	return key, config.Key{ID: letter, Key: config.Hidden("whsec_" + base64.StdEncoding.EncodeToString(key))}
}

// query stands in the URL of the receiver: no log may hold it.
const query = "hunter2hunter2"

// world is a world whose tasks' ends are told to a receiver.
type world struct {
	*lifecycletest.World
	t        *testing.T
	function notify.Function
	key      []byte // signs
	hidden   []string

	mu     sync.Mutex
	got    []delivery
	answer http.HandlerFunc // of the receiver; nil: 204
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{World: lifecycletest.New(t), t: t, hidden: []string{query, lifecycletest.Prompt, "/v1/images/", nanobananatest.DefaultKey}}
	w.Rules.Notify, w.Ingester.Rules.Notify = true, true
	var spelt config.Key
	w.key, spelt = keyOf("a")
	w.keys(spelt)

	receiver := httptest.NewServer(http.HandlerFunc(w.receive))
	t.Cleanup(receiver.Close)
	c := w.Settings
	c.NotifyURL = receiver.URL + "/hook?token=" + query
	w.function = notify.FromSettings(c, w.Rows, w.Secrets, w.Log)
	w.function.Now = w.Clock.Now
	t.Cleanup(func() { w.log() })
	return w
}

// keys makes these the keys that sign. Who has read others already keeps them
// for five minutes.
func (w *world) keys(keys ...config.Key) {
	w.Secret.SetNotifyKeys(keys...)
	for _, k := range keys {
		w.hidden = append(w.hidden, strings.TrimPrefix(string(k.Key), "whsec_"))
	}
}

func (w *world) receive(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	if r.Method != http.MethodPost || r.URL.Path != "/hook" || r.URL.Query().Get("token") != query || r.Header.Get("Content-Type") != "application/json" {
		w.t.Errorf("the receiver got %s %s with %v", r.Method, r.URL, r.Header)
	}
	w.got = append(w.got, delivery{r.Header, body})
	answer := w.answer
	w.mu.Unlock()
	if answer == nil {
		rw.WriteHeader(http.StatusNoContent)
		return
	}
	answer(rw, r)
}

// answers makes the receiver answer so; nil is 204.
func (w *world) answers(how http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = how
}

// status answers so and no more.
func status(code int) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(code) }
}

// deliveries takes what the receiver got since it was last asked.
func (w *world) deliveries() []delivery {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.got = nil }()
	return w.got
}

// one takes the one delivery that there is.
func (w *world) one() delivery {
	w.t.Helper()
	all := w.deliveries()
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

// log takes the log, and holds it against what no log may hold.
func (w *world) log() string {
	w.t.Helper()
	text := w.Logged.Take()
	for _, secret := range w.hidden {
		if strings.Contains(text, secret) {
			w.t.Errorf("the log holds %q: %s", secret, text)
		}
	}
	return text
}

// contract fails the test unless the body is what openapi.yaml says of it.
func (w *world) contract(d delivery, kind string) {
	w.t.Helper()
	c := httpapitest.Load(w.t)
	c.CheckJSON(w.t, "Notice", d.body)
	c.CheckJSON(w.t, kind, d.body)
}

// parsed reads a body into plain JSON values.
func parsed(t *testing.T, b []byte) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
