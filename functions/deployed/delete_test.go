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

// A waiting task is canceled by its owner: the transaction that ends it returns
// its images to the quota, and no sweep posts it. Preset is told at once.
func TestCancelWaiting(t *testing.T) {
	t.Parallel()
	notices := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		notices <- string(body)
	}))
	defer receiver.Close()
	h := newHarness(t, map[string]string{"DAILY_QUOTA": "3", "NOTIFY_URL": receiver.URL + "/hook"}, func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455}
	})
	x := h.submit("ada", map[string]any{"prompt": "a lighthouse", "numImages": 2}, "k")
	if x.Status != task.Waiting {
		t.Fatalf("it is %s", x.Status)
	}
	h.proxy["tasks"].Take()
	for range 2 {
		if a := h.call("ada", http.MethodDelete, "/v1/tasks/"+x.ID, nil); a.status != http.StatusNoContent {
			t.Errorf("DELETE: %d %s", a.status, a.body)
		}
	}
	h.checkRequests("tasks", "GetItem", "TransactWriteItems", "GetItem")
	var left credits.Credits
	h.call("ada", http.MethodGet, "/v1/credits", nil).decode(t, http.StatusOK, &left)
	row := h.row(x.ID)
	if left.Quota.Used != 0 || row.Failure != task.CodeCanceled || !row.Quota.Returned {
		t.Errorf("used %d, %+v", left.Quota.Used, row)
	}
	notice := ""
	select {
	case notice = <-notices:
	case <-time.After(time.Minute):
	}
	eventually(t, "its acceptance is not kept", func() bool { return h.row(x.ID).Notice == "" })
	if row := h.row(x.ID); row.Work != task.Erase {
		t.Errorf("its work is %q: the notice waited for the erase", row.Work)
	}
	h.age(x.ID, time.Hour)
	h.sweep()
	if !strings.Contains(notice, `"type":"task.deleted"`) || !strings.Contains(notice, x.ID) || !strings.Contains(notice, `"canceled"`) || strings.Contains(notice, "lighthouse") {
		t.Errorf("notice: %s", notice)
	}
	eventually(t, "it is still due", func() bool { x := h.row(x.ID); return x.Due().IsZero() && !x.NotifiedAt.IsZero() })
	if n := h.sim.Posts(); n != 1 {
		t.Errorf("%d POSTs, want 1", n)
	}
}

// Ingest is killed at each step of deleting a deleted task's objects, as often
// as the stream retries its record. The sweep wakes the task, and again 16
// minutes after the DELETE, for objects that were still being written. In the
// end no object and no work is left.
func TestEraseKilled(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		at    killPoint
		times int
	}{
		"before it reads":       {killPoint{"GetItem", 1, false}, 2},
		"before it lists":       {killPoint{"GET", 1, false}, 2},
		"before it deletes":     {killPoint{"POST", 1, false}, 2},
		"after it has deleted":  {killPoint{"POST", 1, true}, 1},
		"before the last write": {killPoint{"PutItem", 1, false}, 1},
		"after the last write":  {killPoint{"PutItem", 1, true}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, nil)
			got := h.awaitEnd("ada", h.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k").ID)
			link := h.call("", http.MethodGet, got.Images[0].URL, nil).header.Get("Location")
			starts := h.function["ingest"].Starts()
			last := test.at.call == "PutItem" // the erases before that write nothing
			if !last {
				h.killAt("ingest", test.at, test.times)
			}
			if a := h.call("ada", http.MethodDelete, "/v1/tasks/"+got.ID, nil); a.status != http.StatusNoContent {
				t.Fatalf("DELETE: %d %s", a.status, a.body)
			}
			if test.times == 2 {
				eventually(t, "the record is not given up", func() bool { return h.source["ingest"].GivenUp() == 1 })
				if h.status(link) != http.StatusOK {
					t.Error("it was not killed before its end")
				}
				h.age(got.ID, time.Minute)
				h.sweep()
			}
			eventually(t, "the picture is still there", func() bool { return h.status(link) == http.StatusNotFound })
			if row := h.row(got.ID); row.Work != task.Erase {
				t.Errorf("work %q, want erase: an object may still be written", row.Work)
			}
			if last {
				h.killAt("ingest", test.at, test.times)
			}
			h.age(got.ID, 20*time.Minute)
			h.sweep()
			eventually(t, "it is still due", func() bool { x := h.row(got.ID); return x.Work == "" && x.Due().IsZero() })
			eventually(t, "ingest was not killed", func() bool { return h.function["ingest"].Starts() > starts })
			if row := h.row(got.ID); row.Status != task.Succeeded || !row.Deleted() || h.status(link) != http.StatusNotFound {
				t.Errorf("in the end it is %+v", row)
			}
		})
	}
}

// status returns the status code of a GET.
func (h *harness) status(link string) int {
	h.t.Helper()
	resp, err := http.Get(link)
	if err != nil {
		h.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
