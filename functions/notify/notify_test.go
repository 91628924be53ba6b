package notify_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/preset/nanobanana-functions/functions/notify"
	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/webhook/webhooktest"
)

// A notice matches the contract and contains what GET returns, besides the
// owner.
func TestSucceededNotice(t *testing.T) {
	h := newHarness(t)
	x := h.Succeeded(t, "ada")
	h.Clock.Add(3 * time.Second)
	h.stream(x.ID)
	h.checkDelivered(x.ID, true)

	d := h.takeOne()
	h.checkContract(d, "SucceededNotice")
	if !d.SignedBy(h.key) {
		t.Errorf("not signed: %v", d.Header)
	}
	if got := d.Header.Get("webhook-id"); got != x.ID+"-succeeded-1" {
		t.Errorf("webhook-id %q", got)
	}
	if got := d.Header.Get("webhook-timestamp"); got != strconv.FormatInt(h.Now().Unix(), 10) {
		t.Errorf("webhook-timestamp %q at %d", got, h.Now().Unix())
	}
	shown, err := h.function.View.Task(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := httpapi.Encode(shown)
	if err != nil {
		t.Fatal(err)
	}
	data := parse(t, encoded)
	data["owner"], data["version"] = "ada", 1.
	want := map[string]any{"type": "task.succeeded", "timestamp": x.EndedAt.Format(time.RFC3339Nano), "data": data}
	if got := parse(t, d.Body); !reflect.DeepEqual(got, want) {
		t.Errorf("sent %v\nwant %v", got, want)
	}

	h.stream(x.ID, x.ID)
	if again := h.receiver.Take(); len(again) > 0 {
		t.Errorf("it was sent %d times more", len(again))
	}
	if logged := h.takeLog(); logged != "" {
		t.Errorf("logged %s", logged)
	}
}

// A picture without a thumbnail and a damaged one are shown as the contract
// says.
func TestNoticeImages(t *testing.T) {
	h := newHarness(t)
	for name, change := range map[string]func(*task.Image){
		"without a thumbnail": func(i *task.Image) { i.Thumbnail = "" },
		"damaged":             func(i *task.Image) { i.Damaged = true },
	} {
		t.Run(name, func(t *testing.T) {
			x := h.Succeeded(t, "ada")
			h.update(x.ID, func(x *task.Task) error { change(&x.Images[0]); return nil })
			h.stream(x.ID)
			d := h.takeOne()
			h.checkContract(d, "SucceededNotice")
			var sent notify.Notice
			if err := json.Unmarshal(d.Body, &sent); err != nil {
				t.Fatal(err)
			}
			got, want := sent.Data.Images[0], h.row(x.ID).Images[0]
			if (got.ThumbnailURL == "") != (want.Thumbnail == "") || got.Damaged != want.Damaged || got.URL == "" {
				t.Errorf("sent %+v for %+v", got, want)
			}
		})
	}
}

// What its owner uploaded is nobody else's: a notice has no copies of it.
func TestNoticeWithoutInputs(t *testing.T) {
	h := newHarness(t)
	x := h.Succeeded(t, "ada")
	h.update(x.ID, func(x *task.Task) error {
		x.Inputs = []task.Input{{N: 1, File: "1-0123456789abcdef-input.jpg", Thumbnail: "1-0123456789abcdef-input-512.jpg", Width: 3, Height: 4}}
		return nil
	})
	h.stream(x.ID)
	d := h.takeOne()
	h.checkContract(d, "SucceededNotice")
	if strings.Contains(string(d.Body), "input") || len(h.row(x.ID).Inputs) != 1 {
		t.Errorf("sent %s", d.Body)
	}
}

func TestFailedNotice(t *testing.T) {
	h := newHarness(t)
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultCode, Code: 422}
	})
	x := h.Submitted(t, "ada", 1)
	if x.Status != task.Failed {
		t.Fatalf("it is %s", x.Status)
	}
	h.stream(x.ID)
	h.checkDelivered(x.ID, true)
	d := h.takeOne()
	h.checkContract(d, "FailedNotice")
	if got := d.Header.Get("webhook-id"); got != x.ID+"-failed-1" || !d.SignedBy(h.key) {
		t.Errorf("webhook-id %q, signed %v", got, d.SignedBy(h.key))
	}
}

// Tasks without a notice to send are left alone: running, told before they were
// erased, of a newer release, unknown.
func TestNothingToSend(t *testing.T) {
	h := newHarness(t)
	running, deleted, newer := h.Submitted(t, "ada", 1), h.Succeeded(t, "ada"), h.Succeeded(t, "ada")
	h.update(deleted.ID, func(x *task.Task) error {
		x.Notified(h.Now(), 1)
		return x.Delete(task.Rules{}, h.Now()) // NOTIFY_URL was removed
	})
	h.update(newer.ID, func(x *task.Task) error { x.Schema = task.Schema + 1; return nil })
	h.stream(running.ID, deleted.ID, newer.ID, "no such task")
	if all := h.receiver.Take(); len(all) > 0 {
		t.Errorf("sent: %s", all[0].Body)
	}
	if logged := h.takeLog(); strings.Count(logged, "\n") != 1 || !strings.Contains(logged, "no such task") {
		t.Errorf("logged %s", logged)
	}
}

func (h *harness) update(id string, change func(*task.Task) error) {
	h.t.Helper()
	if _, err := task.Update(h.t.Context(), h.Rows, h.row(id), change); err != nil {
		h.t.Fatal(err)
	}
}

// While a key rolls, a receiver with either the old or the new key can verify.
func TestTwoKeys(t *testing.T) {
	h := newHarness(t)
	oldKey, spelt := webhooktest.NewKey("o")
	newKey, rolled := webhooktest.NewKey("n")
	rolled.Key = token.Hidden(strings.TrimPrefix(string(rolled.Key), "whsec_")) // as the template generates it
	other, _ := webhooktest.NewKey("x")
	h.setKeys(rolled, spelt)
	x := h.Succeeded(t, "ada")
	h.Clock.Add(6 * time.Minute)
	h.stream(x.ID)
	d := h.takeOne()
	h.checkContract(d, "SucceededNotice")
	if !d.SignedBy(oldKey) || !d.SignedBy(newKey) || d.SignedBy(other) || d.SignedBy(h.key) || d.SignedBy(nil) {
		t.Errorf("signed by the old: %v, the new: %v, another: %v", d.SignedBy(oldKey), d.SignedBy(newKey), d.SignedBy(other))
	}
}

// With keys that receivers' libraries would refuse nothing is sent, and an
// error is logged at once.
func TestFaultyKeys(t *testing.T) {
	for name, keys := range webhooktest.FaultyKeys() {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.setKeys(keys...)
			x := h.Succeeded(t, "ada")
			h.Clock.Add(6 * time.Minute)
			h.takeLog()
			h.stream(x.ID)
			h.checkDelivered(x.ID, false)
			if all := h.receiver.Take(); len(all) > 0 {
				t.Errorf("sent with %v", all[0].Header)
			}
			if logged := h.takeLog(); !strings.Contains(logged, `"level":"ERROR"`) || !strings.Contains(logged, "notifyKeys") {
				t.Errorf("logged %s", logged)
			}
		})
	}
}

// Only a 2xx in time is a success. A redirect is not followed, and any failure
// leaves the row for the sweep.
func TestReceiverAnswers(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s %s was followed to", r.Method, r.URL) }))
	defer elsewhere.Close()
	endless := func(code int) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			rw.WriteHeader(code)
			for chunk := make([]byte, 64<<10); r.Context().Err() == nil; {
				if _, err := rw.Write(chunk); err != nil {
					return
				}
			}
		}
	}
	redirect := func(code int) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, elsewhere.URL, code) }
	}
	for name, x := range map[string]struct {
		answer    http.HandlerFunc
		delivered bool
	}{
		"200": {webhooktest.Status(200), true}, "202": {webhooktest.Status(202), true}, "299": {webhooktest.Status(299), true},
		"200 and an endless body": {endless(200), true},
		"500 and an endless body": {endless(500), false},
		"301":                     {redirect(301), false}, "302": {redirect(302), false}, "307": {redirect(307), false}, "308": {redirect(308), false},
		"304": {webhooktest.Status(304), false}, "400": {webhooktest.Status(400), false}, "404": {webhooktest.Status(404), false}, "410": {webhooktest.Status(410), false},
		"429": {webhooktest.Status(429), false}, "500": {webhooktest.Status(500), false}, "503": {webhooktest.Status(503), false},
		"no answer":      {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, false},
		"a broken line":  {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false},
		"a huge header":  {func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("X", strings.Repeat("x", 1<<20)) }, false},
		"not quite HTTP": {rawAnswer("SSH-2.0-OpenSSH_9.6\r\n"), false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.receiver.Answer(x.answer)
			if h.function.HTTP.Timeout != 10*time.Second {
				t.Errorf("a POST may take %v", h.function.HTTP.Timeout)
			}
			h.function.HTTP.Timeout = time.Minute
			if name == "no answer" {
				h.function.HTTP.Timeout = 50 * time.Millisecond
			}
			before := h.Succeeded(t, "ada")
			h.stream(before.ID)
			h.checkDelivered(before.ID, x.delivered)
			h.takeOne() // not repeated by itself
			if after := h.row(before.ID); !x.delivered && after.Version != before.Version {
				t.Errorf("the row was written: version %d, was %d", after.Version, before.Version)
			}
			if logged := h.takeLog(); (logged == "") != x.delivered || !x.delivered && (!strings.Contains(logged, before.ID) || !strings.Contains(logged, "WARN")) {
				t.Errorf("logged %s", logged)
			}
		})
	}
}

func rawAnswer(text string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(rw).Hijack()
		if err == nil {
			_, _ = conn.Write([]byte(text))
			_ = conn.Close()
		}
	}
}

// An unreachable receiver, or a NOTIFY_URL that was removed, does no harm.
func TestReceiverUnreachable(t *testing.T) {
	for name, url := range map[string]string{"refused": "http://127.0.0.1:1/?token=" + webhooktest.Query, "no such host": "https://receiver.invalid/?token=" + webhooktest.Query, "not set": ""} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.function.URL = url
			x := h.Succeeded(t, "ada")
			h.stream(x.ID)
			h.checkDelivered(x.ID, false)
			if logged := h.takeLog(); !strings.Contains(logged, "WARN") {
				t.Errorf("logged %s", logged)
			}
		})
	}
}

// If the answer came but the row could not be written, the notice is sent again
// under the same id. A panic and a record without a key do not stop the batch.
func TestOneOfABatchFails(t *testing.T) {
	h := newHarness(t)
	first, second := h.Succeeded(t, "ada"), h.Succeeded(t, "bob")
	h.Rows.Fail(func(call string, x *task.Task) error {
		if call == "put" && x.ID == first.ID {
			panic("out of order")
		}
		return nil
	}, nil)
	h.stream(first.ID, second.ID)
	h.checkDelivered(first.ID, false)
	h.checkDelivered(second.ID, true)
	if err := notify.New(h.function)(context.Background(), events.DynamoDBEvent{Records: make([]events.DynamoDBEventRecord, 1)}); err != nil {
		t.Error(err)
	}
	if logged := h.takeLog(); !strings.Contains(logged, "out of order") || !strings.Contains(logged, "without an id") {
		t.Errorf("logged %s", logged)
	}
	h.Rows.Fail(nil, nil)
	h.stream(first.ID)
	h.checkDelivered(first.ID, true)
	var ids []string
	for _, d := range h.receiver.Take() {
		var n notify.Notice
		if err := json.Unmarshal(d.Body, &n); err != nil {
			t.Fatal(err)
		}
		if n.Data.Owner == "ada" {
			ids = append(ids, d.Header.Get("webhook-id"))
		}
	}
	if len(ids) != 2 || ids[0] != ids[1] {
		t.Errorf("sent as %q", ids)
	}
}
