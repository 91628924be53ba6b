package lifecycle_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// forgetter returns a Forgetter whose waits move the clock, and that collects them.
func (h *harness) forgetter(waits *[]time.Duration) *lifecycle.Forgetter {
	return &lifecycle.Forgetter{Store: h.Rows, Rules: h.Rules, Now: h.Clock.Now, Log: h.Poster.Service.Log, Sleep: func(_ context.Context, d time.Duration) error {
		if waits != nil {
			*waits = append(*waits, d)
		}
		h.Clock.Add(d)
		return nil
	}}
}

// forget forgets the owner, as bin/ops does.
func (h *harness) forget(f *lifecycle.Forgetter) lifecycle.Erased {
	h.t.Helper()
	from, err := f.Refuse(h.t.Context(), owner)
	if err != nil {
		h.t.Fatal(err)
	}
	e, err := f.Erase(h.t.Context(), owner, from, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return e
}

// checkForgotten fails the test unless nothing of the owner's task is left but the memory
// of its key.
func (h *harness) checkForgotten(id string, status task.Status) {
	h.t.Helper()
	x := h.finishDelete(id)
	row, err := json.Marshal(x)
	if err != nil {
		h.t.Fatal(err)
	}
	if x.Status != status || !x.Deleted() || strings.Contains(string(row), `"owner"`) || strings.Contains(string(row), "lighthouse") || len(x.ProviderID) > 0 {
		h.t.Errorf("in the end %s", row)
	}
}

// A forgotten owner's tasks go on to their end, in every status in which they may be,
// and nothing of them is left then. What only waited is never sent.
func TestForgetTasksInFlight(t *testing.T) {
	t.Parallel()
	hang := fault(nanobananatest.Fault{Kind: nanobananatest.FaultReset, Accepted: true, Times: 1})
	busy := fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455, Times: 1})
	for name, c := range map[string]struct {
		knobs  []func(*nanobananatest.Knobs)
		do     func(*harness) string
		was    task.Status
		ends   task.Status
		erased lifecycle.Erased
		posts  int
	}{
		"ended": {nil, func(h *harness) string { return h.Succeeded(h.t, owner).ID }, task.Succeeded, task.Succeeded, lifecycle.Erased{Deleted: 1}, 1},
		"waiting": {[]func(*nanobananatest.Knobs){busy}, func(h *harness) string { return h.submit().ID },
			task.Waiting, task.Failed, lifecycle.Erased{Canceled: 1}, 1},
		"generating": {nil, func(h *harness) string { return h.submit().ID }, task.Generating, task.Succeeded, lifecycle.Erased{Marked: 1}, 1},
		"unconfirmed": {[]func(*nanobananatest.Knobs){hang}, func(h *harness) string { return h.submit().ID },
			task.Unconfirmed, task.Failed, lifecycle.Erased{Marked: 1}, 1},
		"storing": {nil, func(h *harness) string {
			id := h.submit().ID
			h.provided(id)
			h.sweep(2 * time.Minute)
			return id
		}, task.Storing, task.Succeeded, lifecycle.Erased{Marked: 1}, 1},
		"a generation that fails": {[]func(*nanobananatest.Knobs){func(k *nanobananatest.Knobs) {
			k.Outcome = nanobananatest.Outcome{ErrorCode: 501, Times: 1}
		}}, func(h *harness) string { return h.submit().ID }, task.Generating, task.Failed, lifecycle.Erased{Marked: 1}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, c.knobs...)
			id := c.do(h)
			h.expect(id, c.was, h.task(id).Failure)
			if e := h.forget(h.forgetter(nil)); fmt.Sprint(e) != fmt.Sprint(c.erased) {
				t.Errorf("%+v, want %+v", e, c.erased)
			}
			h.endOf(id)
			h.checkForgotten(id, c.ends)
			h.posted(c.posts)
			if e := h.forget(h.forgetter(nil)); fmt.Sprint(e) != fmt.Sprint(lifecycle.Erased{}) {
				t.Errorf("the repeat: %+v", e)
			}
		})
	}
}

// endOf sweeps, and does the stream's work, until the task has ended.
func (h *harness) endOf(id string) {
	h.t.Helper()
	for range 500 {
		h.work(id)
		if h.task(id).Done() {
			return
		}
		h.provided(id)
		h.sweep(time.Minute)
	}
	h.t.Fatalf("the task is still %s", h.task(id).Status)
}

// Orders are refused before the tasks are listed, and for long enough that a process
// which has not heard of it accepts none after that. The wait is not made twice.
func TestForgetWaits(t *testing.T) {
	h := newHarness(t)
	var waits []time.Duration
	f := h.forgetter(&waits)
	begun := h.Clock.Now()
	for n, c := range []struct {
		later time.Duration
		wait  time.Duration
	}{{0, 43 * time.Second}, {time.Second, 0}, {2 * time.Hour, 0}, {30 * 24 * time.Hour, 0}} {
		waits = nil
		h.Clock.Add(c.later)
		h.forget(f)
		if c.wait == 0 && len(waits) > 0 || c.wait > 0 && !slices.Equal(waits, []time.Duration{c.wait}) {
			t.Errorf("time %d: waits %v, want %v", n, waits, c.wait)
		}
		p, err := h.Rows.Paused(t.Context())
		if since, ok := p.Forgotten.Since(owner, h.Clock.Now()); err != nil || !ok || n < 3 && !since.Equal(begun) || n == 3 && !since.Equal(h.Clock.Now()) {
			t.Errorf("time %d: forgotten since %v, %v", n, since, err)
		}
	}

	h = newHarness(t)
	waits, f = nil, h.forgetter(&waits)
	if _, err := f.Refuse(t.Context(), owner); err != nil { // and dies
		t.Fatal(err)
	}
	h.Clock.Add(10 * time.Second)
	h.forget(f)
	if !slices.Equal(waits, []time.Duration{33 * time.Second}) {
		t.Errorf("after it was killed it waits %v, want the rest", waits)
	}
}

// A forgotten owner orders nothing more, as soon as the process has heard of it; what
// exists is answered as ever. Others' orders are made.
func TestForgottenOwnersOrders(t *testing.T) {
	h := newHarness(t)
	first := h.submit(key("k"))
	if err := h.Rows.Forget(t.Context(), owner, h.Clock.Now()); err != nil {
		t.Fatal(err)
	}
	h.Clock.Add(9 * time.Second)
	h.submit()
	h.Clock.Add(time.Second)
	refusal := h.refused()
	if refusal.Code != task.CodeForbidden || len(refusal.Fields) != 1 || !strings.Contains(refusal.Fields[0].Message, "erased") {
		t.Errorf("refused with %+v", refusal)
	}
	if h.submit(key("k")).ID != first.ID {
		t.Error("a replay is not answered")
	}
	q, err := h.Quote(t.Context(), order())
	if err != nil || len(q.Problems) != 1 || q.Problems[0].Code != task.CodeForbidden {
		t.Errorf("a quote: %+v, %v", q, err)
	}
	h.submit(func(o *lifecycle.Order) { o.Owner = "bob" })
	h.posted(3)
	h.Clock.Add(task.ForgottenFor)
	h.submit()
}

// A forgetter goes through all pages, leaves others' tasks alone, and counts what there
// is before and what it has done.
func TestForgetPages(t *testing.T) {
	h := newHarness(t)
	h.Rules.Notify = true
	kept := h.Succeeded(t, "bob")
	var ids []string
	for n := range 250 {
		x := task.New(task.Draft{Owner: owner, IdempotencyKey: fmt.Sprint(n), Request: task.Request{Prompt: "a lighthouse", NumImages: 1, Model: task.DefaultModel}}, h.Now().Add(time.Duration(n)*time.Second))
		row, err := h.Rows.Create(t.Context(), x, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = task.Update(t.Context(), h.Rows, row, func(x *task.Task) error {
			refusal := task.Refusal{Code: task.CodeProviderRejected}
			switch n % 5 {
			case 0:
				return x.Accepted(h.Rules, h.Now(), 1, "p")
			case 1:
				refusal = task.Refusal{Code: task.CodeRateLimited, Retry: task.RetryLater}
			}
			return x.Refused(h.Rules, h.Now(), 1, refusal)
		})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, x.ID)
	}
	f := h.forgetter(nil)
	o, err := f.Owned(t.Context(), owner)
	if err != nil || o.Ended != 150 || o.Waiting != 50 || o.Running != 50 || o.Tasks() != 250 || o.EndBy.Before(h.Now().Add(23*time.Hour)) {
		t.Errorf("%+v, %v", o, err)
	}
	from, err := f.Refuse(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	var seen []int
	e, err := f.Erase(t.Context(), owner, from, func(e lifecycle.Erased) { seen = append(seen, e.Deleted+e.Canceled+e.Marked) })
	if err != nil || e.Deleted != 150 || e.Canceled != 50 || e.Marked != 50 {
		t.Errorf("%+v, %v", e, err)
	}
	if !slices.Equal(seen[:3], []int{100, 200, 250}) {
		t.Errorf("progress %v", seen)
	}
	for _, id := range ids {
		if x := h.task(id); !x.Deleted() && !x.EraseAtEnd || x.Deleted() && x.Notice != task.Pending {
			t.Fatalf("%+v", x)
		}
	}
	if x := h.task(kept.ID); x.Deleted() || x.Version != kept.Version {
		t.Errorf("another owner's task is %+v", x)
	}
	o, err = f.Owned(t.Context(), owner)
	if err != nil || o.Tasks() != 50 || o.Running != 50 {
		t.Errorf("afterwards %+v, %v", o, err)
	}
}

// One task that cannot be written, or that a newer release wrote, does not keep the others.
func TestForgetGoesOn(t *testing.T) {
	h := newHarness(t)
	var all []*task.Task
	for range 3 {
		all = append(all, h.Succeeded(t, owner))
	}
	newer := all[0].Clone()
	newer.Version, newer.Writer, newer.Schema = newer.Version+1, "w", task.Schema+1
	if _, err := h.Rows.Store.Put(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	h.Rows.Fail(func(call string, x *task.Task) error {
		if call == "put" && x.ID == all[1].ID {
			return errStore
		}
		return nil
	}, nil)
	e := h.forget(h.forgetter(nil))
	if e.Deleted != 1 || !slices.Equal(e.Foreign, []string{all[0].ID}) || !slices.Equal(e.Failed, []string{all[1].ID}) || !errors.Is(e.Err, errStore) {
		t.Errorf("%+v", e)
	}
	if x := h.task(all[2].ID); !x.Deleted() {
		t.Errorf("the third is %+v", x)
	}
	h.Rows.Fail(nil, nil)
	if e := h.forget(h.forgetter(nil)); e.Deleted != 1 || len(e.Failed) > 0 {
		t.Errorf("the repeat: %+v", e)
	}
	if !h.gone(media.Prefix(all[1].ID) + all[1].Images[0].File) {
		h.work(all[1].ID)
	}
	if !h.gone(media.Prefix(all[1].ID) + all[1].Images[0].File) {
		t.Error("its picture is still there")
	}
}
