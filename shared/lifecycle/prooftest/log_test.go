package prooftest

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"slices"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// The promises about the log, by their names.
const (
	doubtLogged = "an unusable record is logged"
	endsLogged  = "every end is logged once"
	movesLogged = "every change of status is logged once"
)

// moving is a change of status that an actor wrote.
type moving struct {
	task     string
	from, to task.Status // from is empty: the task was made
	said     bool        // it was logged
}

// ending is the end of a task.
type ending struct {
	by      *actor
	lacking bool // a success without all its pictures or copies of its inputs
	said    bool // it was logged
}

// endLevels are the log levels of ends that are not errors.
var endLevels = map[task.Code]slog.Level{
	"": slog.LevelInfo, task.CodeContentPolicy: slog.LevelInfo, task.CodeInputImageUnusable: slog.LevelInfo,
	task.CodeInsufficientCredits: slog.LevelInfo, task.CodeCanceled: slog.LevelInfo, task.CodeGenerationFailed: slog.LevelWarn,
}

// processLog checks the log of a process.
type processLog struct{ p *process }

func (l processLog) Write(b []byte) (int, error) {
	sim := l.p.sim
	sim.mu.Lock()
	defer sim.mu.Unlock()
	for _, secret := range []string{nanobananatest.DefaultKey, rolledKey, callbackKey, "/v1/callbacks/"} {
		if bytes.Contains(b, []byte(secret)) {
			sim.violate("I11", "the log: %s", b)
		}
	}
	if bytes.Contains(b, []byte("panic")) {
		sim.violate("no panic", "%s", b)
	}
	if bytes.Contains(b, []byte(`"event":`)) && l.p.actor.lives() {
		var line entry
		if err := json.Unmarshal(b, &line); err != nil {
			return 0, err
		}
		if line.Event != sim.mutant.dropsEvent {
			sim.logged(l.p.actor, line)
		}
	}
	return len(b), nil
}

// entry is a log line.
type entry struct {
	Level  slog.Level  `json:"level"`
	Event  string      `json:"event"`
	Task   string      `json:"task"`
	From   task.Status `json:"from"`
	To     task.Status `json:"to"`
	Status task.Status `json:"status"`
	Code   task.Code   `json:"code"`
}

// logged notes a log line, and checks that it is true.
func (sim *simulation) logged(a *actor, line entry) {
	switch line.Event {
	case lifecycle.EventTransition:
		is := func(m *moving) bool { return m.task == line.Task && m.from == line.From && m.to == line.To && !m.said }
		i := slices.IndexFunc(a.moved, is)
		if i < 0 {
			sim.violate("the log is true", "%s of %s from %q to %s, which %s did not write", line.Event, short(line.Task), line.From, line.To, a.kind)
			return
		}
		a.moved[i].said = true
		sim.count("a change of status logged", true)
	case lifecycle.EventDoubt:
		cause := a.stranger
		for o := range a.doubts {
			if o.task == line.Task {
				o.doubt.said, cause = true, true
				sim.count("doubt logged", true)
			}
		}
		if !cause || line.Level != slog.LevelError {
			sim.violate("the log is true", "%s of %s at %s, though its record was usable", line.Event, short(line.Task), line.Level)
		}
	case lifecycle.EventEnded:
		t, end := sim.ledger.row(line.Task), sim.ledger.ends[line.Task]
		if end == nil || end.said || line.Status != t.Status || line.Code != t.Failure {
			sim.violate("the log is true", "%s of %s as %s %s, though it is %s", line.Event, short(line.Task), line.Status, line.Code, state(t))
			return
		}
		end.said = true
		level, known := endLevels[t.Failure]
		if !known {
			level = slog.LevelError
		} else if end.lacking {
			level = slog.LevelWarn
		}
		sim.count("an end logged at "+level.String(), true)
		if line.Level != level {
			sim.violate("the log is true", "%s is %s, and is logged at %s", short(t.ID), state(t), line.Level)
		}
	}
}

// checkSilence checks, when an actor has ended, that the log has a line for what it wrote.
// The log may miss a line only if the actor's process died between the write and the
// line, or if the answer to the write was lost.
func (sim *simulation) checkSilence(a *actor) {
	if sim.over {
		return
	}
	for _, m := range a.moved {
		switch {
		case m.said:
		case a.unheard[m.task]:
			sim.count("a change of status not logged: its write was not answered", true)
		default:
			sim.violate(movesLogged, "%s went from %q to %s by %s, and that is not logged", short(m.task), m.from, m.to, a.kind)
		}
	}
	for id := range a.wrote {
		end := sim.ledger.ends[id]
		if end == nil || end.by != a || end.said || a.kind == "delete" || a.kind == "forget" {
			continue
		}
		if a.unheard[id] {
			sim.count("an end not logged: its write was not answered", true)
			continue
		}
		sim.violate(endsLogged, "%s is %s, and that is not logged", short(id), state(sim.ledger.row(id)))
	}
	for o, faults := range a.doubts {
		t := sim.ledger.row(o.task)
		reading := t.Status == task.Generating || t.Status == task.Unconfirmed
		first := o.doubt.by
		switch {
		case o.foreign, o.doubt.said, !reading, t.Attempt != o.attempt, recordID(t) != o.id:
		case a.faults != faults:
			sim.count("a doubt not logged: its write failed", true)
		case first != nil && (first.unheard[t.ID] || first.process.dead):
			sim.count("a doubt not logged: its write was not answered", true)
		default:
			sim.violate(doubtLogged, "the record of %s came as %s, and that is not logged", short(t.ID), o.record)
		}
	}
}
