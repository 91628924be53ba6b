package deployed_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/aws/taskdb"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/webhook/webhooktest"
)

// By the real binaries: the write that ends a task carries the notice, a
// receiver that is away is told at the next sweep, and what it then gets is
// the contract's, signed by the secret's key.
func TestNotices(t *testing.T) {
	t.Parallel()
	type delivery struct {
		header http.Header
		body   []byte
	}
	var away atomic.Bool
	got := make(chan delivery, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if away.Load() {
			rw.WriteHeader(http.StatusServiceUnavailable)
		}
		got <- delivery{r.Header, body}
	}))
	defer receiver.Close()
	const token = "a-token-in-the-url"
	w := newWorld(t, map[string]string{"NOTIFY_URL": receiver.URL + "/hook?token=" + token})
	w.hide(token)
	away.Store(true)
	x := w.ended("ada", w.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k").ID)
	first := <-got
	eventually(t, "the failure is not logged", func() bool { return strings.Contains(w.function["notify"].Log(), "answered 503") })
	if row := w.stored(x.ID); row.Work != task.Notify {
		t.Fatalf("its work is %q", row.Work)
	}

	away.Store(false)
	w.age(x.ID, time.Minute)
	w.sweep()
	second := <-got
	eventually(t, "it is not told", func() bool { return w.stored(x.ID).Work == "" })
	if row := w.stored(x.ID); row.NotifiedAt.IsZero() || !row.DueAt.IsZero() {
		t.Errorf("told at %v, due %v", row.NotifiedAt, row.DueAt)
	}
	key, err := base64.StdEncoding.DecodeString(notifyKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []delivery{first, second} {
		httpapitest.Load(t).CheckJSON(t, "SucceededNotice", d.body)
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s-succeeded.%s.%s", x.ID, d.header.Get("webhook-timestamp"), d.body)
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); d.header.Get("webhook-signature") != want {
			t.Errorf("signed %q, want %q", d.header.Get("webhook-signature"), want)
		}
	}
	if w.source["notify"].GivenUp() != 0 {
		t.Error("the function failed a batch")
	}
}

// By the real binaries: the scheduled check tells the receiver of the credits,
// signed by the secret's key. One that is away is told by the next check, by
// the same name, and people see the balance meanwhile.
func TestCreditsNews(t *testing.T) {
	t.Parallel()
	receiver := webhooktest.NewReceiver(t)
	w := newWorld(t, map[string]string{"NOTIFY_URL": receiver.URL, "LOW_CREDITS": "100"})
	w.hide(webhooktest.Query)
	key, err := base64.StdEncoding.DecodeString(notifyKey)
	if err != nil {
		t.Fatal(err)
	}
	check := func(balance float64) (told []webhooktest.Delivery) {
		t.Helper()
		w.sim.SetBalance(balance)
		if _, err := w.function["credits"].Invoke(t.Context(), w.event("credits-check")); err != nil {
			t.Fatalf("%v\n%s", err, w.function["credits"].Log())
		}
		told = receiver.Take()
		for _, d := range told {
			httpapitest.Load(t).CheckJSON(t, "CreditsNotice", d.Body)
			if !d.SignedBy(key) {
				t.Errorf("not signed: %v", d.Header)
			}
		}
		return told
	}
	if told := check(1000); len(told) > 0 {
		t.Errorf("told %s", told[0].Body)
	}
	receiver.Answer(webhooktest.Status(http.StatusServiceUnavailable))
	first := check(50)
	if kept, err := taskdb.New(w.aws, w.table).Balance(t.Context()); err != nil || kept.Credits != 50 {
		t.Errorf("kept %+v, %v", kept, err)
	}
	receiver.Answer(nil)
	second := check(49)
	if len(first) != 1 || len(second) != 1 || first[0].ID() != second[0].ID() || !strings.HasPrefix(first[0].ID(), "credits-low-") {
		t.Fatalf("told %v, then %v", first, second)
	}
	if told := check(48); len(told) > 0 {
		t.Errorf("told %s", told[0].Body)
	}
	if told := check(500); len(told) != 1 || !strings.HasPrefix(told[0].ID(), "credits-restored-") {
		t.Errorf("told %v", told)
	}
}
