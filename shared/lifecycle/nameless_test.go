package lifecycle_test

import (
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// A callback without the provider's id is about the attempt in its address. If the answer
// to our POST named the id, such a callback counts like any other once the record has
// been unreadable for long enough.
func TestCallbackWithoutAnID(t *testing.T) {
	for name, c := range map[string]struct {
		body    func(made nanobananatest.Task) []byte
		status  task.Status
		failure task.Code
	}{
		"failure": {func(nanobananatest.Task) []byte { return []byte(`{"code":501,"msg":"no picture could be made"}`) },
			task.Failed, task.CodeGenerationFailed},
		"failure, data null": {func(nanobananatest.Task) []byte {
			return []byte(`{"code":500,"msg":"no picture could be made","data":null}`)
		},
			task.Failed, task.CodeGenerationFailed},
		"policy": {func(nanobananatest.Task) []byte { return []byte(`{"code":400,"msg":"content policy"}`) },
			task.Failed, task.CodeContentPolicy},
		"success": {func(made nanobananatest.Task) []byte { return callbackBody("", 200, made.URLs...) },
			task.Storing, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, func(k *nanobananatest.Knobs) {
				k.Record = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 500}
			})
			got := h.submit()
			h.settle(got.ID, c.body(h.generated(0)))
			h.expect(got.ID, task.Generating, "")
			for range 6 {
				h.sweep(time.Minute)
			}
			h.expect(got.ID, c.status, c.failure)
			h.posted(1)
		})
	}
}

// A policy refusal is recognized by its words, whatever its code: a task that waits after
// a failed generation is not generated again.
func TestPolicyInWordsWhileItWaits(t *testing.T) {
	h := newHarness(t, func(k *nanobananatest.Knobs) { k.Outcome.ErrorCode, k.Outcome.Times = 501, 1 })
	got := h.submit()
	made := h.generated(0)
	h.settle(got.ID, callbackBody(made.ID, 501))
	h.expect(got.ID, task.Waiting, "")
	h.settle(got.ID, []byte(`{"code":501,"msg":"Your prompt was flagged as violating content policies","data":{"taskId":"`+made.ID+`"}}`))
	h.expect(got.ID, task.Failed, task.CodeContentPolicy)
	h.sweep(time.Hour)
	h.posted(1)
}
