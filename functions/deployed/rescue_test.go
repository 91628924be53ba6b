package deployed_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/webhook/webhooktest"
)

// loseOne returns a task that was made, and whose record could not be read for a day. It
// can be read now.
func (h *harness) loseOne() string {
	h.t.Helper()
	readable := func(is bool) {
		h.sim.SetKnobs(func(k *nanobananatest.Knobs) {
			if k.LoseCallbacks, k.Record = true, (nanobananatest.Fault{}); !is {
				k.Record.Kind = nanobananatest.FaultHTML
			}
		})
	}
	readable(false)
	id := beginAny(h)
	h.awaitOrder(0)
	for range 3 {
		h.age(id, 25*time.Hour)
		h.sweep()
	}
	if row := h.row(id); row.Status != task.Failed || row.Failure != task.CodeTimedOut {
		h.t.Fatalf("it is %s %s", row.Status, row.Failure)
	}
	readable(true)
	eventually(h.t, "the end is not told", func() bool { return h.row(id).Notice == "" })
	h.age(id, time.Hour)
	return id
}

// A task that was lost is rescued with bin/ops: its picture is stored by the functions,
// shown, listed on its board, and told, and the provider saw one order.
func TestRescue(t *testing.T) {
	t.Parallel()
	receiver := webhooktest.NewReceiver(t)
	h := newHarness(t, map[string]string{"NOTIFY_URL": receiver.URL})
	h.hide(webhooktest.Query)
	stack := h.stack(func() string { return "" })
	id := h.loseOne()
	before := h.call("ada", http.MethodGet, "/v1/tasks/"+id, nil)
	receiver.Take()

	said, exit := h.ops(stack, "", "rescue", id)
	rescued := task.RescueID(id)
	if exit != 0 || !strings.Contains(said, "bin/ops inspect "+rescued) {
		t.Fatalf("rescue ends with %d:\n%s", exit, said)
	}
	got := h.awaitEnd("ada", rescued)
	if got.Status != task.Succeeded || got.RescuedFrom != id || len(got.Images) != 1 || got.Credits.Estimate != 0 || got.Target == nil || got.Target.ID != "m" {
		t.Fatalf("it ended as %+v", got)
	}
	if picture := h.follow(got.Images[0].URL); int64(len(picture)) != got.Images[0].Bytes {
		t.Errorf("its picture has %d bytes, want %d", len(picture), got.Images[0].Bytes)
	}
	var list struct{ Tasks []httpapi.Task }
	h.call("ada", http.MethodGet, "/v1/tasks?target=moodboard:m", nil).decode(t, http.StatusOK, &list)
	if len(list.Tasks) != 2 || list.Tasks[0].ID != rescued || list.Tasks[1].ID != id {
		t.Errorf("its board has %+v", list.Tasks)
	}
	eventually(t, "the picture is not told", func() bool { return h.row(rescued).Notice == "" })
	notices := receiver.Take()
	if len(notices) != 1 || !bytes.Contains(notices[0].Body, []byte(`"rescuedFrom":"`+id+`"`)) {
		t.Fatalf("told: %+v", notices)
	}
	httpapitest.Load(t).CheckJSON(t, "SucceededNotice", notices[0].Body)
	if after := h.call("ada", http.MethodGet, "/v1/tasks/"+id, nil); !bytes.Equal(after.body, before.body) {
		t.Errorf("the ended task was\n%s\nand is\n%s", before.body, after.body)
	}
	if n := h.sim.Posts(); n != 1 {
		t.Errorf("%d POSTs, want the first one's alone", n)
	}

	said, exit = h.ops(stack, "", "rescue", id, "-json")
	var again struct {
		Report struct{ Refused, RescuedAs string }
	}
	if err := json.Unmarshal([]byte(said), &again); err != nil || exit != 1 || again.Report.Refused != "rescued" || again.Report.RescuedAs != rescued {
		t.Errorf("the second rescue ends with %d, %v:\n%s", exit, err, said)
	}
	if a := h.call("ada", http.MethodDelete, "/v1/tasks/"+rescued, nil); a.status != http.StatusNoContent {
		t.Fatalf("DELETE: %d %s", a.status, a.body)
	}
	if said, exit = h.ops(stack, "", "rescue", id); exit != 1 || !strings.Contains(said, "not made again") {
		t.Errorf("the rescue of a deleted one ends with %d:\n%s", exit, said)
	}
}

// The previous release leaves a rescued task alone, and shows it; this one stores its
// picture once it runs again.
func TestThePreviousReleaseLeavesARescuedTaskAlone(t *testing.T) {
	needPrevious(t)
	t.Parallel()
	h := newHarness(t, nil)
	stack := h.stack(func() string { return "" })
	id := h.loseOne()
	h.deployAll(oldRelease)
	if said, exit := h.ops(stack, "", "rescue", id); exit != 0 {
		t.Fatalf("rescue ends with %d:\n%s", exit, said)
	}
	rescued := task.RescueID(id)
	before := h.row(rescued)
	h.age(rescued, 2*time.Hour)
	h.sweep()
	var shown httpapi.Task
	h.call("ada", http.MethodGet, "/v1/tasks/"+rescued, nil).decode(t, http.StatusOK, &shown)
	if row := h.row(rescued); row.Version != before.Version || row.Status != task.Storing || shown.Status != task.Storing {
		t.Errorf("the previous release left it as %s, version %d after %d", row.Status, row.Version, before.Version)
	}
	if logs := h.logs(); strings.Contains(logs, "panic") {
		t.Errorf("the previous release's log:\n%s", logs)
	}
	h.deployAll(newRelease)
	h.sweep()
	if got := h.awaitEnd("ada", rescued); got.Status != task.Succeeded || got.RescuedFrom != id {
		t.Errorf("it ended as %+v", got)
	}
}
