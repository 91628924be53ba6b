package lifecycle_test

import (
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// A callback that does not name the provider's id speaks of the attempt in its
// address. Where the answer to our own POST named the id, its word counts as
// that of any other once the record has been unreadable for long enough.
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
		"success": {func(made nanobananatest.Task) []byte { return said("", 200, made.URLs...) },
			task.Storing, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(k *nanobananatest.Knobs) {
				k.Record = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 500}
			})
			got := w.submit()
			w.settle(got.ID, c.body(w.generated(0)))
			w.expect(got.ID, task.Generating, "")
			for range 6 {
				w.sweep(time.Minute)
			}
			w.expect(got.ID, c.status, c.failure)
			w.posted(1)
		})
	}
}

// A refusal by policy is one by its words too, whatever its code: a task that
// waits after a failed generation is not generated again.
func TestPolicyInWordsWhileItWaits(t *testing.T) {
	w := newWorld(t, func(k *nanobananatest.Knobs) { k.Outcome.ErrorCode, k.Outcome.Times = 501, 1 })
	got := w.submit()
	made := w.generated(0)
	w.settle(got.ID, said(made.ID, 501))
	w.expect(got.ID, task.Waiting, "")
	w.settle(got.ID, []byte(`{"code":501,"msg":"Your prompt was flagged as violating content policies","data":{"taskId":"`+made.ID+`"}}`))
	w.expect(got.ID, task.Failed, task.CodeContentPolicy)
	w.sweep(time.Hour)
	w.posted(1)
}
