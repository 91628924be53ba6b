package ops

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/task"
)

// shows fails the test unless a command ends so and prints all of these.
func shows(t *testing.T, e *Env, line string, parts ...string) (out string) {
	t.Helper()
	out = strings.Join(strings.Fields(runWords(t, e, wordsOf(line)...)), " ")
	for _, part := range parts {
		if !strings.Contains(out, part) {
			t.Errorf("%s prints\n%s\nwithout %q", line, out, part)
		}
	}
	return out
}

func TestPauseAndResume(t *testing.T) {
	e := localEnv(t)
	e.Settings.PostRate = config.Rate{Count: 1, Per: time.Minute}
	stored := func(reason string, since time.Time) {
		t.Helper()
		p, err := e.Store.Paused(t.Context())
		if h := p.By[task.HeldByOperator]; err != nil || h.Reason != reason || !h.Since.Equal(since) || !h.Until.IsZero() {
			t.Errorf("stored: %+v, %v", p, err)
		}
	}
	shows(t, e, "resume", "No hold of yours was in force; nothing was changed.", "2 orders wait")
	shows(t, e, `pause -reason "a new key"`, "All orders are held.", "a new key", "2 orders wait", "it takes 2 min 12 s to send them", "next: bin/ops resume")
	stored("a new key", night)
	later := night.Add(time.Hour)
	e.Now = func() time.Time { return later }
	shows(t, e, `pause -reason "a newer key"`, "have been held for 1 h 00 min", "a newer key")
	stored("a newer key", night)
	shows(t, e, "stuck", "HELD by the operator for 1 h 00 min", "a newer key")
	shows(t, e, "resume", "The hold has ended after 1 h 00 min", "At POST_RATE (1/1m0s) it takes 2 min 12 s", "next: bin/ops stuck")
	stored("", time.Time{})
	shows(t, e, "resume", "nothing was changed")
	if p, err := e.Store.Paused(t.Context()); err != nil || len(p.Past) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	e.Settings.PostRate = config.Rate{}
	shows(t, e, "resume", "all at once: POST_RATE is 0")
}

// A hold of the budget stays, and what ends it is said.
func TestResumeAndTheBudget(t *testing.T) {
	e := localEnv(t)
	e.Settings.DailyBudget = 5000
	until := task.NextDay(night)
	if err := e.Store.Hold(t.Context(), task.HeldByBudget, task.Hold{Reason: "the daily budget is spent", Since: night, Until: until}); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"resume", "pause -reason x", "resume"} {
		shows(t, e, line, "STILL HELD: the daily budget of 5000 credits is spent.", "at 00:00 UTC, in 20 h 48 min", "set a larger DailyBudget", "does not count against their 6 hours")
	}
	shows(t, e, "pause -reason x")
	if out := shows(t, e, "resume", "Your hold has ended"); strings.Contains(out, "orders are accepted") {
		t.Errorf("orders are still held:\n%s", out)
	}
	e.Settings.DailyBudget = 0 // a stopped local run does not know it
	shows(t, e, "resume", "STILL HELD: the daily budget is spent.")
	if p, err := e.Store.Paused(t.Context()); err != nil || p.By[task.HeldByBudget].Until != until {
		t.Errorf("%+v, %v", p, err)
	}
}

// Users read the reason, so it must be one line that can be read.
func TestPauseReason(t *testing.T) {
	e := localEnv(t)
	for line, want := range map[string]string{
		"pause":              "-reason is missing: users read it",
		`pause -reason ""`:   "-reason is missing",
		`pause -reason "  "`: "one line of visible characters",
		`pause -reason "` + strings.Repeat("é", 201) + `"`: "it must have 1 to 200",
		"pause -reason \"two\u2028lines\"":                 "one line of visible characters",
	} {
		shows(t, e, line, want)
	}
	if p, err := e.Store.Paused(t.Context()); err != nil || len(p.By) != 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

// With more unfinished tasks than a page, only those due first are counted, and that is
// said.
func TestPauseCountsAPage(t *testing.T) {
	e := localEnv(t)
	many(t, e.Store, 200)
	shows(t, e, "pause -reason x", "among the unfinished tasks that are due first; there are more")
	var got struct{ Report holdReport }
	out := runWords(t, e, "pause", "-reason", "y", "-json")
	if err := json.Unmarshal([]byte(out), &got); err != nil || !got.Report.More || got.Report.Was == nil || got.Report.Was.Reason != "x" || len(got.Report.Holds) != 1 || got.Report.Holds[0].Reason != "y" {
		t.Errorf("%v: %s", err, out)
	}
}
