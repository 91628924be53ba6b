package deployed_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// A task that waits is cancelled by its owner: the transaction that ends it
// gives back what it raised of the quota, and no sweep posts it. Preset is told,
// when the erase is over.
func TestCancelWaiting(t *testing.T) {
	t.Parallel()
	told := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told <- string(body)
	}))
	defer receiver.Close()
	w := newWorld(t, map[string]string{"DAILY_QUOTA": "3", "NOTIFY_URL": receiver.URL + "/hook"}, func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455}
	})
	x := w.submit("ada", map[string]any{"prompt": "a lighthouse", "numImages": 2}, "k")
	if x.Status != task.Waiting {
		t.Fatalf("it is %s", x.Status)
	}
	w.proxy["tasks"].Take()
	for range 2 {
		if a := w.call("ada", http.MethodDelete, "/v1/tasks/"+x.ID, nil); a.status != http.StatusNoContent {
			t.Errorf("DELETE: %d %s", a.status, a.body)
		}
	}
	w.asked("tasks", "GetItem", "TransactWriteItems", "GetItem")
	var left credits.Credits
	w.call("ada", http.MethodGet, "/v1/credits", nil).into(t, http.StatusOK, &left)
	row := w.stored(x.ID)
	if left.Quota.Used != 0 || row.Failure != task.CodeCanceled || !row.Quota.Returned {
		t.Errorf("used %d, %+v", left.Quota.Used, row)
	}
	w.age(x.ID, time.Hour)
	w.sweep()
	notice := ""
	select {
	case notice = <-told:
	case <-time.After(time.Minute):
	}
	if !strings.Contains(notice, x.ID) || !strings.Contains(notice, `"canceled"`) || strings.Contains(notice, "lighthouse") {
		t.Errorf("told: %s", notice)
	}
	eventually(t, "it is still due", func() bool { x := w.stored(x.ID); return x.DueAt.IsZero() && !x.NotifiedAt.IsZero() })
	if n := w.sim.Posts(); n != 1 {
		t.Errorf("%d POSTs, want 1", n)
	}
}

// Ingest is killed at each moment of emptying the bucket for a deleted task, as
// often as the stream hands its record over. The sweep wakes it, and 16 minutes
// after the DELETE once more, for whatever was still on its way: then no object
// is left, and nothing to do.
func TestEraseKilled(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		at    moment
		times int
	}{
		"before it reads":                {moment{"GetItem", 1, false}, 2},
		"before it lists":                {moment{"GET", 1, false}, 2},
		"before it deletes":              {moment{"POST", 1, false}, 2},
		"when it has deleted":            {moment{"POST", 1, true}, 1},
		"before the last write":          {moment{"PutItem", 1, false}, 1},
		"when the last write is written": {moment{"PutItem", 1, true}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			got := w.ended("ada", w.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k").ID)
			link := w.call("", http.MethodGet, got.Images[0].URL, nil).header.Get("Location")
			starts := w.function["ingest"].Starts()
			last := test.at.call == "PutItem" // the erases before that write nothing
			if !last {
				w.killAt("ingest", test.at, test.times)
			}
			if a := w.call("ada", http.MethodDelete, "/v1/tasks/"+got.ID, nil); a.status != http.StatusNoContent {
				t.Fatalf("DELETE: %d %s", a.status, a.body)
			}
			if test.times == 2 {
				eventually(t, "the record is not given up", func() bool { return w.source["ingest"].GivenUp() == 1 })
				if w.fetched(link) != http.StatusOK {
					t.Error("it was not killed before its end")
				}
				w.age(got.ID, time.Minute)
				w.sweep()
			}
			eventually(t, "the picture is still there", func() bool { return w.fetched(link) == http.StatusNotFound })
			if row := w.stored(got.ID); row.Work != task.Erase {
				t.Errorf("work %q: something may still be on its way", row.Work)
			}
			if last {
				w.killAt("ingest", test.at, test.times)
			}
			w.age(got.ID, 20*time.Minute)
			w.sweep()
			eventually(t, "it is still due", func() bool { x := w.stored(got.ID); return x.Work == "" && x.DueAt.IsZero() })
			eventually(t, "ingest was not killed", func() bool { return w.function["ingest"].Starts() > starts })
			if row := w.stored(got.ID); row.Status != task.Succeeded || !row.Deleted() || w.fetched(link) != http.StatusNotFound {
				t.Errorf("in the end it is %+v", row)
			}
		})
	}
}

// fetched is the status of a link.
func (w *world) fetched(link string) int {
	w.t.Helper()
	resp, err := http.Get(link)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
