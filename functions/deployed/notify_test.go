package deployed_test

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
	"sync/atomic"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/aws/taskdb"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/webhook/webhooktest"
)

// The write that ends a task starts its notice. If the receiver fails, the next
// sweep retries, and the notice then matches the contract and is signed with
// the secret's key.
func TestNotices(t *testing.T) {
	t.Parallel()
	type delivery struct {
		header http.Header
		body   []byte
	}
	var failing atomic.Bool
	got := make(chan delivery, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if failing.Load() {
			rw.WriteHeader(http.StatusServiceUnavailable)
		}
		got <- delivery{r.Header, body}
	}))
	defer receiver.Close()
	const token = "a-token-in-the-url"
	h := newHarness(t, map[string]string{"NOTIFY_URL": receiver.URL + "/hook?token=" + token})
	h.hide(token)
	failing.Store(true)
	x := h.awaitEnd("ada", h.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k").ID)
	first := <-got
	eventually(t, "the failure is not logged", func() bool { return strings.Contains(h.function["notify"].Log(), "answered 503") })
	if row := h.row(x.ID); row.Notice != task.Pending {
		t.Fatalf("its notice is %q", row.Notice)
	}

	failing.Store(false)
	h.age(x.ID, time.Minute)
	h.sweep()
	second := <-got
	eventually(t, "the notice is not delivered", func() bool { return h.row(x.ID).Notice == "" })
	if row := h.row(x.ID); row.NotifiedAt.IsZero() || !row.Due().IsZero() {
		t.Errorf("delivered at %v, due %v", row.NotifiedAt, row.Due())
	}
	key, err := base64.StdEncoding.DecodeString(notifyKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []delivery{first, second} {
		httpapitest.Load(t).CheckJSON(t, "SucceededNotice", d.body)
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s-succeeded-1.%s.%s", x.ID, d.header.Get("webhook-timestamp"), d.body)
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); d.header.Get("webhook-signature") != want {
			t.Errorf("signed %q, want %q", d.header.Get("webhook-signature"), want)
		}
	}
	if h.source["notify"].GivenUp() != 0 {
		t.Error("the function failed a batch")
	}
}

// settled returns what a receiver holds of a task after notices in this order, if it keeps
// the highest version, as docs/supabase.md says.
func settled(t *testing.T, order ...string) (held struct {
	Version int
	Deleted bool
	Target  task.Target
}) {
	t.Helper()
	for _, body := range order {
		n := struct{ Data *struct{ Version int } }{}
		if err := json.Unmarshal([]byte(body), &n); err != nil || n.Data.Version <= held.Version {
			continue
		}
		whole := struct{ Data any }{&held}
		if err := json.Unmarshal([]byte(body), &whole); err != nil {
			t.Fatal(err)
		}
	}
	return held
}

// checkOrders checks that notices end alike in every order, with up to one repeat.
func checkOrders(t *testing.T, notices ...string) {
	t.Helper()
	want, checked := settled(t, notices...), 0
	if want.Version != len(notices) || !want.Deleted || want.Target.ID == "" {
		t.Errorf("in the order of sending they end as %+v", want)
	}
	var extend func(order []string)
	extend = func(order []string) {
		missing := slices.ContainsFunc(notices, func(n string) bool { return !slices.Contains(order, n) })
		if !missing {
			checked++
			if got := settled(t, order...); got != want {
				t.Errorf("ends as %+v, want %+v, after %q", got, want, order)
			}
		}
		for _, n := range notices {
			if len(order) <= len(notices) {
				extend(append(slices.Clip(order), n))
			}
		}
	}
	extend(nil)
	if checked != 6+36 {
		t.Errorf("%d orders", checked)
	}
}

// The binaries tell of a move and of DELETE, within seconds and by the stream alone: no
// sweep runs. A notice costs two requests, and an erase does not add any to it.
func TestMovedAndDeletedNotices(t *testing.T) {
	t.Parallel()
	receiver := webhooktest.NewReceiver(t)
	h := newHarness(t, map[string]string{"NOTIFY_URL": receiver.URL})
	h.hide(webhooktest.Query)
	key, err := base64.StdEncoding.DecodeString(notifyKey)
	if err != nil {
		t.Fatal(err)
	}
	var sent []string
	await := func(contract, id string, want ...string) {
		t.Helper()
		var all []webhooktest.Delivery
		eventually(t, "no "+contract+" came", func() bool { all = append(all, receiver.Take()...); return len(all) > 0 })
		eventually(t, "its acceptance is not kept", func() bool { return h.row(id).Notice == "" })
		h.checkRequests("notify", "GetItem", "PutItem")
		if len(all) != 1 || !all[0].SignedBy(key) {
			t.Errorf("%d notices, the first with %v", len(all), all[0].Header)
		}
		sent = append(sent, string(all[0].Body))
		httpapitest.Load(t).CheckJSON(t, contract, all[0].Body)
		for _, text := range want {
			if !strings.Contains(string(all[0].Body), text) {
				t.Errorf("%s has no %s: %s", contract, text, all[0].Body)
			}
		}
	}
	x := h.awaitEnd("ada", h.submit("ada", map[string]any{"prompt": "a lighthouse", "target": map[string]string{"kind": "moodboard", "id": "a"}}, "a").ID)
	await("SucceededNotice", x.ID, `"version":1`)
	h.proxy["tasks"].Take()
	to := map[string]string{"kind": "showcase", "id": "b"}
	for range 2 { // the second changes nothing
		if a := h.call("ada", http.MethodPut, "/v1/tasks/"+x.ID+"/target", to); a.status != http.StatusOK {
			t.Fatalf("PUT: %d %s", a.status, a.body)
		}
	}
	h.checkRequests("tasks", "GetItem", "PutItem", "GetItem")
	await("MovedNotice", x.ID, `"version":2`, `"previousTarget":{"kind":"moodboard","id":"a"}`, `"target":{"kind":"showcase","id":"b"}`)
	if a := h.call("ada", http.MethodDelete, "/v1/tasks/"+x.ID, nil); a.status != http.StatusNoContent {
		t.Fatalf("DELETE: %d %s", a.status, a.body)
	}
	h.checkRequests("tasks", "GetItem", "PutItem")
	await("DeletedNotice", x.ID, `"version":3`, `"target":{"kind":"showcase","id":"b"}`)
	checkOrders(t, sent...)
	if row := h.row(x.ID); row.Work != task.Erase || row.Due().IsZero() {
		t.Errorf("work %q, due %v: the erase is not the last yet", row.Work, row.Due())
	}
	h.age(x.ID, time.Hour)
	h.sweep()
	eventually(t, "it is still due", func() bool { return h.row(x.ID).Due().IsZero() })
	if again := receiver.Take(); len(again) > 0 {
		t.Errorf("told again: %s", again[0].Body)
	}
}

// The scheduled check sends news of the credits, signed with the secret's key.
// If the receiver fails, the next check sends it under the same name, and
// clients see the balance meanwhile.
func TestCreditsNews(t *testing.T) {
	t.Parallel()
	receiver := webhooktest.NewReceiver(t)
	h := newHarness(t, map[string]string{"NOTIFY_URL": receiver.URL, "LOW_CREDITS": "100"})
	h.hide(webhooktest.Query)
	key, err := base64.StdEncoding.DecodeString(notifyKey)
	if err != nil {
		t.Fatal(err)
	}
	check := func(balance float64) (sent []webhooktest.Delivery) {
		t.Helper()
		h.sim.SetBalance(balance)
		if _, err := h.function["credits"].Invoke(t.Context(), h.event("credits-check")); err != nil {
			t.Fatalf("%v\n%s", err, h.function["credits"].Log())
		}
		sent = receiver.Take()
		for _, d := range sent {
			httpapitest.Load(t).CheckJSON(t, "CreditsNotice", d.Body)
			if !d.SignedBy(key) {
				t.Errorf("not signed: %v", d.Header)
			}
		}
		return sent
	}
	if sent := check(1000); len(sent) > 0 {
		t.Errorf("sent %s", sent[0].Body)
	}
	receiver.Answer(webhooktest.Status(http.StatusServiceUnavailable))
	first := check(50)
	if kept, err := taskdb.New(h.aws, h.table).Balance(t.Context()); err != nil || kept.Credits != 50 {
		t.Errorf("kept %+v, %v", kept, err)
	}
	receiver.Answer(nil)
	second := check(49)
	if len(first) != 1 || len(second) != 1 || first[0].ID() != second[0].ID() || !strings.HasPrefix(first[0].ID(), "credits-low-") {
		t.Fatalf("sent %v, then %v", first, second)
	}
	if sent := check(48); len(sent) > 0 {
		t.Errorf("sent %s", sent[0].Body)
	}
	if sent := check(500); len(sent) != 1 || !strings.HasPrefix(sent[0].ID(), "credits-restored-") {
		t.Errorf("sent %v", sent)
	}
}
