package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/local/ops/vault"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/outbound"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/taskbolt"
)

// night is when the commands are run in tests and in the examples of docs/ops.md.
var night = time.Date(2026, 3, 14, 3, 12, 0, 0, time.UTC)

// secretOfTests is the secret of the runs in tests.
const secretOfTests = `{"apiKey":"key-of-tests","callbackKeys":[{"id":"c1","key":"0123456789abcdef0123456789abcdef"}],"imageKeys":[{"id":"i1","key":"0123456789abcdef0123456789abcdef"}],"notifyKeys":[{"id":"n1","key":"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}]}`

// What no output may contain.
const (
	promptOfTests = "a prompt that no operator may see"
	ownerOfTests  = "owner-that-no-operator-may-see"
	linkOfTests   = "https://files.example.com/link-that-no-operator-may-see.png"
)

// sample is one kind of task that a run may have.
type sample struct {
	name    string // the idempotency key, which makes the id
	created time.Duration
	change  func(x *task.Task, at func(time.Duration) time.Time) error
}

func (s sample) id() string { return task.NewID(ownerOfTests, s.name) }

// ruleSet are the rules of tests, with notices.
func ruleSet() task.Rules {
	r := task.DefaultRules()
	r.Notify = true
	return r
}

// samples are the tasks that each run of a test has.
var samples = []sample{
	{"busy", -40 * time.Minute, func(x *task.Task, at func(time.Duration) time.Time) error {
		return errors.Join(busy(x, at(time.Second)), x.Resubmit(at(20*time.Minute)), busy(x, at(20*time.Minute+2*time.Second)), due(x, 14*time.Second))
	}},
	{"busy too", -38 * time.Minute, func(x *task.Task, at func(time.Duration) time.Time) error {
		return errors.Join(busy(x, at(time.Second)), due(x, 31*time.Second))
	}},
	{"silent", -52 * time.Minute, func(x *task.Task, at func(time.Duration) time.Time) error {
		return x.Unanswered(ruleSet(), at(time.Minute), 1)
	}},
	{"unreadable", -25 * time.Minute, func(x *task.Task, at func(time.Duration) time.Time) error {
		if err := x.Accepted(ruleSet(), at(time.Second), 1, "provider-1"); err != nil {
			return err
		}
		c, _ := x.Claim(ruleSet(), at(20*time.Minute))
		return x.ApplyRecord(ruleSet(), at(20*time.Minute), c, task.Record{State: task.RecordUnclear, Match: task.MatchOwn})
	}},
	{"storing", -90 * time.Second, func(x *task.Task, at func(time.Duration) time.Time) error {
		return errors.Join(made(x, at), due(x, 45*time.Second))
	}},
	{"done", -3 * time.Minute, func(x *task.Task, at func(time.Duration) time.Time) error {
		if err := made(x, at); err != nil {
			return err
		}
		err := x.Stored(ruleSet(), at(100*time.Second), []task.Image{{
			N: 1, File: "1-00aa11bb22cc33dd.png", Width: 1024, Height: 1024, Bytes: 1_234_567, ContentType: "image/png", SHA256: fmt.Sprintf("%064d", 0), C2PA: "absent",
		}})
		x.NoticeTurn.Tries, x.NoticeTurn.DueAt = 4, night.Add(38*time.Second)
		return err
	}},
	{"lost", -26 * time.Hour, func(x *task.Task, at func(time.Duration) time.Time) error {
		if err := x.Accepted(ruleSet(), at(time.Second), 1, lostProviderID); err != nil {
			return err
		}
		late := at(25 * time.Hour)
		c, _ := x.Claim(ruleSet(), late)
		err := x.ApplyRecord(ruleSet(), late, c, task.Record{State: task.RecordRunning, Match: task.MatchOwn})
		x.Notified(late.Add(time.Second), x.NoticeVersion())
		return err
	}},
	{"untold", -5 * 24 * time.Hour, func(x *task.Task, at func(time.Duration) time.Time) error {
		if err := x.Refused(ruleSet(), at(2*time.Second), 1, task.Refusal{Code: task.CodeProviderRejected}); err != nil {
			return err
		}
		x.Schema, x.Notice, x.NoticeTurn, x.NoticeGivenUpAt = 1, "", task.Turn{}, night.Add(-47*time.Hour)
		return nil
	}},
}

// busy refuses the attempt because the provider takes no more orders.
func busy(x *task.Task, now time.Time) error {
	return x.Refused(ruleSet(), now, x.Attempt, task.Refusal{Code: task.CodeRateLimited, Retry: task.RetryLater})
}

// due sets when the task is due, counted from night.
func due(x *task.Task, in time.Duration) error {
	x.DueAt = night.Add(in)
	return nil
}

// made takes a task to where its pictures are copied.
func made(x *task.Task, at func(time.Duration) time.Time) error {
	if err := x.Accepted(ruleSet(), at(time.Second), 1, "provider-"+x.ID[:4]); err != nil {
		return err
	}
	c, _ := x.Claim(ruleSet(), at(80*time.Second))
	return x.ApplyRecord(ruleSet(), at(80*time.Second), c, task.Record{State: task.RecordMade, Match: task.MatchOwn, URLs: []string{linkOfTests}})
}

// fill puts the samples into a store.
func fill(t testing.TB, s task.Store) {
	t.Helper()
	for _, x := range samples {
		created := night.Add(x.created)
		row := task.New(task.Draft{
			Owner: ownerOfTests, IdempotencyKey: x.name, CountQuota: true, Estimate: 4, PublicURL: "https://api.example.com",
			Request: task.Request{Prompt: promptOfTests, Model: task.DefaultModel, NumImages: 1, ImageURLs: []string{linkOfTests}},
		}, created)
		if _, err := s.Create(t.Context(), row, 0); err != nil {
			t.Fatal(err)
		}
		_, err := task.Update(t.Context(), s, row, func(r *task.Task) error {
			return x.change(r, func(d time.Duration) time.Time { return created.Add(d) })
		})
		if err != nil {
			t.Fatal(x.name, err)
		}
	}
	if err := s.Pause(t.Context(), task.Posts, night.Add(9*time.Second)); err != nil {
		t.Fatal(err)
	}
}

// logLines are the lines that the samples have left in the log, with others between.
func logLines(t testing.TB) []string {
	t.Helper()
	line := func(before time.Duration, level, msg string, more map[string]any) string {
		all := map[string]any{"time": night.Add(-before), "level": level, "msg": msg}
		for name, value := range more {
			all[name] = value
		}
		b, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	id := func(name string) string { return sample{name: name}.id() }
	lines := []string{
		line(6*24*time.Hour, "INFO", "swept", map[string]any{"event": "swept", "done": 0, "failed": 0, "oldestSeconds": 0}),
		line(5*24*time.Hour, "ERROR", "a task has ended", map[string]any{
			"event": lifecycle.EventEnded, "bad": true, "task": id("untold"), "status": "failed", "code": "provider_rejected",
			"model": "nano-banana", "ageSeconds": 2, "attempts": 1, "providerCode": 422,
		}),
		line(47*time.Hour, "ERROR", "a notice was given up; bin/ops redrive sends it again", map[string]any{
			"event": lifecycle.EventNoticeGivenUp, "task": id("untold"), "status": "failed", "attempt": 1,
		}),
		line(40*time.Second, "ERROR", "a notice was given up; bin/ops redrive sends it again", map[string]any{ // and is being sent again
			"event": lifecycle.EventNoticeGivenUp, "task": id("storing"), "status": "storing", "attempt": 1,
		}),
		"START RequestId: 6d1b Version: $LATEST", // Lambda's own
	}
	for n := range 190 {
		lines = append(lines, line(time.Duration(23*60-7*n)*time.Minute, "INFO", "a task has ended", map[string]any{
			"event": lifecycle.EventEnded, "bad": false, "task": task.NewID(ownerOfTests, fmt.Sprint("ended ", n)), "status": "succeeded", "code": "",
			"model": []string{"nano-banana", "nano-banana-pro"}[n%5/4], "ageSeconds": 11 + n*n%97, "attempts": 1,
		}))
	}
	for n := range 8 {
		lines = append(lines, line(time.Duration(60+n)*time.Minute, "ERROR", "a task has ended", map[string]any{
			"event": lifecycle.EventEnded, "bad": true, "task": id("untold"), "status": "failed", "code": "timed_out",
			"model": "nano-banana", "ageSeconds": 86400 + n, "attempts": 1,
		}))
	}
	return append(lines,
		line(3*time.Minute, "INFO", "a task has moved on", map[string]any{
			"event": lifecycle.EventTransition, "task": id("done"), "to": "submitting", "cause": "order", "ms": 0, "attempt": 1, "model": "nano-banana", "credits": 4, "charge": "doubtful",
		}),
		line(179*time.Second, "INFO", "a task has moved on", map[string]any{
			"event": lifecycle.EventTransition, "task": id("done"), "from": "submitting", "to": "generating", "cause": "answer", "ms": 1000, "attempt": 1, "model": "nano-banana", "credits": 4, "charge": "sure",
		}),
		line(99*time.Second, "WARN", "pictures not stored; will retry", map[string]any{"task": id("done"), "status": "storing", "attempt": 1}),
		line(80*time.Second, "INFO", "a task has ended", map[string]any{
			"event": lifecycle.EventEnded, "bad": false, "task": id("done"), "status": "succeeded", "code": "", "model": "nano-banana", "ageSeconds": 100, "attempts": 1,
		}),
	)
}

// localEnv returns an Env of a local run with the samples and their log, at night.
func localEnv(t testing.TB) *Env {
	t.Helper()
	dir := t.TempDir()
	store, err := taskbolt.Open(filepath.Join(dir, "tasks.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	fill(t, store)
	logs := FileLogs{Older: filepath.Join(dir, "older"), Current: filepath.Join(dir, "current")}
	lines := logLines(t)
	for path, part := range map[string][]string{logs.Older: lines[:len(lines)/2], logs.Current: lines[len(lines)/2:]} {
		var text []byte
		for _, l := range part {
			text = append(append(text, l...), '\n')
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e := envOf(store, logs)
	e.Service.Provider.BaseURL = provider(t).URL
	return e
}

// lostProviderID is the provider's id of the sample "lost".
const lostProviderID = "provider-of-the-lost-task"

// provider returns the simulated provider, which has made the picture of "lost".
func provider(t testing.TB) *nanobananatest.Server {
	t.Helper()
	journal := filepath.Join(t.TempDir(), "simulator.jsonl")
	lines := fmt.Sprintf(`{"accepted":{"id":%[1]q,"endpoint":"generate","params":{"prompt":%[2]q,"type":"TEXTTOIAMGE","numImages":1,"callBackUrl":"http://127.0.0.1:1/"},"createdAt":%[3]q,"due":%[3]q,"visible":%[3]q,"charge":4,"outcome":{},"look":{"width":8,"height":8,"format":"png","extension":"png"}}}
{"finished":{"id":%[1]q,"at":%[3]q}}
{"told":%[1]q}
`, lostProviderID, promptOfTests, night.Add(-26*time.Hour).Format(time.RFC3339))
	if err := os.WriteFile(journal, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := nanobananatest.Open(journal)
	if err != nil {
		t.Fatal(err)
	}
	s.SetKeys("key-of-tests")
	site := httptest.NewServer(s)
	t.Cleanup(func() { site.Close(); s.Close() })
	s.URL = site.URL
	return s
}

// noWait is Env.Wait for tests, whose clock stands still.
func noWait(ctx context.Context, _ time.Duration) error { return ctx.Err() }

// memorySecret is the secret of a local run in tests.
type memorySecret struct {
	version int
	value   []byte
}

func (s *memorySecret) Read(context.Context) (vault.Version, error) {
	return vault.Version{ID: fmt.Sprint(s.version), Created: night.Add(-time.Hour), ReadAt: night, Value: s.value}, nil
}

func (s *memorySecret) Swap(_ context.Context, was vault.Version, value []byte) error {
	if was.ID != fmt.Sprint(s.version) {
		return vault.ErrChanged
	}
	s.version, s.value = s.version+1, value
	return nil
}

// envOf returns an Env of a local run, at night.
func envOf(store task.Store, logs Logs) *Env {
	log := slog.New(slog.DiscardHandler)
	settings, _ := config.Load(func(string) string { return "" }, config.Local)
	secrets := config.NewSecrets(func(context.Context) ([]byte, error) { return []byte(secretOfTests), nil }, outbound.WallClock, log)
	service := lifecycle.New(settings, store, secrets, outbound.NewClient(), log)
	now := func() time.Time { return night }
	service.Now = now
	return &Env{
		Store: store, Settings: settings, Secrets: secrets, Secret: &memorySecret{value: []byte(secretOfTests)}, Service: service, Logs: logs, Now: now,
		Name: "local run in .local", Suffix: " -data .local", Stopped: true, Wait: noWait,
	}
}
