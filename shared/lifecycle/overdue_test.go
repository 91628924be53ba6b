package lifecycle_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// readOverdue does what a waiting client's look does, for a task expected to take 20 s.
func (h *harness) readOverdue(ctx context.Context, r *lifecycle.Reader, id string) (tried bool) {
	h.t.Helper()
	return r.ReadOverdue(ctx, h.task(id), 20)
}

// A waiting client's task is read once it is older than twice the expected time, and at
// once where its callback found the last claim too young.
func TestReadOverdue(t *testing.T) {
	slow := func(k *nanobananatest.Knobs) { k.Delay = nanobananatest.Duration(time.Hour) }
	t.Run("its callback is lost", func(t *testing.T) {
		h := newHarness(t)
		r, id := lifecycle.NewReader(h.Service), h.submit().ID
		h.generated(0)
		h.Clock.Add(40*time.Second - time.Millisecond)
		if h.readOverdue(t.Context(), r, id) {
			t.Error("it is read before it is overdue")
		}
		h.Clock.Add(time.Millisecond)
		ctx, hangUp := context.WithCancel(t.Context())
		hangUp() // what is begun is finished
		if !h.readOverdue(ctx, r, id) {
			t.Error("it is not read")
		}
		h.expect(id, task.Storing, "")
	})
	t.Run("its callback came too soon after another read", func(t *testing.T) {
		h := newHarness(t, slow)
		r, id := lifecycle.NewReader(h.Service), h.submit().ID
		h.sweep(40 * time.Second)
		h.Clock.Add(time.Second)
		if err := h.Settle(t.Context(), id, 1, []byte(`{"code":501,"msg":"failed","data":{}}`)); err != nil {
			t.Fatal(err)
		}
		for range 40 { // each second; such tasks usually take a minute
			r.ReadOverdue(t.Context(), h.task(id), 60)
			h.Clock.Add(time.Second)
		}
		if reads := h.Sim.Tasks()[0].Reads; len(reads) != 2 || h.task(id).ReadAt.Sub(h.task(id).AcceptedAt) != 76*time.Second {
			t.Errorf("%d reads, the last claimed %v after it was accepted", len(reads), h.task(id).ReadAt.Sub(h.task(id).AcceptedAt))
		}
	})
	t.Run("not without time left", func(t *testing.T) {
		h := newHarness(t)
		r, id := lifecycle.NewReader(h.Service), h.submit().ID
		h.generated(0)
		h.Clock.Add(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		if before := h.Rows.Total(); h.readOverdue(ctx, r, id) || h.Rows.Total() != before {
			t.Error("it is read")
		}
	})
}

// A process reads two records a second for waiting clients, and none while reads pause.
func TestReadsOfOverdueAreFew(t *testing.T) {
	h := newHarness(t)
	r := lifecycle.NewReader(h.Service)
	var ids []string
	for n := range 5 {
		ids = append(ids, h.submit(key(fmt.Sprint(n))).ID)
	}
	h.Clock.Add(time.Minute)
	total := func() (n int) {
		for i := range ids {
			n += h.reads(i)
		}
		return n
	}
	reads := func() int {
		before := total()
		for _, id := range ids {
			h.readOverdue(t.Context(), r, id)
		}
		return total() - before
	}
	if n := reads(); n != 2 {
		t.Errorf("%d reads at once, want 2", n)
	}
	h.Clock.Add(500 * time.Millisecond)
	if n := reads(); n != 1 {
		t.Errorf("%d reads half a second later, want 1", n)
	}
	h.Clock.Add(time.Minute)
	if err := h.Rows.Pause(t.Context(), task.Reads, h.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if n := reads(); n != 0 {
		t.Errorf("%d reads in a pause, want none", n)
	}
	h.Clock.Add(time.Second)
	if n := reads(); n != 2 {
		t.Errorf("%d reads after the pause, want 2", n)
	}
}
