package lifecycle_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// unreadable makes the provider answer every read of a record with 500, or not.
func (h *harness) unreadable(is bool) {
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
		if k.Record = (nanobananatest.Fault{}); is {
			k.Record.Kind = nanobananatest.FaultStatus
		}
	})
}

// timedOut returns a task of two pictures whose record could not be read for a day, and
// can be read now.
func (h *harness) timedOut() *task.Task {
	h.t.Helper()
	n := len(h.Sim.Tasks())
	h.unreadable(true)
	x := h.submit(func(o *lifecycle.Order) {
		o.Request.NumImages = 2
		o.Request.Target = &task.Target{Kind: "moodboard", ID: "1"}
		o.Request.Metadata = map[string]string{"board": "spring"}
	})
	h.generated(n)
	return h.failed(x.ID, task.CodeTimedOut)
}

// unknown returns a task whose POST got no clear answer, though it was accepted.
func (h *harness) unknown() *task.Task {
	h.t.Helper()
	n := len(h.Sim.Tasks())
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultEmpty, Accepted: true, Times: 1}
	})
	x := h.submit()
	h.generated(n)
	return h.failed(x.ID, task.CodeOutcomeUnknown)
}

// failed sweeps until the task has failed, and makes records readable an hour later.
func (h *harness) failed(id string, code task.Code) *task.Task {
	h.t.Helper()
	for range 60 {
		if h.task(id).Done() {
			break
		}
		h.sweep(30 * time.Minute)
	}
	h.unreadable(false)
	h.Clock.Add(time.Hour)
	return h.expect(id, task.Failed, code)
}

func (h *harness) rescue(id, providerID string) (*task.Task, error) {
	return lifecycle.Rescuer{Service: h.Poster.Service}.Rescue(h.t.Context(), id, providerID)
}

// refused fails the test unless the rescue is refused because of why.
func (h *harness) refusedRescue(id, providerID string, why lifecycle.NotRescued) *lifecycle.RescueError {
	h.t.Helper()
	t, err := h.rescue(id, providerID)
	refusal, ok := errors.AsType[*lifecycle.RescueError](err)
	if !ok || refusal.Why != why {
		h.t.Fatalf("rescue: %v, %v; want it refused: %s", t, err, why)
	}
	if _, err := h.Rows.Store.Task(h.t.Context(), task.RescueID(id)); why != lifecycle.RescueDone && !errors.Is(err, task.ErrNotFound) {
		h.t.Errorf("refused with %s, and there is a rescued task: %v", why, err)
	}
	return refusal
}

func TestRescueStoresWhatWasLost(t *testing.T) {
	h := newHarness(t)
	origin := h.timedOut()
	h.Logged.Take()
	x, err := h.rescue(origin.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	if x.ID != task.RescueID(origin.ID) || x.RescuedFrom != origin.ID || x.Status != task.Storing || x.Attempt != 0 || !reflect.DeepEqual(x.Request, origin.Request) {
		t.Errorf("rescued as %+v", x)
	}
	if log := h.Logged.Take(); !strings.Contains(log, `"from":"","to":"storing","cause":"rescue"`) || !strings.Contains(log, `"event":"task_rescued"`) || strings.Contains(log, "lighthouse") || strings.Contains(log, owner) {
		t.Errorf("logged:\n%s", log)
	}
	end := h.until(x.ID, task.Succeeded, time.Hour)
	if len(end.Images) != 2 || end.Missing != 0 || end.Quota != nil || len(end.Charges) != 0 || end.Schema != 1 {
		t.Errorf("it ended as %+v", end)
	}
	h.posted(1)

	after := h.task(origin.ID) // as it was, except the claim of the read
	after.ReadAt, after.Version, after.Writer = origin.ReadAt, origin.Version, origin.Writer
	if !reflect.DeepEqual(after, origin) {
		t.Errorf("the ended task is now\n%+v, and was\n%+v", after, origin)
	}

	again := h.refusedRescue(origin.ID, "", lifecycle.RescueDone)
	if again.Rescued == nil || again.Rescued.ID != x.ID {
		t.Errorf("the second time: %+v", again)
	}
	h.refusedRescue(x.ID, "", lifecycle.RescueNeedless)
	ids, _, err := h.Rows.List(t.Context(), task.Query{Owner: owner, Limit: 10})
	if err != nil || len(ids) != 2 || ids[0] != x.ID {
		t.Errorf("the owner's list: %v, %v", ids, err)
	}
}

// Nothing proves whose the record of an id is that our own answer did not have, but our
// callback address with this task's attempt in it.
func TestRescueNeedsProof(t *testing.T) {
	h := newHarness(t)
	origin := h.unknown()
	its := h.Sim.Tasks()[0].ID
	other := h.timedOut()
	others := other.ProviderID
	params := func(p string) { h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.ParamJSON = p }) }
	wait := func() { h.Clock.Add(time.Minute) }

	if got := h.refusedRescue(origin.ID, "", lifecycle.RescueUnnamed); got.ProviderID != "" {
		t.Errorf("asked for %q", got.ProviderID)
	}
	for _, none := range []string{"null", "0", "a b", strings.Repeat("x", 129), "https://x.example/"} {
		h.refusedRescue(origin.ID, none, lifecycle.RescueBadID)
	}
	h.refusedRescue(origin.ID, others, lifecycle.RescueForeign)
	wait()
	params("noCallback") // the same prompt is no proof
	h.refusedRescue(origin.ID, its, lifecycle.RescueUnproved)
	wait()
	params("absent")
	h.refusedRescue(origin.ID, its, lifecycle.RescueUnproved)
	wait()
	h.refusedRescue(other.ID, its, lifecycle.RescueUnproved) // given, though another is known
	wait()
	params("")
	h.refusedRescue(other.ID, its, lifecycle.RescueForeign)
	wait()
	x, err := h.rescue(origin.ID, its)
	if err != nil {
		t.Fatal(err)
	}
	h.until(x.ID, task.Succeeded, time.Hour)
	params("absent") // the id of our own answer needs no more proof
	if _, err := h.rescue(other.ID, ""); err != nil {
		t.Fatal(err)
	}
}

// An id that the row does not have must be the record's own: else the rescued task would
// read another task's record for fresh links.
func TestRescueByAnotherTasksID(t *testing.T) {
	h := newHarness(t)
	origin := h.unknown()
	its := h.Sim.Tasks()[0].ID
	renamed := func(envelope map[string]any) any {
		envelope["data"].(map[string]any)["taskId"] = "another-id"
		return envelope
	}
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Reshape = renamed })
	h.refusedRescue(origin.ID, its, lifecycle.RescueForeign)
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Reshape = nil })
	h.Clock.Add(time.Minute)
	if _, err := h.rescue(origin.ID, its); err != nil {
		t.Fatal(err)
	}
}

// The record is read again while a rescued task stores: it names the old task's attempt.
func TestARescuedTaskGetsFreshLinks(t *testing.T) {
	for _, params := range []string{"", "absent"} {
		h := newHarness(t, func(k *nanobananatest.Knobs) { k.ParamJSON = params })
		origin := h.timedOut()
		old := h.Sim.Knobs().Download
		h.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
			k.Download = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 403}
		})
		x, err := h.rescue(origin.ID, "")
		if err != nil {
			t.Fatal(err)
		}
		h.work(x.ID)
		h.sweep(2 * time.Minute)
		if x = h.expect(x.ID, task.Storing, ""); x.Reread.IsZero() || x.ReadAt.Equal(x.CreatedAt) || len(x.Charges) > 0 {
			t.Errorf("its record was not read again: %+v", x)
		}
		h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Download = old })
		h.until(x.ID, task.Succeeded, 2*time.Hour)
		if log := h.Logged.Take(); strings.Contains(log, "panic") {
			t.Errorf("logged:\n%s", log)
		}
	}
}

func TestRescueIsRefused(t *testing.T) {
	h := newHarness(t)
	h.refusedRescue(task.NewID(owner, "nothing"), "", lifecycle.NoSuchTask)
	h.refusedRescue(h.Succeeded(t, owner).ID, "", lifecycle.RescueNeedless)
	running := h.submit()
	h.refusedRescue(running.ID, "", lifecycle.RescueRunning)
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Outcome = nanobananatest.Outcome{ErrorCode: 400, Times: 1} })
	n := len(h.Sim.Tasks())
	policy := h.submit(key("policy"))
	h.generated(n)
	h.sweep(2 * time.Minute)
	h.expect(policy.ID, task.Failed, task.CodeContentPolicy)
	h.refusedRescue(policy.ID, "", lifecycle.RescueHopeless)

	x := h.timedOut()
	record := func(change func(k *nanobananatest.Knobs), why lifecycle.NotRescued) *lifecycle.RescueError {
		t.Helper()
		h.Sim.SetKnobs(change)
		defer h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Record, k.RecordFlag, k.Reshape = nanobananatest.Fault{}, nil, nil })
		h.Clock.Add(time.Minute)
		return h.refusedRescue(x.ID, "", why)
	}
	flag := func(n int) func(*nanobananatest.Knobs) {
		return func(k *nanobananatest.Knobs) { k.RecordFlag = &n }
	}
	if got := record(flag(0), lifecycle.RescueNotMade); got.State != task.RecordRunning || got.ProviderID != x.ProviderID {
		t.Errorf("a running one: %+v", got)
	}
	if got := record(flag(3), lifecycle.RescueNotMade); got.State != task.RecordUnclear || got.Shape == "" {
		t.Errorf("a failure with links: %+v", got)
	}
	record(func(k *nanobananatest.Knobs) { k.Record.Kind = nanobananatest.FaultHTML }, lifecycle.RescueUnread)

	// All reads pause after a 429.
	record(func(k *nanobananatest.Knobs) {
		k.Record = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429, RetryAfter: nanobananatest.Duration(3 * time.Minute)}
	}, lifecycle.RescueUnread)
	h.Clock.Add(time.Minute)
	if got := h.refusedRescue(x.ID, "", lifecycle.RescueTooSoon); got.Wait != 2*time.Minute {
		t.Errorf("it may come again in %v", got.Wait)
	}
	h.Clock.Add(3 * time.Minute)
	h.unreadable(true)
	h.refusedRescue(x.ID, "", lifecycle.RescueUnread)
	h.unreadable(false)
	h.Clock.Add(10 * time.Second)
	if got := h.refusedRescue(x.ID, "", lifecycle.RescueTooSoon); got.Wait != 26*time.Second {
		t.Errorf("it may come again in %v", got.Wait)
	}
	h.Clock.Add(time.Minute)
	if _, err := task.Update(t.Context(), h.Rows, h.task(x.ID), func(x *task.Task) error { return x.Delete(h.Rules, h.Clock.Now()) }); err != nil {
		t.Fatal(err)
	}
	h.refusedRescue(x.ID, "", lifecycle.RescueDeleted)
}

// The owner deletes the task after its record was read: the transaction refuses it.
func TestRescueOfATaskDeletedMeanwhile(t *testing.T) {
	h := newHarness(t)
	origin := h.timedOut()
	h.Rows.Fail(func(call string, _ *task.Task) error {
		if call != "rescue" {
			return nil
		}
		x, err := h.Rows.Store.Task(context.Background(), origin.ID)
		if err == nil {
			_, err = task.Update(context.Background(), h.Rows.Store, x, func(x *task.Task) error { return x.Delete(h.Rules, h.Clock.Now()) })
		}
		return err
	}, nil)
	h.refusedRescue(origin.ID, "", lifecycle.RescueDeleted)
}

// The owner moves the task after its record was read: the picture must not come to the old
// place.
func TestRescueOfATaskMovedMeanwhile(t *testing.T) {
	h := newHarness(t)
	origin := h.timedOut()
	h.Rows.Fail(func(call string, _ *task.Task) error {
		if call != "rescue" {
			return nil
		}
		x, err := h.Rows.Store.Task(context.Background(), origin.ID)
		if err == nil {
			_, err = task.Update(context.Background(), h.Rows.Store, x, func(x *task.Task) error {
				return x.SetTarget(h.Rules, task.Target{Kind: "showcase", ID: "2"}, h.Clock.Now())
			})
		}
		return err
	}, nil)
	h.refusedRescue(origin.ID, "", lifecycle.RescueOvertaken)
	h.Rows.Fail(nil, nil)
	h.Clock.Add(time.Minute)
	x, err := h.rescue(origin.ID, "")
	if err != nil || x.Target.Kind != "showcase" {
		t.Errorf("rescued as %+v, %v", x, err)
	}
}

// What the owner deletes is not made again.
func TestADeletedRescueIsNotMadeAgain(t *testing.T) {
	h := newHarness(t)
	origin := h.timedOut()
	x, err := h.rescue(origin.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	x = h.until(x.ID, task.Succeeded, time.Hour)
	if _, err := task.Update(t.Context(), h.Rows, x, func(x *task.Task) error { return x.Delete(h.Rules, h.Clock.Now()) }); err != nil {
		t.Fatal(err)
	}
	if got := h.refusedRescue(origin.ID, "", lifecycle.RescueDone); !got.Rescued.Deleted() {
		t.Errorf("refused because of %+v", got.Rescued)
	}
}

// Many rescue one task at once: one read of the record, one new task.
func TestRescueParallel(t *testing.T) {
	h := newHarness(t)
	origin := h.timedOut()
	reads := len(h.Sim.Tasks()[0].Reads)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for n := range errs {
		wg.Go(func() { _, errs[n] = h.rescue(origin.ID, "") })
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		refusal, ok := errors.AsType[*lifecycle.RescueError](err)
		switch {
		case err == nil:
			made++
		case !ok || refusal.Why != lifecycle.RescueDone && refusal.Why != lifecycle.RescueTooSoon:
			t.Errorf("refused: %v", err)
		}
	}
	if got := len(h.Sim.Tasks()[0].Reads) - reads; made != 1 || got != 1 {
		t.Errorf("%d tasks made, by %d reads", made, got)
	}
}

// The answer to the write is lost. The next rescue says that there is a task.
func TestRescueWhoseAnswerIsLost(t *testing.T) {
	h := newHarness(t)
	origin := h.timedOut()
	h.Rows.Fail(nil, func(call string, _ *task.Task) error {
		if call == "rescue" {
			return errStore
		}
		return nil
	})
	if _, err := h.rescue(origin.ID, ""); !errors.Is(err, errStore) {
		t.Fatalf("got %v, want the store's error", err)
	}
	h.Rows.Fail(nil, nil)
	h.refusedRescue(origin.ID, "", lifecycle.RescueDone)
	h.until(task.RescueID(origin.ID), task.Succeeded, time.Hour)
}

// A forgotten owner's task is not rescued, and one that was rescued at that moment is erased
// when it ends.
func TestRescueOfAForgottenOwner(t *testing.T) {
	h := newHarness(t)
	origin := h.timedOut()
	forget := func() error { return h.Rows.Forget(t.Context(), owner, h.Clock.Now()) }
	h.Rows.Fail(nil, func(call string, _ *task.Task) error {
		if call == "rescue" {
			return forget()
		}
		return nil
	})
	x, err := h.rescue(origin.ID, "")
	if err != nil || !x.EraseAtEnd {
		t.Fatalf("rescued while its owner was forgotten: %+v, %v", x, err)
	}
	h.until(x.ID, task.Succeeded, time.Hour)
	if got := h.task(x.ID); !got.Deleted() || got.Work != task.Erase {
		t.Errorf("it ended as %+v", got)
	}
	h.Rows.Fail(nil, nil)

	h = newHarness(t)
	origin = h.timedOut()
	if err := forget(); err != nil {
		t.Fatal(err)
	}
	h.refusedRescue(origin.ID, "", lifecycle.RescueForgotten)
}
