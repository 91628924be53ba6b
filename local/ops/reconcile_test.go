package ops_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/local/ops"
)

// log writes the lines that a local run has kept.
func (f *folder) log(name string, lines ...map[string]any) {
	f.t.Helper()
	var all []byte
	for _, l := range lines {
		b, err := json.Marshal(l)
		if err != nil {
			f.t.Fatal(err)
		}
		all = append(append(all, b...), '\n')
	}
	if err := os.WriteFile(filepath.Join(f.path, name), all, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func TestReconcile(t *testing.T) {
	f := newFolder(t, nil)
	contains(t, f.fine("reconcile"), "0 checks of the balance", "two are needed")
	at := func(minutes int) time.Time { return time.Now().Add(time.Duration(minutes-600) * time.Minute) }
	check := func(minute int, balance float64) map[string]any {
		return map[string]any{"time": at(minute), "level": "INFO", "msg": "credits checked", "event": "credits_checked", "balance": balance}
	}
	move := func(minute int, from, to, charge string) map[string]any {
		return map[string]any{"time": at(minute), "level": "INFO", "msg": "a task has moved on", "event": "transition", "task": "t1", "from": from, "to": to, "attempt": 1, "credits": 4, "charge": charge}
	}
	task := []map[string]any{move(3, "", "submitting", "doubtful"), move(3, "submitting", "generating", "sure"), move(4, "generating", "storing", "sure")}
	lines := func(more ...map[string]any) []map[string]any {
		return append(append([]map[string]any{check(0, 100)}, task...), more...)
	}
	f.log("log.jsonl", lines(check(10, 96), check(90, 96))...)
	contains(t, f.fine("reconcile"), "3 checks", "fell by 4 credits", "4 to 4 credits", "Everything is within")
	f.log("log.jsonl", lines(check(10, 1092), check(90, 1092))...)
	contains(t, f.fine("reconcile -since 1d"), "the balance rose by 992: a top-up", "Everything is within")
	f.log("log.jsonl", lines(check(10, 92), check(90, 92))...)
	out, _, exit := f.run("", "reconcile")
	if exit != ops.NeedsYou {
		t.Errorf("status %d", exit)
	}
	contains(t, out, "at least 4 credits more than the tasks can have cost", "what task t1 costs: perhaps it was charged twice", "next: bin/ops inspect t1")
	f.refused("reconcile -since yesterday", "is no time")
}
