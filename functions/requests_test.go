package functions_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// asked fails the test unless these are all requests that a function has made
// of DynamoDB and S3 since it was last asked.
func (w *world) asked(name string, want ...string) {
	w.t.Helper()
	got := slices.DeleteFunc(w.proxy[name].Take(), func(call string) bool { return call == "GetSecretValue" })
	if !slices.Equal(got, want) {
		w.t.Errorf("%s asked for %v, want %v", name, got, want)
	}
}

// What a task costs in requests: 7 of DynamoDB's and 2 of S3's, if all is well.
func TestRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, func(k *nanobananatest.Knobs) { k.Delay = nanobananatest.Duration(500 * time.Millisecond) })
	x := w.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k")
	w.asked("submit", "PutItem", "PutItem")
	made := w.over(0)
	w.asked("callback", "GetItem", "PutItem", "PutItem")
	w.ended("ada", x.ID)
	w.asked("ingest", "GetItem", "PUT", "PUT", "PutItem")

	w.calledBack(made, http.StatusOK)
	w.asked("callback", "GetItem")
	link := w.forgedLink(made)
	if a := w.call("", http.MethodPost, link, map[string]int{"code": 200}); a.status != http.StatusNotFound {
		t.Errorf("a forged callback: %d", a.status)
	}
	w.asked("callback")
	w.sweep()
	w.asked("sweep", "Query")
	w.asked("ingest")

	w.proxy["tasks"].Take()
	got := w.ended("ada", x.ID)
	w.asked("tasks", "GetItem")
	if a := w.call("", http.MethodGet, got.Images[0].URL, nil); a.status != http.StatusFound {
		t.Errorf("the picture's link: %d", a.status)
	}
	w.asked("images")
	w.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k")
	w.asked("submit", "PutItem") // refused: the row that stands is in the refusal
}

// With a quota, the creation counts in the same transaction.
func TestRequestsWithQuota(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]string{"DAILY_QUOTA": "1"}, func(k *nanobananatest.Knobs) { k.LoseCallbacks = true })
	w.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k")
	w.asked("submit", "TransactWriteItems", "PutItem")
	w.call("ada", http.MethodGet, "/v1/credits", nil)
	w.asked("credits", "GetItem")
}
