package functions_test

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

	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/task"
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
