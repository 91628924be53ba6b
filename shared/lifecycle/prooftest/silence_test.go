package prooftest

import (
	"bytes"
	"encoding/json"
	"log/slog"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// The promises about the log, by their names.
const (
	neverSilent = "what nobody can read is never silent"
	endsAloud   = "every end is one line"
)

// ending is an end, as a row has it.
type ending struct {
	by   *actor
	said bool // in the log
}

// aloud are the levels of the ends that are not logged as errors.
var aloud = map[task.Code]slog.Level{
	"": slog.LevelInfo, task.CodeContentPolicy: slog.LevelInfo, task.CodeInputImageUnusable: slog.LevelInfo,
	task.CodeInsufficientCredits: slog.LevelInfo, task.CodeCanceled: slog.LevelInfo, task.CodeGenerationFailed: slog.LevelWarn,
}

// journal reads the log of a process.
type journal struct{ p *process }

func (j journal) Write(b []byte) (int, error) {
	w := j.p.world
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, secret := range []string{nanobananatest.DefaultKey, rolledKey, callbackKey, "/v1/callbacks/"} {
		if bytes.Contains(b, []byte(secret)) {
			w.violate("I11", "the log: %s", b)
		}
	}
	if bytes.Contains(b, []byte("panic")) {
		w.violate("no panic", "%s", b)
	}
	if bytes.Contains(b, []byte(`"event":`)) && j.p.actor.lives() {
		var line entry
		if err := json.Unmarshal(b, &line); err != nil {
			return 0, err
		}
		if line.Event != w.mutant.mutes {
			w.logged(j.p.actor, line)
		}
	}
	return len(b), nil
}

// entry is a line of the log.
type entry struct {
	Level  slog.Level  `json:"level"`
	Event  string      `json:"event"`
	Task   string      `json:"task"`
	Status task.Status `json:"status"`
	Code   task.Code   `json:"code"`
}

// logged notes a line of the log, and checks that it is true.
func (w *world) logged(a *actor, line entry) {
	switch line.Event {
	case lifecycle.EventDoubt:
		cause := a.stranger
		for o := range a.doubts {
			if o.task == line.Task {
				o.doubt.said, cause = true, true
				w.count("doubt logged", true)
			}
		}
		if !cause || line.Level != slog.LevelError {
			w.violate("the log is true", "%s of %s at %s, whose record was read as it should", line.Event, short(line.Task), line.Level)
		}
	case lifecycle.EventEnded:
		t, end := w.book.row(line.Task), w.book.ends[line.Task]
		if end == nil || end.said || line.Status != t.Status || line.Code != t.Failure {
			w.violate("the log is true", "%s of %s as %s %s, which is %s", line.Event, short(line.Task), line.Status, line.Code, state(t))
			return
		}
		end.said = true
		level, known := aloud[t.Failure]
		if !known {
			level = slog.LevelError
		} else if t.Missing > 0 {
			level = slog.LevelWarn
		}
		w.count("an end logged at "+level.String(), true)
		if line.Level != level {
			w.violate("the log is true", "%s is %s, and that is logged at %s", short(t.ID), state(t), line.Level)
		}
	}
}

// checkSilence holds what an actor has written against the log, once the actor
// has ended. The log may miss a line only if the actor's process died between the
// write and the line, or if the answer to the write was lost.
func (w *world) checkSilence(a *actor) {
	if w.over {
		return
	}
	for id := range a.wrote {
		end := w.book.ends[id]
		if end == nil || end.by != a || end.said || a.kind == "delete" {
			continue
		}
		if a.unheard[id] {
			w.count("an end not logged: its write was not answered", true)
			continue
		}
		w.violate(endsAloud, "%s is %s, and the log does not say so", short(id), state(w.book.row(id)))
	}
	for o, faults := range a.doubts {
		t := w.book.row(o.task)
		reading := t.Status == task.Generating || t.Status == task.Unconfirmed
		first := o.doubt.by
		switch {
		case o.foreign, o.doubt.said, !reading, t.Attempt != o.attempt, recordID(t) != o.id:
		case a.faults != faults:
			w.count("a doubt not logged: its write failed", true)
		case first != nil && (first.unheard[t.ID] || first.process.dead):
			w.count("a doubt not logged: its write was not answered", true)
		default:
			w.violate(neverSilent, "the record of %s came as %s, and the log does not say so", short(t.ID), o.record)
		}
	}
}
