package ops

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// leaver is a user who is forgotten.
const leaver = "7c9e6679-7425-40de-944b-e07fc1f90ae7"

// leave orders three pictures for an owner: one was made, one was refused, and one is
// being stored. It returns their ids.
func leave(t testing.TB, s task.Store, owner string) (ids []string) {
	t.Helper()
	r := task.DefaultRules()
	for n, change := range []func(*task.Task, time.Time) error{
		func(x *task.Task, at time.Time) error {
			if err := stored(x, r, at); err != nil {
				return err
			}
			x.KeepInputs([]task.Input{{N: 1, File: "1-00aa11bb22cc33dd-input.jpg", Thumbnail: "1-00aa11bb22cc33dd-input-512.jpg", Width: 8, Height: 8}})
			return x.Stored(r, at.Add(2*time.Minute), []task.Image{{N: 1, File: "1-00aa11bb22cc33dd.png", SHA256: fmt.Sprintf("%064d", 1)}})
		},
		func(x *task.Task, at time.Time) error {
			return x.Refused(r, at, 1, task.Refusal{Code: task.CodeProviderRejected})
		},
		func(x *task.Task, at time.Time) error { return stored(x, r, at) },
	} {
		created := night.Add(time.Duration(n-3) * time.Hour)
		x, err := s.Create(t.Context(), task.New(task.Draft{
			Owner: owner, IdempotencyKey: fmt.Sprint(n), CountQuota: true, Estimate: 4,
			Request: task.Request{Prompt: promptOfTests, Model: task.DefaultModel, NumImages: 1, ImageURLs: []string{linkOfTests}},
		}, created), 0)
		if err == nil {
			_, err = task.Update(t.Context(), s, x, func(x *task.Task) error { return change(x, created.Add(time.Second)) })
		}
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, x.ID)
	}
	return ids
}

// stored lets a task's pictures be made.
func stored(x *task.Task, r task.Rules, at time.Time) error {
	if err := x.Accepted(r, at, 1, "provider-"+x.ID); err != nil {
		return err
	}
	c, _ := x.Claim(r, at.Add(time.Minute))
	return x.ApplyRecord(r, at.Add(time.Minute), c, task.Record{State: task.RecordMade, URLs: []string{linkOfTests}})
}

// forgotten runs forget with an answer, with -json, and returns the report.
func forgotten(t *testing.T, e *Env, words, answer string) (r forgetReport, out output) {
	t.Helper()
	x := typed{words: words + " -json"}.parse(t)
	out, err := x.on(e)(t.Context(), nil, answer)
	if err != nil || out.Exit == Failed || out.Exit == Usage {
		t.Fatalf("%s: exit %d: %s %v", words, out.Exit, out.Err, err)
	}
	if err := json.Unmarshal([]byte(out.Text), &struct{ Report *forgetReport }{&r}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.Text+out.Err+out.Ask, leaver) {
		t.Errorf("it prints the owner:\n%s", out.Text)
	}
	return r, out
}

// checkTasks fails the test unless these tasks are deleted, or marked where true is wanted.
func checkTasks(t *testing.T, s task.Store, ids []string, running ...bool) {
	t.Helper()
	for n, id := range ids {
		x, err := s.Task(t.Context(), id)
		if err != nil || x.Deleted() == running[n] || x.EraseAtEnd != running[n] {
			t.Errorf("task %d: deleted at %v, marked %v, %v", n, x.DeletedAt, x.EraseAtEnd, err)
		}
	}
}

func checkUntouched(t *testing.T, s task.Store, ids []string) {
	t.Helper()
	for _, id := range ids {
		if x, err := s.Task(t.Context(), id); err != nil || x.Deleted() || x.EraseAtEnd {
			t.Errorf("task %s is changed: %+v, %v", id, x, err)
		}
	}
}

// First it counts and asks; only the owner's id, typed again, erases. Done again, it has
// nothing to do.
func testForget(t *testing.T, e *Env) {
	ids, others := leave(t, e.Store, leaver), leave(t, e.Store, "bob")
	words := "forget " + leaver
	r, out := forgotten(t, e, words, "")
	if r.Found.Ended != 2 || r.Found.Running != 1 || r.Found.Pictures != 1 || r.Found.Inputs != 1 || r.Erased != nil || !strings.Contains(out.Ask, "again") {
		t.Errorf("it found %+v and asks %q", r, out.Ask)
	}
	for _, answer := range []string{"yes", "bob", strings.ToUpper(leaver)} {
		out, _ := typed{words: words}.parse(t).on(e)(t.Context(), nil, answer)
		if out.Exit != Failed || !strings.Contains(out.Err, "nothing was changed") || strings.Contains(out.Err, leaver) {
			t.Errorf("answered %q: exit %d, %s", answer, out.Exit, out.Err)
		}
	}
	if p, err := e.Store.Paused(t.Context()); err != nil || len(p.Forgotten.Until) > 0 {
		t.Errorf("before it was answered: %+v, %v", p.Forgotten, err)
	}
	checkUntouched(t, e.Store, ids)
	r, out = forgotten(t, e, words, leaver)
	if r.Erased == nil || r.Erased.Deleted != 2 || r.Erased.Marked != 1 || r.Found.Running != 1 || out.Exit != Fine || len(r.Remains) < 8 {
		t.Errorf("exit %d, %+v", out.Exit, r)
	}
	checkTasks(t, e.Store, ids, false, false, true)
	if p, err := e.Store.Paused(t.Context()); err != nil || !p.Forgotten.Has(leaver, night) || !r.Until.Equal(night.Add(task.ForgottenFor)) {
		t.Errorf("%+v, %v", p.Forgotten, err)
	}
	if r, _ = forgotten(t, e, words, leaver); r.Erased.Changes() != 0 || r.Found.Running != 1 {
		t.Errorf("the repeat: %+v", r)
	}
	checkUntouched(t, e.Store, others)
}

func TestForget(t *testing.T) { testForget(t, localEnv(t)) }

// On a stack it does the same, with the rights that it names, and one write for each task.
func TestForgetOnAStack(t *testing.T) {
	e, x := stackEnv(t)
	testForget(t, e)
	allowed := slices.Concat(baseRights, forgetCommand.Rights)
	writes := 0
	for _, r := range x.take() {
		if r == "dynamodb:TransactWriteItems" {
			r = "dynamodb:PutItem"
		}
		if !slices.Contains(allowed, r) {
			t.Errorf("it sent %s", r)
		}
		if r == "dynamodb:PutItem" {
			writes++
		}
	}
	if want := 12 + 6 + 3; writes > want { // 3 tasks of two owners were made and changed
		t.Errorf("%d writes of rows", writes)
	}
}

// What a stack keeps besides is named with its end.
func TestForgetNamesWhatRemains(t *testing.T) {
	e := localEnv(t)
	var here, there strings.Builder
	for _, stack := range []bool{false, true} {
		if e.Stopped = !stack; stack {
			e.Stack, e.Service.Rules.Notify = &Stack{}, true
		}
		ids := leave(t, e.Store, fmt.Sprint("owner ", stack))
		out, err := typed{words: "forget x"}.parse(t).on(e)(t.Context(), nil, "x")
		if err != nil || out.Exit != Fine || len(ids) == 0 {
			t.Fatal(out, err)
		}
		if stack {
			there.WriteString(out.Text)
		} else {
			here.WriteString(out.Text)
		}
	}
	for _, want := range []string{"2026-04-18   the table's point-in-time recovery", "2026-04-13   log lines and traces", "2026-03-17   what Preset keeps", "2026-06-12   a salted hash", "2026-03-22   how many", "2026-03-16   uploads; a day longer"} {
		if !strings.Contains(there.String(), want) {
			t.Errorf("on a stack it does not say %q:\n%s", want, there.String())
		}
	}
	if text := here.String(); strings.Contains(text, "point-in-time") || !strings.Contains(text, "NOTIFY_URL is empty") {
		t.Errorf("in a local run:\n%s", text)
	}
}

// The owner's personal tokens stand in the secret with the owner's id: they are named.
// Tokens of others are not.
func TestForgetNamesTokens(t *testing.T) {
	e := localEnv(t)
	for _, owner := range []string{leaver, "bob"} {
		runWords(t, e, "token", "add", "personal", owner, "of-"+owner[:3])
	}
	r, out := forgotten(t, e, "forget "+leaver, leaver)
	if text := fmt.Sprint(r.Remains); !strings.Contains(text, "bin/ops token revoke -kind personal of-"+leaver[:3]) || strings.Contains(text, "of-bob") {
		t.Errorf("what remains: %s", text)
	}
	if !strings.Contains(out.Text, "bin/ops token list") {
		t.Errorf("without the next step:\n%s", out.Text)
	}
	runWords(t, e, "token", "revoke", "of-"+leaver[:3])
	if r, _ := forgotten(t, e, "forget "+leaver, leaver); strings.Contains(fmt.Sprint(r.Remains), "personal token") {
		t.Errorf("after that: %v", r.Remains)
	}
	e.Secret = &memorySecret{value: []byte("{")}
	if r, _ := forgotten(t, e, "forget "+leaver, leaver); !strings.Contains(fmt.Sprint(r.Remains), "the secret could not be read") {
		t.Errorf("without the secret: %v", r.Remains)
	}
}

// -tasks takes the owner off rows that an older release emptied; those of other owners
// stay as they are.
func TestForgetOlderRows(t *testing.T) {
	e := localEnv(t)
	older := func(owner string) string {
		id := leave(t, e.Store, owner)[0]
		x, err := e.Store.Task(t.Context(), id)
		if err == nil {
			_, err = task.Update(t.Context(), e.Store, x, func(x *task.Task) error {
				err := x.Delete(task.DefaultRules(), night.Add(-time.Hour))
				x.Work, x.Turn = "", task.Turn{} // erased, and the owner left on it
				return err
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	mine, bobs := older(leaver), older("bob")
	r, _ := forgotten(t, e, "forget "+leaver+" -tasks "+mine+","+bobs, leaver)
	if r.Erased.Emptied != 1 {
		t.Errorf("%+v", r.Erased)
	}
	for id, want := range map[string]string{mine: "", bobs: "bob"} {
		if x, err := e.Store.Task(t.Context(), id); err != nil || x.Owner != want {
			t.Errorf("the owner of %s is %q, want %q; %v", id, x.Owner, want, err)
		}
	}
	for _, bad := range []string{"x", mine + ",", strings.Repeat(mine+",", 100) + mine} {
		if out, _ := (typed{words: "forget a -tasks " + bad}).parse(t).on(e)(t.Context(), nil, "a"); out.Exit != Usage {
			t.Errorf("-tasks %.30s: exit %d", bad, out.Exit)
		}
	}
}

// The time of a command in a running local run is limited: it says how far it came, and
// the next run goes on.
func TestForgetWithoutTime(t *testing.T) {
	e := localEnv(t)
	ids := leave(t, e.Store, leaver)
	e.Stopped = false
	e.Wait = func(ctx context.Context, _ time.Duration) error {
		<-ctx.Done() // the time is over while it waits
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(t.Context(), forgetMargin+50*time.Millisecond)
	defer cancel()
	x := typed{words: "forget " + leaver}.parse(t)
	out, err := x.on(e)(ctx, nil, leaver)
	if err != nil || out.Exit != NeedsYou || !strings.Contains(out.Text, "no time for all of it") || ctx.Err() != nil {
		t.Errorf("exit %d, %v, %v: %s%s", out.Exit, err, ctx.Err(), out.Text, out.Err)
	}
	if p, err := e.Store.Paused(t.Context()); err != nil || !p.Forgotten.Has(leaver, night) {
		t.Errorf("orders are not refused: %v", err)
	}
	e.Wait = noWait
	if r, _ := forgotten(t, e, "forget "+leaver, leaver); r.Erased.Deleted != 2 || r.Erased.Marked != 1 {
		t.Errorf("%+v", r.Erased)
	}
	checkTasks(t, e.Store, ids, false, false, true)
}

// A row that a newer release wrote is named, and a person must see to it. A full list
// of forgotten owners changes nothing.
func TestForgetRefuses(t *testing.T) {
	e := localEnv(t)
	ids := leave(t, e.Store, leaver)
	x, err := e.Store.Task(t.Context(), ids[0])
	if err != nil {
		t.Fatal(err)
	}
	newer := x.Clone()
	newer.Version, newer.Writer, newer.Schema = newer.Version+1, "w", task.Schema+1
	if _, err := e.Store.Put(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	out, err := typed{words: "forget " + leaver}.parse(t).on(e)(t.Context(), nil, leaver)
	if err != nil || out.Exit != NeedsYou || !strings.Contains(out.Text, ids[0]+" was written by a newer release") {
		t.Errorf("exit %d, %v: %s", out.Exit, err, out.Text)
	}
	full := localEnv(t)
	for n := range task.MaxForgotten {
		if err := full.Store.Forget(t.Context(), fmt.Sprint(n), night); err != nil {
			t.Fatal(err)
		}
	}
	ids = leave(t, full.Store, leaver)
	out, _ = typed{words: "forget " + leaver}.parse(t).on(full)(t.Context(), nil, leaver)
	if out.Exit != Failed || !strings.Contains(out.Err, "nothing was changed") {
		t.Errorf("exit %d: %s%s", out.Exit, out.Text, out.Err)
	}
	checkUntouched(t, full.Store, ids)
}
