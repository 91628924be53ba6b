package ops

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

var inspectCommand = Command{
	Name: "inspect", Args: "TASK", Short: "the life of one task, and what happens to it next",
	Rights: append([]string{"secretsmanager:GetSecretValue"}, logRights...),
	Setup: func(f *flag.FlagSet) Run {
		logs := f.Bool("logs", false, "add its log lines")
		return func(ctx context.Context, e *Env, args []string) (Result, error) {
			return inspect(ctx, e, args[0], *logs)
		}
	},
}

// readTask returns a task, or an error for people.
func readTask(ctx context.Context, e *Env, id string) (*task.Task, error) {
	if !task.ValidID(id) {
		return nil, Usagef("%q is no task's id: that has 26 characters, digits and small letters up to v", id)
	}
	t, err := e.Store.Task(ctx, id)
	if errors.Is(err, task.ErrNotFound) {
		return nil, fmt.Errorf("%s has no task %s. Is it another run's? A failed task's row goes after 400 days", e.Name, id)
	}
	return t, err
}

// inspectReport is the life of a task: nothing of what people wrote, no link, no name.
type inspectReport struct {
	Task    string      `json:"task"`
	Status  task.Status `json:"status"`
	Code    task.Code   `json:"code,omitempty"` // of a failed one
	Since   time.Time   `json:"since"`
	Why     string      `json:"why,omitempty"` // it is not done with
	WhyFrom time.Time   `json:"whySince,omitzero"`
	Next    string      `json:"next,omitempty"`
	Due     time.Time   `json:"dueAt,omitzero"`
	GivenUp time.Time   `json:"deadline,omitzero"`
	Held    string      `json:"held,omitempty"` // why no order is sent now
	Rescued string      `json:"rescuedFrom,omitempty"`

	Created time.Time `json:"createdAt"`
	Ended   time.Time `json:"endedAt,omitzero"`
	Deleted time.Time `json:"deletedAt,omitzero"`
	Owner   string    `json:"owner,omitempty"` // a keyed hash
	Order   ordered   `json:"order"`
	Schema  int       `json:"schema"`
	Version int64     `json:"version"`

	ProviderID  string         `json:"providerId,omitempty"`
	Generations int            `json:"generations"`
	Refusals    int            `json:"refusals,omitempty"`
	ReadAt      time.Time      `json:"readAt,omitzero"` // the last read of the record
	Unreadable  time.Time      `json:"unreadableSince,omitzero"`
	Doubt       task.Doubt     `json:"doubt,omitempty"`
	Callback    string         `json:"callback,omitempty"` // what the last one said
	Attempts    []attemptLine  `json:"attempts"`
	Pictures    []task.Image   `json:"pictures,omitempty"`
	Saved       int            `json:"saved,omitempty"`   // already in the bucket, while others are missing
	Missing     int            `json:"missing,omitempty"` // ordered pictures that did not come
	Work        *turnLine      `json:"work,omitempty"`
	Notice      *turnLine      `json:"notice,omitempty"`
	Notified    time.Time      `json:"notifiedAt,omitzero"`
	NoticeLost  time.Time      `json:"noticeGivenUpAt,omitzero"`
	Quota       *task.Quota    `json:"quota,omitempty"`
	EraseAtEnd  bool           `json:"eraseAtEnd,omitempty"`
	Unknown     []string       `json:"unknown,omitempty"` // names of attributes of a newer release
	Logs        []logLineShown `json:"logs,omitempty"`
	LogsMore    bool           `json:"logsMore,omitempty"`
	LogBegin    time.Time      `json:"logBegin,omitzero"`

	withLogs bool
}

// ordered is what was ordered, without anything that a person wrote.
type ordered struct {
	Model      string  `json:"model,omitempty"`
	Resolution string  `json:"resolution,omitempty"`
	Pictures   int     `json:"pictures,omitempty"`
	Inputs     int     `json:"inputs,omitempty"` // pictures that it edits
	Estimate   float64 `json:"estimate,omitempty"`
}

// attemptLine is one attempt.
type attemptLine struct {
	Attempt    int          `json:"attempt"`
	Sent       time.Time    `json:"sentAt,omitzero"` // when its POST was allowed
	Answered   time.Time    `json:"answeredAt,omitzero"`
	Outcome    task.Outcome `json:"outcome,omitempty"`
	Charge     task.Charge  `json:"charge"`
	ProviderID string       `json:"providerId,omitempty"`
	Code       task.Code    `json:"code,omitempty"`
	ByCallback bool         `json:"byCallback,omitempty"`
}

// turnLine is what is left to do for a consumer of the stream.
type turnLine struct {
	What     string    `json:"what"`
	Tries    int       `json:"tries"`
	Due      time.Time `json:"dueAt"`
	Deadline time.Time `json:"deadline,omitzero"`
}

func inspect(ctx context.Context, e *Env, id string, logs bool) (Result, error) {
	t, err := readTask(ctx, e, id)
	if err != nil {
		return Result{}, err
	}
	paused, err := e.Store.Paused(ctx)
	if err != nil {
		return Result{}, err
	}
	_, held, isHeld := paused.InForce(e.Now())
	r := reportOf(t, isHeld)
	if isHeld && t.Status == task.Waiting {
		r.Held = held.Reason
	}
	r.Owner, r.withLogs = ownerHash(ctx, e, t.Owner), logs
	if logs {
		if err := r.readLogs(ctx, e, t); err != nil {
			return Result{}, err
		}
	}
	return Result{Report: r, Next: r.nextCommand(t)}, nil
}

// nextCommand returns what helps with the task.
func (r *inspectReport) nextCommand(t *task.Task) string {
	switch {
	case !t.NoticeGivenUpAt.IsZero():
		return "redrive " + t.ID
	case !r.withLogs && (t.Failure != "" || r.Why != ""):
		return "inspect " + t.ID + " -logs"
	}
	return ""
}

func reportOf(t *task.Task, held bool) *inspectReport {
	r := &inspectReport{
		Task: t.ID, Status: t.Status, Code: t.Failure, Since: t.Since, Created: t.CreatedAt, Ended: t.EndedAt, Deleted: t.DeletedAt,
		Order: ordered{
			Model: t.Model, Resolution: t.Resolution, Pictures: t.NumImages, Inputs: len(t.ImageURLs), Estimate: t.Estimate,
		},
		Rescued: t.RescuedFrom, Schema: t.Schema, Version: t.Version, ProviderID: t.ProviderID, Generations: t.Generations, Refusals: t.Refusals,
		ReadAt: t.ReadAt, Unreadable: t.UnreadableSince, Doubt: t.Doubt, Callback: hintWords(t.Hint),
		Attempts: attempts(t), Pictures: t.Images, Saved: len(t.Salvaged), Missing: t.Missing,
		Notified: t.NotifiedAt, NoticeLost: t.NoticeGivenUpAt, Quota: t.Quota, EraseAtEnd: t.EraseAtEnd,
	}
	if !t.Due().IsZero() {
		r.Why, r.WhyFrom, r.Next = why(t), since(t), nextStep(t, held)
		r.Due, r.GivenUp = t.Due(), deadline(t)
	}
	if t.Work != "" {
		r.Work = &turnLine{string(t.Work), t.Tries, t.DueAt, t.Deadline}
	}
	if t.Notice != "" {
		r.Notice = &turnLine{string(t.NoticeKind()), t.NoticeTurn.Tries, t.NoticeTurn.DueAt, t.NoticeTurn.Deadline}
	}
	for name := range t.Extra {
		r.Unknown = append(r.Unknown, name)
	}
	slices.Sort(r.Unknown)
	return r
}

// hintWords returns what the last callback said, without its links.
func hintWords(h *task.Hint) string {
	switch {
	case h == nil:
		return ""
	case h.Success:
		return "success, " + Count(len(h.URLs), "link")
	case h.Failure != "":
		return "failure: " + string(h.Failure)
	}
	return "nothing that could be read"
}

// attempts returns a line for each attempt. Rows of older releases have only charges, and
// of many attempts only the first and the last ones are noted.
func attempts(t *task.Task) []attemptLine {
	all := make([]attemptLine, 0, len(t.Charges))
	for i, charge := range t.Charges {
		all = append(all, attemptLine{Attempt: i + 1, Charge: charge})
	}
	for _, n := range t.Notes {
		if n.Attempt < 1 || n.Attempt > len(all) {
			continue
		}
		x := &all[n.Attempt-1]
		x.Sent, x.Answered, x.Outcome = n.Entered[task.Submitting], n.AnsweredAt, n.Outcome
		x.ProviderID, x.Code, x.ByCallback = n.ProviderID, n.Code, n.ByCallback
	}
	if n := len(all); n > 0 && all[n-1].ProviderID == "" {
		all[n-1].ProviderID = t.ProviderID
	}
	return all
}

// ownerHash returns the owner as a keyed hash, by which two tasks of one owner are
// recognised; empty if the secret cannot be read or there is no owner any more.
func ownerHash(ctx context.Context, e *Env, owner string) string {
	secret, err := e.Secrets.Current(ctx)
	if err != nil || owner == "" || len(secret.ImageKeys) == 0 {
		return ""
	}
	_, signed, _ := strings.Cut(secret.ImageKeys.Sign("owner|"+owner), ".")
	return signed[:min(12, len(signed))]
}

// Log lines of a task that people see.
const maxLogLines = 500

type logLineShown struct {
	Time  time.Time      `json:"time"`
	Level string         `json:"level"`
	Msg   string         `json:"msg"`
	More  map[string]any `json:"more,omitempty"`
}

func (r *inspectReport) readLogs(ctx context.Context, e *Env, t *task.Task) error {
	begin, err := e.Logs.Begin(ctx)
	if err != nil {
		return err
	}
	if r.LogBegin = begin; begin.IsZero() {
		return nil
	}
	for l, err := range e.Logs.Lines(ctx, LogQuery{Since: t.CreatedAt.Add(-time.Second), Task: t.ID}) {
		if err != nil {
			return err
		}
		if len(r.Logs) == maxLogLines {
			r.LogsMore = true
			break
		}
		shown := logLineShown{Time: l.Time, Level: l.Level, Msg: l.Msg}
		if json.Unmarshal(l.Raw, &shown.More) != nil {
			continue
		}
		for _, name := range []string{"time", "level", "msg", "task", "_aws"} {
			delete(shown.More, name)
		}
		r.Logs = append(r.Logs, shown)
	}
	slices.SortStableFunc(r.Logs, func(a, b logLineShown) int { return cmp.Compare(a.Time.UnixNano(), b.Time.UnixNano()) })
	return nil
}
