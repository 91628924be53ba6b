package mcp_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/mcp"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/task"
)

func TestGenerate(t *testing.T) {
	h := newHarness(t)
	h.Quota = 5
	order := args("requestKey", "lighthouse-1", "prompt", "a lighthouse", "numImages", 2, "aspectRatio", "16:9", "target", args("kind", "moodboard", "id", "m1"))
	first := h.call("generate_image", order)
	var p picture
	first.decode(&p)
	row, err := h.Rows.Task(t.Context(), p.TaskID)
	if err != nil || row.Owner != "ada" || row.NumImages != 2 || row.AspectRatio != "16:9" || *row.Target != (task.Target{Kind: "moodboard", ID: "m1"}) {
		t.Fatalf("the row is %+v, %v", row, err)
	}
	if p.Done || p.Credits.Estimate != 8 || !strings.Contains(p.NextStep, "get_image") || !strings.Contains(p.NextStep, p.TaskID) {
		t.Errorf("the result is %+v", p)
	}

	t.Run("the same requestKey is the same task, and nothing is sent", func(t *testing.T) {
		h := h.with(t)
		again := h.call("generate_image", order)
		var same picture
		again.decode(&same)
		if same.TaskID != p.TaskID || h.Sim.Posts() != 1 || !strings.Contains(again.text(), "nothing was charged again") {
			t.Errorf("task %s of %s after %d POSTs: %s", same.TaskID, p.TaskID, h.Sim.Posts(), again.text())
		}
	})
	t.Run("the same requestKey for another picture is refused", func(t *testing.T) {
		h.with(t).call("generate_image", args("requestKey", "lighthouse-1", "prompt", "another")).checkRefused(task.CodeIdempotencyKeyReused)
	})
	t.Run("another owner's key is another task", func(t *testing.T) {
		h := h.with(t)
		var other picture
		h.call("generate_image", order, "Authorization", "Bearer "+h.identity.Token("bob")).decode(&other)
		if other.TaskID == p.TaskID {
			t.Error("it is ada's")
		}
	})
	t.Run("a result is edited by task:ID/N", func(t *testing.T) {
		h := h.with(t)
		made := h.Succeeded(t, "ada")
		var edit picture
		h.call("generate_image", args("requestKey", "edit-1", "prompt", "at night", "imageUrls", []string{"task:" + made.ID + "/1"})).decode(&edit)
		if row, err := h.Rows.Task(t.Context(), edit.TaskID); err != nil || row.Parent != made.ID {
			t.Errorf("the edit is %+v, %v", row, err)
		}
	})
	t.Run("the API's quota applies", func(t *testing.T) {
		h := h.with(t)
		refused := h.call("generate_image", args("requestKey", "over", "prompt", "more", "numImages", 2))
		refused.checkRefused(task.CodeQuotaExceeded)
		if !strings.Contains(refused.text(), "Retry-After: ") {
			t.Errorf("it has no Retry-After: %s", refused.text())
		}
	})
}

// What is refused is neither stored nor sent.
func TestGenerateRefused(t *testing.T) {
	h := newHarness(t)
	for _, tt := range []struct {
		name      string
		arguments any
		named     string // the argument at fault
	}{
		{"without a requestKey", args("prompt", "a"), "requestKey"},
		{"with an empty one", args("requestKey", "", "prompt", "a"), "requestKey"},
		{"with one that is too long", args("requestKey", strings.Repeat("k", 65), "prompt", "a"), "requestKey"},
		{"with a line break in it", args("requestKey", "a\r\nb", "prompt", "a"), "requestKey"},
		{"with a number", args("requestKey", 1, "prompt", "a"), "requestKey"},
		{"without a prompt", args("requestKey", "k"), "prompt"},
		{"with a blank prompt", args("requestKey", "k", "prompt", " \u200b"), "prompt"},
		{"with a prompt that is too long", args("requestKey", "k", "prompt", strings.Repeat("a", 5001)), "prompt"},
		{"with a list for a prompt", args("requestKey", "k", "prompt", []string{"a"}), "prompt"},
		{"with null", args("requestKey", "k", "prompt", nil), "prompt"},
		{"with an unknown argument", args("requestKey", "k", "prompt", "a", "owner", "bob"), "owner"},
		{"with an unknown model", args("requestKey", "k", "prompt", "a", "model", "dall-e"), "model"},
		{"with five images", args("requestKey", "k", "prompt", "a", "numImages", 5), "numImages"},
		{"with no images", args("requestKey", "k", "prompt", "a", "numImages", 0), "numImages"},
		{"with half an image", args("requestKey", "k", "prompt", "a", "numImages", 1.5), "numImages"},
		{"with an option the model lacks", args("requestKey", "k", "prompt", "a", "resolution", "4K"), "resolution"},
		{"with a private link", args("requestKey", "k", "prompt", "a", "imageUrls", []string{"https://169.254.169.254/x"}), "imageUrls/0"},
		{"with image data", args("requestKey", "k", "prompt", "a", "imageUrls", []string{"data:image/png;base64,AAAA"}), "imageUrls/0"},
		{"with an unknown task", args("requestKey", "k", "prompt", "a", "imageUrls", []string{"task:" + strings.Repeat("0", 26) + "/1"}), "imageUrls/0"},
		{"with a target that is none", args("requestKey", "k", "prompt", "a", "target", args("kind", "Mood Board", "id", "1")), "target/kind"},
		{"with a list of arguments", []string{"a"}, "arguments"},
		{"with text for arguments", "a red bicycle", "arguments"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := h.with(t)
			got := h.call("generate_image", tt.arguments)
			got.checkRefused(task.CodeInvalidRequest)
			if !strings.Contains(got.text(), "\n- "+tt.named+": ") {
				t.Errorf("it does not name %s: %s", tt.named, got.text())
			}
		})
	}
	t.Run("another owner's picture looks like a missing one", func(t *testing.T) {
		h := h.with(t)
		bobs := h.Succeeded(t, "bob").ID
		texts := map[string]bool{}
		for _, id := range []string{bobs, strings.Repeat("0", 26)} {
			texts[h.call("generate_image", args("requestKey", "k", "prompt", "a", "imageUrls", []string{"task:" + id + "/1"})).text()] = true
		}
		if len(texts) != 1 {
			t.Errorf("they differ: %v", texts)
		}
	})
	if n := h.Sim.Posts(); n != 1 { // bob's
		t.Errorf("%d POSTs", n)
	}
}

// Refusals by the provider say what to do, too.
func TestGenerateFails(t *testing.T) {
	t.Run("without credits", func(t *testing.T) {
		h := newHarness(t)
		h.Sim.SetBalance(0)
		h.call("generate_image", args("requestKey", "k", "prompt", "a")).checkRefused(task.CodeInsufficientCredits)
	})
	t.Run("a task that fails at once is an error with the task's data", func(t *testing.T) {
		h := newHarness(t)
		h.Secret.Set("another-key-than-the-providers", nil)
		got := h.call("generate_image", args("requestKey", "k", "prompt", "a"))
		if !got.IsError || !strings.Contains(got.text(), string(task.CodeProviderUnauthorized)) || !strings.Contains(got.text(), "Preset's operator") {
			t.Errorf("%v: %s", got.IsError, got.text())
		}
		if got.StructuredContent == nil {
			t.Error("the failed task's data is missing")
		}
	})
	t.Run("while the store fails", func(t *testing.T) {
		h := newHarness(t)
		h.Rows.Fail(lifecycletest.On("create", errors.New("dynamodb: arn:aws:dynamodb:eu-central-1:123456789012:table/t")), nil)
		got := h.call("generate_image", args("requestKey", "k", "prompt", "a"))
		got.checkRefused(task.CodeUnavailable)
		if strings.Contains(got.text(), "arn:") || strings.Contains(got.text(), "dynamodb") {
			t.Errorf("it shows internals: %s", got.text())
		}
	})
}

// A panic in a tool ends neither the process nor the request.
func TestPanic(t *testing.T) {
	h := newHarness(t)
	h.function.API = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a fault of ours") })
	got := h.call("get_credits", args())
	got.checkRefused(task.CodeInternal)
	if strings.Contains(got.text(), "fault") || !strings.Contains(got.text(), "requestId: ") {
		t.Errorf("the result is %s", got.text())
	}
	if log := h.Logged.Take(); !strings.Contains(log, "a fault of ours") {
		t.Errorf("the panic is not logged: %s", log)
	}
}

// The context that the SDK passes to a tool has no deadline, but submit needs
// it to decide whether there is time for its POST.
func TestDeadline(t *testing.T) {
	h := newHarness(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	want, _ := ctx.Deadline()
	var got time.Time
	h.function.API = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got, _ = r.Context().Deadline() })
	r := httpapitest.NewRequest(t, http.MethodPost, h.Settings.PublicURL+"/mcp",
		strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_credits"}}`),
		"Authorization", "Bearer "+h.token, "Content-Type", "application/json", "Accept", "application/json, text/event-stream")
	h.contract.Serve(t, mcp.New(h.function), r.WithContext(ctx))
	if !got.Equal(want) {
		t.Errorf("the tool has until %v, the request until %v", got, want)
	}
}
