package ingest_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/preset/nanobanana-functions/functions/ingest"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// record returns a stream record with a task's key, which is all that is read
// of it.
func record(id string) events.DynamoDBEventRecord {
	return events.DynamoDBEventRecord{EventID: "e", Change: events.DynamoDBStreamRecord{
		Keys: map[string]events.DynamoDBAttributeValue{"id": events.NewStringAttribute(id)},
	}}
}

// newStoringTask returns a task whose pictures are made but not yet copied.
func newStoringTask(t *testing.T, w *lifecycletest.Harness) *task.Task {
	t.Helper()
	n := len(w.Sim.Tasks())
	got, _, err := w.Submit(t.Context(), lifecycle.Order{Owner: "ada", Request: task.Request{Prompt: "a lighthouse", NumImages: 1}})
	if err != nil {
		t.Fatal(err)
	}
	made := w.Generated(t, n)
	if err := w.Settle(t.Context(), got.ID, 1, []byte(`{"code":200,"data":{"taskId":"`+made.ID+`","info":{"resultImageUrl":"`+made.URLs[0]+`"}}}`)); err != nil {
		t.Fatal(err)
	}
	return checkStatus(t, w, got.ID, task.Storing)
}

func checkStatus(t *testing.T, w *lifecycletest.Harness, id string, want task.Status) *task.Task {
	t.Helper()
	got, err := w.Rows.Task(t.Context(), id)
	if err != nil || got.Status != want {
		t.Fatalf("task %s: %+v, %v; want %s", id, got, err, want)
	}
	return got
}

// One bad record stops neither the batch nor the stream, and repeated records
// change nothing.
func TestBatch(t *testing.T) {
	w := lifecycletest.New(t)
	first, second := newStoringTask(t, w), newStoringTask(t, w)
	handle := ingest.New(ingest.Function{Ingester: w.Ingester, Log: w.Log})
	batch := events.DynamoDBEvent{Records: []events.DynamoDBEventRecord{
		record(first.ID), record(first.ID), {EventID: "no key"}, record("no such task"), record(second.ID),
	}}
	w.Logged.Take()
	if err := handle(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	done := checkStatus(t, w, first.ID, task.Succeeded)
	checkStatus(t, w, second.ID, task.Succeeded)
	if logged := w.Logged.TakeUncommon(); strings.Count(logged, "\n") != 4 || strings.Count(logged, `"event":"task_ended"`) != 2 {
		t.Errorf("logged %s; want a line for each bad record, and for each task that has ended", logged)
	}
	if err := handle(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if again := checkStatus(t, w, first.ID, task.Succeeded); again.Version != done.Version {
		t.Error("a repeated record wrote the row")
	}
}

// A picture that cannot be fetched does not fail the batch: the sweep retries
// the task.
func TestFailedCopy(t *testing.T) {
	w := lifecycletest.New(t)
	x := newStoringTask(t, w)
	w.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Download = nanobananatest.Fault{Kind: nanobananatest.FaultReset} })
	if err := ingest.New(ingest.Function{Ingester: w.Ingester, Log: w.Log})(t.Context(), events.DynamoDBEvent{Records: []events.DynamoDBEventRecord{record(x.ID)}}); err != nil {
		t.Fatal(err)
	}
	if after := checkStatus(t, w, x.ID, task.Storing); after.Version != x.Version || after.DueAt.IsZero() {
		t.Errorf("version %d, want %d; due %v", after.Version, x.Version, after.DueAt)
	}
	if logged := w.Logged.Take(); !strings.Contains(logged, x.ID) || strings.Contains(logged, "/result/") || strings.Contains(logged, "lighthouse") {
		t.Errorf("logged %s; want the task, and nothing of the link or the prompt", logged)
	}
}

// A panic over one task, for example from a picture that breaks a decoder,
// stops neither the batch nor the stream.
func TestPanic(t *testing.T) {
	w := lifecycletest.New(t)
	first, second := newStoringTask(t, w), newStoringTask(t, w)
	w.Rows.Fail(func(call string, x *task.Task) error {
		if call == "put" && x.ID == first.ID {
			panic("a broken picture")
		}
		return nil
	}, nil)
	w.Logged.Take()
	batch := events.DynamoDBEvent{Records: []events.DynamoDBEventRecord{record(first.ID), record(second.ID)}}
	if err := ingest.New(ingest.Function{Ingester: w.Ingester, Log: w.Log})(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	checkStatus(t, w, second.ID, task.Succeeded)
	if x := checkStatus(t, w, first.ID, task.Storing); x.Version != first.Version || x.DueAt.IsZero() {
		t.Errorf("version %d, want %d; due %v", x.Version, first.Version, x.DueAt)
	}
	if logged := w.Logged.Take(); !strings.Contains(logged, "a broken picture") || !strings.Contains(logged, first.ID) || !strings.Contains(logged, "ingest_test.go") {
		t.Errorf("logged %s; want the panic, its task and where it was", logged)
	}
}

// The work of a deleted task is to delete its objects. A batch without time
// left does not fail.
func TestEraseAndNoTime(t *testing.T) {
	w := lifecycletest.New(t)
	x := newStoringTask(t, w)
	handle := ingest.New(ingest.Function{Ingester: w.Ingester, Log: w.Log})
	late, cancel := context.WithCancel(t.Context())
	cancel()
	batch := events.DynamoDBEvent{Records: []events.DynamoDBEventRecord{record(x.ID)}}
	if err := handle(late, batch); err != nil {
		t.Error(err)
	}
	if after := checkStatus(t, w, x.ID, task.Storing); after.Version != x.Version {
		t.Error("the row was written")
	}
	if err := handle(t.Context(), batch); err != nil {
		t.Error(err)
	}
	done := checkStatus(t, w, x.ID, task.Succeeded)
	link, err := w.Bucket.Link(t.Context(), media.Prefix(x.ID)+done.Images[0].File, time.Hour, media.LinkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if code := get(t, link); code != http.StatusOK {
		t.Errorf("the picture: %d", code)
	}
	if _, err := task.Update(t.Context(), w.Rows, done, func(x *task.Task) error { return x.Delete(w.Rules, w.Now()) }); err != nil {
		t.Fatal(err)
	}
	if err := handle(t.Context(), batch); err != nil {
		t.Error(err)
	}
	if code := get(t, link); code != http.StatusNotFound {
		t.Errorf("the picture of a deleted task: %d", code)
	}
}

func get(t *testing.T, link string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
