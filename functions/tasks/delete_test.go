package tasks_test

import (
	"slices"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/tasks"
	"github.com/preset/nanobanana-functions/shared/task"
)

// Deleting a finished task hides it from its owner, empties its row and sets
// its work to erase. A second DELETE is 204 too and writes nothing.
func TestDelete(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, status := range []task.Status{task.Succeeded, task.Failed} {
		x := h.addRow("ada", func(x *task.Task) error { x.Target = &board; return h.statuses()[status](x) })
		h.Clock.Add(time.Minute)
		for range 3 {
			got := h.send("DELETE", "/v1/tasks/"+x.ID, "")
			if got.Status != 204 || got.Body != "" || got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Content-Type") != "" {
				t.Errorf("%s: %d %q %v", status, got.Status, got.Body, got.Header)
			}
		}
		row := h.row(x.ID)
		if row.Version != x.Version+1 || row.Status != status || !row.DeletedAt.Equal(h.Now()) || row.Work != task.Erase || row.DueAt.IsZero() {
			t.Errorf("%s: the row is %+v", status, row)
		}
		if row.Prompt != "" || row.Images != nil || row.Target != nil || row.Fingerprint != "" {
			t.Errorf("%s: the row is not empty: %+v", status, row)
		}
		h.get("/v1/tasks/"+x.ID).Problem(t, 404, task.CodeNotFound)
		for _, path := range []string{"/v1/tasks?ids=" + x.ID, "/v1/tasks?target=moodboard:42"} {
			if ids, _ := h.get(path).list(t); len(ids) != 0 {
				t.Errorf("%s: %s lists it", status, path)
			}
		}
	}
}

// A task that the image service may be working on cannot be deleted: it is paid
// for.
func TestDeleteRunning(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, status := range []task.Status{task.Submitting, task.Unconfirmed, task.Generating, task.Storing} {
		x := h.addRow("ada", h.statuses()[status])
		h.send("DELETE", "/v1/tasks/"+x.ID, "").Problem(t, 409, task.CodeConflict)
		if row := h.row(x.ID); row.Version != x.Version || row.Status != status {
			t.Errorf("%s: the row is %s, version %d", status, row.Status, row.Version)
		}
	}
}

// withQuota makes a task count n images of its owner's quota.
func (h *harness) withQuota(n int) func(*task.Task) error {
	return func(x *task.Task) error {
		x.NumImages, x.Quota = n, &task.Quota{Day: task.Day(h.Now()), Images: n}
		return nil
	}
}

// checkUsed fails the test unless ada's tasks of the day have used n images.
func (h *harness) checkUsed(n int) {
	h.t.Helper()
	if got, err := h.Rows.UsedImages(h.t.Context(), "ada", task.Day(h.Now())); got != n || err != nil {
		h.t.Errorf("used %d, %v; want %d", got, err, n)
	}
}

// Canceling a waiting task returns its images to the quota once and charges
// nothing; no sweep posts it, and Preset is notified if NOTIFY_URL is set.
func TestCancel(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.function.Notify = true
	h.handler = tasks.New(h.function)
	h.addRow("ada", h.withQuota(2))
	x := h.addRow("ada", h.withQuota(3), h.refused(task.CodePaused, task.RetryLater))
	h.checkUsed(5)
	for range 2 {
		if got := h.contract.Serve(t, h.handler, h.request("DELETE", "/v1/tasks/"+x.ID)); got.Status != 204 {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		h.checkUsed(2)
	}
	row := h.row(x.ID)
	if row.Status != task.Failed || row.Failure != task.CodeCanceled || !row.Quota.Returned || !slices.Equal(row.Charges, []task.Charge{task.ChargeNone}) {
		t.Errorf("the row is %+v", row)
	}
	if row.Work != task.Erase || row.Notice != task.Pending || row.NoticeKind() != task.NoticeDeleted {
		t.Errorf("work %s, notice %s of %s", row.Work, row.Notice, row.NoticeKind())
	}
	for range 10 {
		h.Clock.Add(time.Hour)
		if _, err := h.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.Sim.Posts(); n != 0 || h.row(x.ID).Failure != task.CodeCanceled {
		t.Errorf("%d POSTs", n)
	}
	h.get("/v1/tasks/"+x.ID).Problem(t, 404, task.CodeNotFound)
}

// With cancel=1 nothing but a waiting task is deleted.
func TestCancelOnly(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, status := range []task.Status{task.Submitting, task.Unconfirmed, task.Generating, task.Storing, task.Succeeded, task.Failed} {
		x := h.addRow("ada", h.statuses()[status])
		h.send("DELETE", "/v1/tasks/"+x.ID+"?cancel=1", "").Problem(t, 409, task.CodeConflict)
		if row := h.row(x.ID); row.Version != x.Version || row.Status != status || row.Deleted() {
			t.Errorf("%s: the row is %s, version %d", status, row.Status, row.Version)
		}
	}
	x := h.addRow("ada", h.refused(task.CodePaused, task.RetryLater))
	for range 2 {
		if got := h.send("DELETE", "/v1/tasks/"+x.ID+"?cancel=1", ""); got.Status != 204 || !h.row(x.ID).Deleted() {
			t.Errorf("a waiting task: %d %s", got.Status, got.Body)
		}
	}
	done := h.addRow("ada", h.statuses()[task.Succeeded])
	for _, query := range []string{"?cancel=2", "?cancel=yes", "?cancel", "?canel=1"} { // which could delete what was not to be deleted
		h.contract.Serve(t, h.handler, h.request("DELETE", "/v1/tasks/"+done.ID+query)).Problem(t, 400, task.CodeInvalidRequest)
	}
	if h.row(done.ID).Deleted() {
		t.Error("a query with a mistake deletes a task")
	}
	if got := h.send("DELETE", "/v1/tasks/"+done.ID+"?cancel=0", ""); got.Status != 204 || !h.row(done.ID).Deleted() {
		t.Errorf("cancel=0: %d %s", got.Status, got.Body)
	}
}

// If others write the row between DELETE's read and its put, their change
// decides.
func TestDeleteRace(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	first := func(id string, change func(*task.Task) error) {
		done := false
		h.Rows.Fail(func(call string, _ *task.Task) error {
			if call == "put" && !done {
				done = true
				h.change(id, change)
			}
			return nil
		}, nil)
	}
	waiting := func() string { return h.addRow("ada", h.withQuota(1), h.refused(task.CodePaused, task.RetryLater)).ID }

	id := waiting()
	first(id, func(x *task.Task) error { return x.Resubmit(x.DueAt) })
	h.send("DELETE", "/v1/tasks/"+id, "").Problem(t, 409, task.CodeConflict)
	if row := h.row(id); row.Status != task.Submitting || row.Attempt != 2 {
		t.Errorf("the sweep's attempt %d is %s", row.Attempt, row.Status)
	}
	h.checkUsed(1)

	id = waiting()
	first(id, func(x *task.Task) error { return x.SetTarget(h.Rules, board, h.Now()) })
	if got := h.send("DELETE", "/v1/tasks/"+id, ""); got.Status != 204 || !h.row(id).Deleted() {
		t.Errorf("after a new target: %d %s", got.Status, got.Body)
	}
	h.checkUsed(1)

	id = waiting()
	first(id, func(x *task.Task) error { return x.Delete(h.Rules, h.Now()) })
	if got := h.send("DELETE", "/v1/tasks/"+id, ""); got.Status != 204 {
		t.Errorf("after another DELETE: %d %s", got.Status, got.Body)
	}
	h.checkUsed(1)

	id = waiting()
	first(id, func(x *task.Task) error { return x.Delete(h.Rules, h.Now()) })
	h.send("PUT", "/v1/tasks/"+id+"/target", showcase).Problem(t, 404, task.CodeNotFound)
}
