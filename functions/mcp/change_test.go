package mcp_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

func TestMoveImage(t *testing.T) {
	h := newHarness(t)
	spring, bob := args("kind", "moodboard", "id", `spring"42`), "Bearer "+h.identity.Token("bob")
	done := h.Succeeded(t, "ada").ID
	running := h.Submitted(t, "ada", 1).ID
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 402}
	})
	failed := h.Submitted(t, "ada", 1).ID
	for status, id := range map[task.Status]string{task.Succeeded: done, task.Generating: running, task.Failed: failed} {
		t.Run(string(status), func(t *testing.T) {
			h := h.with(t)
			for range 2 { // a repeated call changes nothing
				var p picture
				got := h.call("move_image", args("taskId", id, "target", spring))
				if got.decode(&p); p.TaskID != id || p.Status != status || p.Target == nil || p.Target.ID != `spring"42` || p.NextStep == "" {
					t.Errorf("the result is %+v", p)
				}
				if !strings.HasPrefix(got.text(), `The user's target of this task is now "moodboard:spring\"42".`+"\n") {
					t.Errorf("the text is %s", got.text())
				}
			}
		})
	}
	var page struct{ Tasks []picture }
	listed := h.call("list_images", args("target", spring))
	if listed.decode(&page); len(page.Tasks) != 3 || strings.Count(listed.text(), `The user's target: "moodboard:spring\"42"`) != 3 {
		t.Errorf("%d are listed there: %s", len(page.Tasks), listed.text())
	}
	h.call("move_image", args("taskId", done, "target", spring), "Authorization", bob).checkRefused(task.CodeNotFound)
	h.call("move_image", args("taskId", strings.Repeat("0", 26), "target", spring)).checkRefused(task.CodeNotFound)
	for named, a := range map[string]any{
		"target":      args("taskId", done),
		"target/kind": args("taskId", done, "target", args("kind", "Mood Board", "id", "1")),
		"target/id":   args("taskId", done, "target", args("kind", "moodboard", "id", "a b")),
		"taskId":      args("taskId", "x/../y", "target", spring),
		"targets":     args("taskId", done, "targets", spring),
	} {
		t.Run(named+" at fault", func(t *testing.T) {
			got := h.with(t).call("move_image", a)
			if got.checkRefused(task.CodeInvalidRequest); !strings.Contains(got.text(), "\n- "+named+": ") {
				t.Errorf("it does not name it: %s", got.text())
			}
		})
	}
}

// deletion is what delete_image returns.
type deletion struct {
	Outcome    string
	ImagesLost int
}

func (h *harness) delete(id string) (d deletion, text string) {
	h.t.Helper()
	got := h.call("delete_image", args("taskId", id))
	got.decode(&d)
	return d, got.text()
}

func TestDeleteImage(t *testing.T) {
	h := newHarness(t)
	id := h.Succeeded(t, "ada").ID
	var p picture
	h.call("get_image", args("taskId", id)).decode(&p)
	h.call("delete_image", args("taskId", id), "Authorization", "Bearer "+h.identity.Token("bob")).checkRefused(task.CodeNotFound)
	h.fetch(http.MethodGet, p.Images[0].URL, "", http.StatusOK)

	d, text := h.delete(id)
	if d != (deletion{"deleted", 1}) || !strings.Contains(text, "Lost for good: its pictures (1), their links") {
		t.Errorf("the result is %+v: %s", d, text)
	}
	if err := h.Ingester.Ingest(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	h.fetch(http.MethodGet, p.Images[0].URL, "", http.StatusNotFound)
	h.call("get_image", args("taskId", id)).checkRefused(task.CodeNotFound)
	if d, text := h.delete(id); d != (deletion{"gone", 0}) || !strings.Contains(text, "Nothing has changed") {
		t.Errorf("the second time it is %+v: %s", d, text)
	}
	h.call("delete_image", args("taskId", strings.Repeat("0", 26))).checkRefused(task.CodeNotFound)
	h.call("delete_image", args("taskId", "x")).checkRefused(task.CodeInvalidRequest)
	h.call("delete_image", args("taskId", id, "cancel", true)).checkRefused(task.CodeInvalidRequest)
}

// A task that waits is cancelled; its requestKey makes nothing any more.
func TestDeleteCancels(t *testing.T) {
	h := newHarness(t)
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429, Times: 1}
	})
	order := args("requestKey", "k", "prompt", "a")
	var p picture
	h.call("generate_image", order).decode(&p)
	if d, text := h.delete(p.TaskID); d != (deletion{"canceled", 0}) || !strings.Contains(text, "nothing is charged") {
		t.Errorf("the result is %+v: %s", d, text)
	}
	h.call("generate_image", order).checkRefused(task.CodeIdempotencyKeyReused)
	if n := len(h.Sim.Tasks()); n != 0 {
		t.Errorf("the provider accepted %d", n)
	}
}

// What runs is refused, also if it finishes between the look and the deletion: nobody
// has seen that picture.
func TestDeleteOfRunning(t *testing.T) {
	h := newHarness(t)
	id := h.Submitted(t, "ada", 1).ID
	refused := func(when string) {
		t.Helper()
		got := h.call("delete_image", args("taskId", id))
		if got.checkRefused(task.CodeConflict); !strings.Contains(got.text(), "\n- taskId: ") || !strings.Contains(got.text(), "Nothing was deleted") {
			t.Errorf("%s: %s", when, got.text())
		}
	}
	refused("while it runs")
	made, api := h.Generated(t, 0), h.function.API
	h.function.API = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			h.finish(id, made)
		}
		api.ServeHTTP(w, r)
	})
	refused("while it finishes")
	var p picture
	if h.call("get_image", args("taskId", id)).decode(&p); p.Status != task.Succeeded || len(p.Images) != 1 {
		t.Errorf("then it is %+v", p)
	}
}

// finish lets a task succeed that the provider has made.
func (h *harness) finish(id string, made nanobananatest.Task) {
	h.t.Helper()
	err := h.Settle(h.t.Context(), id, 1, fmt.Appendf(nil, `{"code":200,"data":{"taskId":%q,"info":{"resultImageUrl":%q}}}`, made.ID, made.URLs[0]))
	if err == nil {
		err = h.Ingester.Ingest(h.t.Context(), id)
	}
	if err != nil {
		h.t.Error(err)
	}
}

// Nothing is deleted while the task cannot be read.
func TestDeleteUnread(t *testing.T) {
	h := newHarness(t)
	id := h.Succeeded(t, "ada").ID
	h.Rows.Fail(lifecycletest.On("task", lifecycletest.ErrStore), nil)
	h.call("delete_image", args("taskId", id)).checkRefused(task.CodeUnavailable)
	h.Rows.Fail(nil, nil)
	var p picture
	if h.call("get_image", args("taskId", id)).decode(&p); len(p.Images) != 1 {
		t.Errorf("then it is %+v", p)
	}
}
