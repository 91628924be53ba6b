package deployed_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/aws/taskdb"
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

// What a task costs in requests: 7 of DynamoDB's and 2 of S3's, if all is well,
// and it is not one of those whose time is kept.
func TestRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, func(k *nanobananatest.Knobs) { k.Delay = nanobananatest.Duration(500 * time.Millisecond) })
	const untimed = "a" // the key of a task whose timing is not kept
	x := w.submit("ada", map[string]any{"prompt": "a lighthouse"}, untimed)
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
	w.submit("ada", map[string]any{"prompt": "a lighthouse"}, untimed)
	w.asked("submit", "PutItem") // refused: the row that stands is in the refusal
}

// One of four tasks is timed, which is one request more; and who shows a running
// task asks for the timings once a minute.
func TestRequestsOfProgress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, func(k *nanobananatest.Knobs) { k.Delay = nanobananatest.Duration(5 * time.Second) })
	const timed = "c" // the key of one
	x := w.submit("ada", map[string]any{"prompt": "a lighthouse"}, timed)
	w.call("ada", http.MethodGet, "/v1/tasks/"+x.ID, nil)
	w.asked("tasks", "GetItem", "GetItem")
	w.call("ada", http.MethodGet, "/v1/tasks/"+x.ID, nil)
	w.asked("tasks", "GetItem")
	w.over(0)
	w.ended("ada", x.ID)
	end := w.stored(x.ID)
	timing, ok := end.Timing()
	if !ok {
		t.Fatal("the task is not one that is timed")
	}
	eventually(t, "its timing is not kept", func() bool {
		timings, err := taskdb.New(w.aws, w.table).Timings(t.Context())
		return err == nil && slices.Equal(timings[timing.Kind], []int{timing.Seconds})
	})
	w.asked("ingest", "GetItem", "PUT", "PUT", "PutItem", "UpdateItem")
}

// With a quota, the creation counts in the same transaction.
func TestRequestsWithQuota(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]string{"DAILY_QUOTA": "1"}, func(k *nanobananatest.Knobs) { k.LoseCallbacks = true })
	w.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k")
	w.asked("submit", "TransactWriteItems", "PutItem")
	w.call("ada", http.MethodGet, "/v1/credits", nil)
	w.asked("credits", "GetItem", "GetItem") // what the last check found, and what ada used
	w.call("ada", http.MethodGet, "/v1/credits", nil)
	w.asked("credits", "GetItem")
}

// A look at the credits is one request, and none for the next half a minute;
// it is a check alone that asks the provider.
func TestRequestsOfCredits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.checkCredits()
	w.asked("credits", "GetItem", "PutItem")
	w.function["credits"].Kill()
	w.call("ada", http.MethodGet, "/v1/credits", nil)
	w.asked("credits", "GetItem")
	w.call("ada", http.MethodGet, "/v1/credits", nil)
	w.asked("credits")
	if n := w.sim.CreditReads(); n != 1 {
		t.Errorf("the provider was asked %d times", n)
	}
}
