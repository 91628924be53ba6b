package ops

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
)

// Each refusal is a sentence for people with a command that helps next.
func TestRescueRefusals(t *testing.T) {
	id, other := task.NewID("a", "b"), task.RescueID(task.NewID("a", "b"))
	origin := &task.Task{ID: id, ProviderID: "p1", Failure: task.CodeContentPolicy}
	rescued := func(s task.Status) *task.Task {
		return &task.Task{ID: other, Status: s, Failure: task.CodeImageUnavailable}
	}
	deleted := rescued(task.Succeeded)
	deleted.DeletedAt = night
	for _, c := range []struct {
		x          lifecycle.RescueError
		text, next string
	}{
		{lifecycle.RescueError{Why: lifecycle.RescueDeleted}, "What its owner has deleted is not rescued.", "inspect " + id},
		{lifecycle.RescueError{Why: lifecycle.RescueForgotten}, "was forgotten", "inspect " + id},
		{lifecycle.RescueError{Why: lifecycle.RescueRunning}, "has not ended", "inspect " + id},
		{lifecycle.RescueError{Why: lifecycle.RescueNeedless}, "it succeeded", "inspect " + id},
		{lifecycle.RescueError{Why: lifecycle.RescueHopeless}, "failed with content_policy because the provider said so", "inspect " + id},
		{lifecycle.RescueError{Why: lifecycle.RescueDone, Rescued: rescued(task.Storing)}, other + ", whose pictures are being copied.", "inspect " + other},
		{lifecycle.RescueError{Why: lifecycle.RescueDone, Rescued: rescued(task.Succeeded)}, other + ", which has the pictures.", "inspect " + other},
		{lifecycle.RescueError{Why: lifecycle.RescueDone, Rescued: rescued(task.Failed)}, "its links died, too", "rescue " + other},
		{lifecycle.RescueError{Why: lifecycle.RescueDone, Rescued: deleted}, "It is not made again.", "inspect " + other},
		{lifecycle.RescueError{Why: lifecycle.RescueUnnamed}, "No provider id is known", "rescue " + id + " -provider-id ID"},
		{lifecycle.RescueError{Why: lifecycle.RescueTooSoon, ProviderID: "p1", Wait: 25*time.Second + 1}, "again in 26 s.", "rescue " + id},
		{lifecycle.RescueError{Why: lifecycle.RescueTooSoon, ProviderID: "p2", Wait: 3 * time.Minute}, "again in 3 min 00 s.", "rescue " + id + " -provider-id p2"},
		{lifecycle.RescueError{Why: lifecycle.RescueOvertaken, ProviderID: "p1"}, "changed after its record was read", "rescue " + id},
		{lifecycle.RescueError{Why: lifecycle.RescueForbidden}, "newer release", "inspect " + id},
		{lifecycle.RescueError{Why: lifecycle.RescueUnread, ProviderID: "p1"}, "record of p1 cannot be read: there is no answer", "rescue " + id},
		{lifecycle.RescueError{Why: lifecycle.RescueUnread, ProviderID: "p1", ProviderCode: 404}, "answers with code 404", "rescue " + id},
		{lifecycle.RescueError{Why: lifecycle.RescueForeign, ProviderID: "p2"}, "record of p2 is not this task's", "inspect " + id},
		{lifecycle.RescueError{Why: lifecycle.RescueUnproved, ProviderID: "p2"}, "nothing proves that it is this task's", "inspect " + id},
		{lifecycle.RescueError{Why: lifecycle.RescueNotMade, ProviderID: "p1", State: task.RecordRunning}, "still being made", "rescue " + id},
		{lifecycle.RescueError{Why: lifecycle.RescueNotMade, ProviderID: "p1", State: task.RecordFailed, Code: task.CodeContentPolicy}, "says that it failed: content_policy.", "inspect " + id},
		{lifecycle.RescueError{Why: lifecycle.RescueNotMade, ProviderID: "p1", State: task.RecordUnclear, Shape: "data{x:string}"}, "What it is made of: data{x:string}", "inspect " + id},
	} {
		c.x.Origin = origin
		text, next := refusalText(id, &c.x)
		if !strings.Contains(text, c.text) || next != c.next {
			t.Errorf("%s is %q, next %q; want %q, next %q", c.x.Why, text, next, c.text, c.next)
		}
	}
}

// What programs get: the refusal as a word, and the status 1.
func TestRescueForPrograms(t *testing.T) {
	e := localEnv(t)
	run := func(words string) (x struct {
		Report rescueReport
		Next   string
	}, exit Exit) {
		t.Helper()
		r := typed{words: words + " -json"}.parse(t)
		out, err := r.on(e)(t.Context(), nil, "")
		if err != nil || out.Err != "" {
			t.Fatalf("%s: %v %s", words, err, out.Err)
		}
		if err := json.Unmarshal([]byte(out.Text), &x); err != nil {
			t.Fatalf("%s: %v in %s", words, err, out.Text)
		}
		return x, out.Exit
	}
	lost := sample{name: "lost"}.id()
	if x, exit := run("rescue {silent}"); exit != Failed || x.Report.Refused != lifecycle.RescueRunning || x.Next == "" {
		t.Errorf("a running task: %+v, exit %d", x, exit)
	}
	if x, exit := run("rescue {lost} -provider-id unknown"); exit != Failed || x.Report.Refused != lifecycle.RescueUnread || x.Report.ProviderID != "unknown" {
		t.Errorf("an id that the provider does not know: %+v, exit %d", x, exit)
	}
	e.Service.Now = func() time.Time { return night.Add(time.Minute) }
	if x, exit := run("rescue {lost}"); exit != Fine || x.Report.RescuedAs != task.RescueID(lost) || x.Report.Links != 1 || x.Report.ProviderID != lostProviderID {
		t.Errorf("a lost one: %+v, exit %d", x, exit)
	}
	for words, want := range map[string]Exit{
		"rescue": Usage, "rescue nonsense": Usage, "rescue {lost} -provider-id a/b": Usage, "rescue " + task.NewID("no", "body"): Failed,
	} {
		var r request
		var err error
		if words == "rescue" {
			if _, _, err = parse(strings.Fields(words)); failure(err).Exit != want {
				t.Errorf("%s: %v", words, err)
			}
			continue
		}
		r = typed{words: words}.parse(t)
		if out, _ := r.on(e)(t.Context(), nil, ""); out.Exit != want || out.Err == "" {
			t.Errorf("%s: %+v", words, out)
		}
	}
}
