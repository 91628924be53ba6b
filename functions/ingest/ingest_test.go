package ingest_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/preset/nanobanana-functions/functions/ingest"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// record is a stream record: of it only the key is read.
func record(id string) events.DynamoDBEventRecord {
	return events.DynamoDBEventRecord{EventID: "e", Change: events.DynamoDBStreamRecord{
		Keys: map[string]events.DynamoDBAttributeValue{"id": events.NewStringAttribute(id)},
	}}
}

// storing gives a task whose pictures are made and not yet copied.
func storing(t *testing.T, w *lifecycletest.World) *task.Task {
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
	return status(t, w, got.ID, task.Storing)
}

func status(t *testing.T, w *lifecycletest.World, id string, want task.Status) *task.Task {
	t.Helper()
	got, err := w.Rows.Task(t.Context(), id)
	if err != nil || got.Status != want {
		t.Fatalf("task %s: %+v, %v; want %s", id, got, err, want)
	}
	return got
}

// One bad record stops neither the batch nor the stream, and repeats change
// nothing.
func TestBatch(t *testing.T) {
	w := lifecycletest.New(t)
	first, second := storing(t, w), storing(t, w)
	handle := ingest.New(ingest.Function{Ingester: w.Ingester, Log: w.Log})
	batch := events.DynamoDBEvent{Records: []events.DynamoDBEventRecord{
		record(first.ID), record(first.ID), {EventID: "no key"}, record("no such task"), record(second.ID),
	}}
	w.Logged.Take()
	if err := handle(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	done := status(t, w, first.ID, task.Succeeded)
	status(t, w, second.ID, task.Succeeded)
	if logged := w.Logged.Take(); strings.Count(logged, "\n") != 2 {
		t.Errorf("logged %s; want a line for each bad record", logged)
	}
	if err := handle(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if again := status(t, w, first.ID, task.Succeeded); again.Version != done.Version {
		t.Error("a repeated record wrote the row")
	}
}

// A picture that cannot be had is no failure of the batch: the sweep brings
// the task back.
func TestFailedCopy(t *testing.T) {
	w := lifecycletest.New(t)
	x := storing(t, w)
	w.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Download = nanobananatest.Fault{Kind: nanobananatest.FaultReset} })
	if err := ingest.New(ingest.Function{Ingester: w.Ingester, Log: w.Log})(t.Context(), events.DynamoDBEvent{Records: []events.DynamoDBEventRecord{record(x.ID)}}); err != nil {
		t.Fatal(err)
	}
	if after := status(t, w, x.ID, task.Storing); after.Version != x.Version || after.DueAt.IsZero() {
		t.Errorf("version %d, want %d; due %v", after.Version, x.Version, after.DueAt)
	}
}
