// Package tasktest holds the conformance test that every task.Store must pass.
package tasktest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// Harness is an empty Store, with direct access to its rows.
type Harness struct {
	Store task.Store
	// SetAttribute changes one attribute of a stored row, by its name in the Task's
	// JSON, as a newer release would write it: text, bool, float64,
	// map[string]any or []any. Nil removes it.
	SetAttribute func(ctx context.Context, id, name string, value any) error
	// Attribute reads one attribute.
	Attribute func(ctx context.Context, id, name string) (value any, ok bool, err error)
}

// TestStore is the conformance test. Each call of open returns a fresh Harness.
func TestStore(t *testing.T, open func(*testing.T) Harness) {
	tests := []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"Create", testCreate},
		{"CreateExists", testCreateExists},
		{"Stuck", testStuck},
		{"LostAnswer", testLostAnswer},
		{"TwoWritersSameRow", testTwoWriters},
		{"Rescue", testRescue},
		{"RescueExists", testRescueExists},
		{"RescueParallel", testRescueParallel},
		{"RescueDeleted", testRescueDeleted},
		{"Put", testPut},
		{"Update", testUpdate},
		{"UpdateConflict", testUpdateConflict},
		{"UpdateForeign", testUpdateForeign},
		{"UnknownAttributes", testUnknownAttributes},
		{"Quota", testQuota},
		{"QuotaParallel", testQuotaParallel},
		{"Refund", testRefund},
		{"CountUpload", testCountUpload},
		{"Tasks", testTasks},
		{"List", testList},
		{"ListPages", testListPages},
		{"ListChanged", testListChanged},
		{"ListSince", testListSince},
		{"ListCursor", testListCursor},
		{"ListDeleted", testListDeleted},
		{"ListRetargeted", testListRetargeted},
		{"Due", testDue},
		{"DueOfBoth", testDueOfBoth},
		{"DuePages", testDuePages},
		{"DuePage", testDuePage},
		{"DueWhileWriting", testDueWhileWriting},
		{"Pause", testPause},
		{"Hold", testHold},
		{"HoldParallel", testHoldParallel},
		{"Forget", testForget},
		{"Timings", testTimings},
		{"Balance", testBalance},
		{"Large", testLarge},
		{"Isolation", testIsolation},
		{"Canceled", testCanceled},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// start is when the tests create tasks. It is far from any deadline of a real clock.
var start = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

var board = task.Target{Kind: "moodboard", ID: "42"}

// draft returns a valid draft.
func draft(change ...func(*task.Draft)) task.Draft {
	d := task.Draft{Owner: "ada", Request: task.Request{Prompt: "a lighthouse", NumImages: 1, Model: task.DefaultModel, Target: &task.Target{Kind: board.Kind, ID: board.ID}}}
	for _, c := range change {
		c(&d)
	}
	return d
}

func owner(o string) func(*task.Draft)       { return func(d *task.Draft) { d.Owner = o } }
func key(k string) func(*task.Draft)         { return func(d *task.Draft) { d.IdempotencyKey = k } }
func target(x task.Target) func(*task.Draft) { return func(d *task.Draft) { d.Request.Target = &x } }
func images(n int) func(*task.Draft) {
	return func(d *task.Draft) { d.Request.NumImages, d.CountQuota = n, true }
}

// create stores a new task.
func create(t *testing.T, s task.Store, at time.Time, change ...func(*task.Draft)) *task.Task {
	t.Helper()
	x := task.New(draft(change...), at)
	got, err := s.Create(t.Context(), x, 0)
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	return got
}

// read returns a row that must exist.
func read(t *testing.T, s task.Store, id string) *task.Task {
	t.Helper()
	x, err := s.Task(t.Context(), id)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return x
}

// update changes a row with task.Update.
func update(t *testing.T, s task.Store, x *task.Task, change func(*task.Task) error) *task.Task {
	t.Helper()
	got, err := task.Update(t.Context(), s, x, change)
	if err != nil {
		t.Fatalf("update: %v", err)
	}
	return got
}

// accepted moves a task on: the provider accepted its first attempt.
func accepted(x *task.Task) error {
	return x.Accepted(task.DefaultRules(), start.Add(time.Second), 1, "provider-"+x.ID)
}

// refused ends a task that has just begun.
func refused(x *task.Task) error {
	return x.Refused(task.DefaultRules(), start.Add(time.Second), 1, task.Refusal{Code: task.CodeProviderRejected})
}

// next returns a changed copy of x, as task.Update would put it.
func next(x *task.Task, writer string, change func(*task.Task) error) *task.Task {
	c := x.Clone()
	if err := change(c); err != nil {
		panic(err)
	}
	c.Version++
	c.Writer = writer
	return c
}

func same(t *testing.T, what string, got, want *task.Task) {
	t.Helper()
	g, w := *got, *want
	g.Refund, w.Refund = 0, 0
	if !reflect.DeepEqual(&g, &w) {
		t.Errorf("%s:\ngot  %+v\nwant %+v", what, g, w)
	}
}

func used(t *testing.T, s task.Store, owner string, want int) {
	t.Helper()
	if got, err := s.UsedImages(t.Context(), owner, task.Day(start)); got != want || err != nil {
		t.Errorf("used images of %s: %d, %v; want %d", owner, got, err, want)
	}
}

// testPause pauses reads and POSTs: they are independent, and the last pause counts.
func testPause(t *testing.T, h Harness) {
	var want task.Pauses
	paused := func() {
		t.Helper()
		got, err := h.Store.Paused(t.Context())
		if !got.Reads.Equal(want.Reads) || !got.Posts.Equal(want.Posts) || err != nil {
			t.Errorf("paused until %v, %v; want %v", got, err, want)
		}
	}
	paused()
	for _, until := range []time.Time{start, start.Add(time.Minute), start.Add(time.Second)} {
		for n, kind := range []task.Calls{task.Posts, task.Reads} {
			until := until.Add(time.Duration(n) * time.Hour)
			if err := h.Store.Pause(t.Context(), kind, until); err != nil {
				t.Fatal(err)
			}
			*want.Of(kind) = until
			paused()
		}
	}
	for id, err := range h.Store.Due(t.Context(), start.Add(1000*time.Hour)) {
		t.Errorf("the pause is due as a task: %q, %v", id, err)
	}
}

// testForget forgets owners: each for 90 days from the last call, beside the pauses.
func testForget(t *testing.T, h Harness) {
	forgotten := func() task.Forgotten {
		t.Helper()
		p, err := h.Store.Paused(t.Context())
		if err != nil || !p.Posts.IsZero() && !p.Posts.Equal(start) {
			t.Fatalf("paused until %v, %v", p.Posts, err)
		}
		return p.Forgotten
	}
	if got := forgotten(); !reflect.DeepEqual(got, task.Forgotten{}) {
		t.Errorf("at first: %+v", got)
	}
	if err := h.Store.Pause(t.Context(), task.Posts, start); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		owner string
		at    time.Time
		left  int // owners
	}{{"adelaide-of-praga", start, 1}, {"bartholomew-roe", start.Add(time.Hour), 2}, {"adelaide-of-praga", start.Add(2 * time.Hour), 2}, {"cyprian-of-antioch", start.Add(task.ForgottenFor + time.Hour), 2}, {"cyprian-of-antioch", start.Add(3 * task.ForgottenFor), 1}} {
		if err := h.Store.Forget(t.Context(), c.owner, c.at); err != nil {
			t.Fatal(err)
		}
		got, until := forgotten(), c.at.Add(task.ForgottenFor)
		if len(got.Until) != c.left || !got.Has(c.owner, until.Add(-time.Millisecond)) || got.Has(c.owner, until) || got.Has("daniel-the-stylite", c.at) {
			t.Errorf("%s at %v: %+v", c.owner, c.at, got)
		}
		if text := fmt.Sprintf("%+v", got); strings.Contains(text, c.owner) {
			t.Errorf("it says who was forgotten: %s", text)
		}
	}
	for id, err := range h.Store.Due(t.Context(), start.Add(10000*time.Hour)) {
		t.Errorf("a forgotten owner is due as a task: %q, %v", id, err)
	}
}

// testLarge stores the largest possible request.
func testLarge(t *testing.T, h Harness) {
	x := task.New(draft(func(d *task.Draft) {
		d.Request.Model, d.Request.Prompt = "nano-banana-2", strings.Repeat("🍌", 20000)
		for n := range 14 {
			d.Request.ImageURLs = append(d.Request.ImageURLs, fmt.Sprintf("https://example.com/%d/%s", n, strings.Repeat("x", 2000)))
		}
		d.Request.Metadata = map[string]string{}
		for n := range 16 {
			d.Request.Metadata[fmt.Sprint("key", n)] = strings.Repeat("é", 500)
		}
	}), start)
	if _, err := h.Store.Create(t.Context(), x, 0); err != nil {
		t.Fatal(err)
	}
	same(t, "the row", read(t, h.Store, x.ID), x)
}

// testIsolation changes the tasks that the Store returned and was given. That must not
// change the row.
func testIsolation(t *testing.T, h Harness) {
	given := task.New(draft(), start)
	got, err := h.Store.Create(t.Context(), given, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := got.Clone()
	for _, x := range []*task.Task{given, got, read(t, h.Store, given.ID)} {
		x.Target.ID, x.Charges[0], x.Prompt = "changed", task.ChargeNone, "changed"
		same(t, "the row", read(t, h.Store, want.ID), want)
	}
	listed, err := h.Store.Tasks(t.Context(), []string{want.ID})
	if err != nil || len(listed) != 1 {
		t.Fatal(listed, err)
	}
	listed[0].Charges[0] = task.ChargeNone
	same(t, "the row", read(t, h.Store, want.ID), want)
}

// testCanceled calls every method with a canceled context.
func testCanceled(t *testing.T, h Harness) {
	x := create(t, h.Store, start)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, createErr := h.Store.Create(ctx, task.New(draft(), start), 0)
	_, rescueErr := h.Store.Rescue(ctx, task.New(draft(), start), x)
	_, putErr := h.Store.Put(ctx, next(x, "w", accepted))
	_, taskErr := h.Store.Task(ctx, x.ID)
	_, tasksErr := h.Store.Tasks(ctx, []string{x.ID})
	_, _, listErr := h.Store.List(ctx, of("ada", &board, 1, ""))
	_, usedErr := h.Store.UsedImages(ctx, "ada", task.Day(start))
	_, pausedErr := h.Store.Paused(ctx)
	_, balanceErr := h.Store.Balance(ctx)
	var dueErr error
	for _, dueErr = range h.Store.Due(ctx, start.Add(time.Hour)) {
		break
	}
	_, duePageErr := h.Store.DuePage(ctx, task.DueEntry{}, 1)
	for name, err := range map[string]error{
		"duePage": duePageErr,
		"create":  createErr, "put": putErr, "rescue": rescueErr, "task": taskErr, "tasks": tasksErr, "list": listErr,
		"used": usedErr, "paused": pausedErr, "due": dueErr, "pause": h.Store.Pause(ctx, task.Posts, start),
		"hold": h.Store.Hold(ctx, task.HeldByOperator, task.Hold{Reason: "x", Since: start}), "release": h.Store.Release(ctx, task.HeldByOperator, start),
		"forget": h.Store.Forget(ctx, "ada", start), "balance": balanceErr, "setBalance": h.Store.SetBalance(ctx, task.Balance{AsOf: start}),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", name, err)
		}
	}
	same(t, "the row", read(t, h.Store, x.ID), x)
}

func testTasks(t *testing.T, h Harness) {
	var ids []string
	for n := range 100 {
		ids = append(ids, create(t, h.Store, start, key(fmt.Sprint(n))).ID)
	}
	slices.Reverse(ids)
	requested := slices.Insert(slices.Clone(ids[:99]), 50, task.NewID("nobody", "nothing"))
	requested[99] = requested[0] // named twice
	got, err := h.Store.Tasks(t.Context(), requested)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, x := range got {
		order = append(order, x.ID)
	}
	if !slices.Equal(order, ids[:98]) {
		t.Errorf("got %d tasks, not the requested ones in their order", len(order))
	}
	if none, err := h.Store.Tasks(t.Context(), nil); len(none) != 0 || err != nil {
		t.Errorf("without ids: %v, %v", none, err)
	}
}
