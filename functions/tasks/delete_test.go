package tasks_test

import (
	"slices"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/tasks"
	"github.com/preset/nanobanana-functions/shared/task"
)

// A finished task is deleted: to its owner it is as one that never was, its row
// is emptied, and its work is to erase the pictures. Again it is 204 again,
// and nothing is written.
func TestDelete(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, status := range []task.Status{task.Succeeded, task.Failed} {
		x := s.row("ada", func(x *task.Task) error { x.Target = &board; return s.lives()[status](x) })
		s.Clock.Add(time.Minute)
		for range 3 {
			got := s.send("DELETE", "/v1/tasks/"+x.ID, "")
			if got.Status != 204 || got.Body != "" || got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Content-Type") != "" {
				t.Errorf("%s: %d %q %v", status, got.Status, got.Body, got.Header)
			}
		}
		row := s.stored(x.ID)
		if row.Version != x.Version+1 || row.Status != status || !row.DeletedAt.Equal(s.Now()) || row.Work != task.Erase || row.DueAt.IsZero() {
			t.Errorf("%s: the row is %+v", status, row)
		}
		if row.Prompt != "" || row.Images != nil || row.Target != nil || row.Fingerprint != "" {
			t.Errorf("%s: the row is not empty: %+v", status, row)
		}
		s.get("/v1/tasks/"+x.ID).Problem(t, 404, task.CodeNotFound)
		for _, path := range []string{"/v1/tasks?ids=" + x.ID, "/v1/tasks?target=moodboard:42"} {
			if ids, _ := s.get(path).list(t); len(ids) != 0 {
				t.Errorf("%s: %s lists it", status, path)
			}
		}
	}
}

// What the image service may be working on cannot be taken back: it is paid for.
func TestDeleteRunning(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, status := range []task.Status{task.Submitting, task.Unconfirmed, task.Generating, task.Storing} {
		x := s.row("ada", s.lives()[status])
		s.send("DELETE", "/v1/tasks/"+x.ID, "").Problem(t, 409, task.CodeConflict)
		if row := s.stored(x.ID); row.Version != x.Version || row.Status != status {
			t.Errorf("%s: the row is %s, version %d", status, row.Status, row.Version)
		}
	}
}

// counted has a task raise its owner's quota by n images.
func (s *site) counted(n int) func(*task.Task) error {
	return func(x *task.Task) error {
		x.NumImages, x.Quota = n, &task.Quota{Day: task.Day(s.Now()), Images: n}
		return nil
	}
}

// used fails the test unless ada's tasks of the day have used n images.
func (s *site) used(n int) {
	s.t.Helper()
	if got, err := s.Rows.UsedImages(s.t.Context(), "ada", task.Day(s.Now())); got != n || err != nil {
		s.t.Errorf("used %d, %v; want %d", got, err, n)
	}
}

// A waiting task is cancelled: its images go back to the quota, once, nothing
// is charged, and no sweep ever posts it. Preset is told, where it is told at all.
func TestCancel(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.function.Rules.Notify = true
	s.handler = tasks.New(s.function)
	s.row("ada", s.counted(2))
	x := s.row("ada", s.counted(3), s.refused(task.CodePaused, task.RetryLater))
	s.used(5)
	for range 2 {
		if got := s.contract.Serve(t, s.handler, s.request("DELETE", "/v1/tasks/"+x.ID)); got.Status != 204 {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		s.used(2)
	}
	row := s.stored(x.ID)
	if row.Status != task.Failed || row.Failure != task.CodeCanceled || !row.Quota.Returned || !slices.Equal(row.Charges, []task.Charge{task.ChargeNone}) {
		t.Errorf("the row is %+v", row)
	}
	if row.Work != task.Erase || !row.NoticePending {
		t.Errorf("work %s, pending %v", row.Work, row.NoticePending)
	}
	for range 10 {
		s.Clock.Add(time.Hour)
		if _, err := s.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Sim.Posts(); n != 0 || s.stored(x.ID).Failure != task.CodeCanceled {
		t.Errorf("%d POSTs", n)
	}
	s.get("/v1/tasks/"+x.ID).Problem(t, 404, task.CodeNotFound)
}

// Others write the row between DELETE's read and its put: what they made of it
// decides.
func TestDeleteMeanwhile(t *testing.T) {
	t.Parallel()
	s := serve(t)
	first := func(id string, change func(*task.Task) error) {
		done := false
		s.Rows.Fail(func(call string, _ *task.Task) error {
			if call == "put" && !done {
				done = true
				s.change(id, change)
			}
			return nil
		}, nil)
	}
	waiting := func() string { return s.row("ada", s.counted(1), s.refused(task.CodePaused, task.RetryLater)).ID }

	id := waiting()
	first(id, func(x *task.Task) error { return x.Resubmit(x.DueAt) })
	s.send("DELETE", "/v1/tasks/"+id, "").Problem(t, 409, task.CodeConflict)
	if row := s.stored(id); row.Status != task.Submitting || row.Attempt != 2 {
		t.Errorf("the sweep's attempt %d is %s", row.Attempt, row.Status)
	}
	s.used(1)

	id = waiting()
	first(id, func(x *task.Task) error { return x.SetTarget(board, s.Now()) })
	if got := s.send("DELETE", "/v1/tasks/"+id, ""); got.Status != 204 || !s.stored(id).Deleted() {
		t.Errorf("after a new target: %d %s", got.Status, got.Body)
	}
	s.used(1)

	id = waiting()
	first(id, func(x *task.Task) error { return x.Delete(s.Rules, s.Now()) })
	if got := s.send("DELETE", "/v1/tasks/"+id, ""); got.Status != 204 {
		t.Errorf("after another DELETE: %d %s", got.Status, got.Body)
	}
	s.used(1)

	id = waiting()
	first(id, func(x *task.Task) error { return x.Delete(s.Rules, s.Now()) })
	s.send("PUT", "/v1/tasks/"+id+"/target", showcase).Problem(t, 404, task.CodeNotFound)
}
