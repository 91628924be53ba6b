package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/task"
)

// EventRescued is the attribute "event" of the log line for a task that takes over the
// pictures of one that ended without them.
const EventRescued = "task_rescued"

// NotRescued is why no task was made.
type NotRescued string

// The kinds of NotRescued.
const (
	NoSuchTask      NotRescued = "not_found"
	RescueDeleted   NotRescued = "deleted"        // by its owner
	RescueRunning   NotRescued = "unfinished"     // it may still get its pictures by itself
	RescueNeedless  NotRescued = "succeeded"      // it has them
	RescueHopeless  NotRescued = "ended_for_good" // its record, or the provider's answer, said why
	RescueDone      NotRescued = "rescued"        // another task has taken them over
	RescueUnnamed   NotRescued = "no_provider_id"
	RescueBadID     NotRescued = "bad_provider_id"
	RescueTooSoon   NotRescued = "too_soon" // its record was read a moment ago, or all reads are paused
	RescueUnread    NotRescued = "unreadable"
	RescueForeign   NotRescued = "foreign"   // the record is another task's
	RescueUnproved  NotRescued = "unproved"  // nothing proves that the record is the task's
	RescueNotMade   NotRescued = "not_made"  // the record has no picture
	RescueOvertaken NotRescued = "overtaken" // the task changed after its record was read
	RescueForbidden NotRescued = "newer_release"
	RescueForgotten NotRescued = "forgotten" // its owner is
)

// RescueError is a rescue that was refused. Nothing was written but the time of the read,
// if the record was read.
type RescueError struct {
	Why        NotRescued
	Origin     *task.Task    // nil if there is none
	Rescued    *task.Task    // RescueDone: the task that has the pictures
	ProviderID string        // that was asked for
	Wait       time.Duration // RescueTooSoon
	State      task.RecordState
	Code       task.Code // RescueNotMade: of a record that says failed
	Shape      string    // of the record, without values

	ProviderCode int // of an answer that is no record; 0: none
}

func (e *RescueError) Error() string { return "not rescued: " + string(e.Why) }

// Rescuer gives pictures to tasks that ended without them, although the provider made
// them. See docs/decisions/rescue.md.
type Rescuer struct{ *Service }

// Rescue asks for the record of a task that ended without its pictures: by the task's own
// provider id, or by providerID if that is not empty. If the record is certainly the task's
// and has links to pictures, a new task takes them over, and Rescue returns it. A refusal is
// a *RescueError. After any other error the new task may or may not exist; the next call
// tells.
func (s Rescuer) Rescue(ctx context.Context, id, providerID string) (*task.Task, error) {
	origin, err := s.rescuable(ctx, id, providerID)
	if err != nil {
		return nil, err
	}
	var claim task.Claim
	var wait time.Duration
	origin, err = task.Update(ctx, s.Store, origin, func(x *task.Task) error {
		if why := notRescuable(x); why != "" {
			return &RescueError{Why: why, Origin: x}
		}
		claim, wait = x.ClaimRescue(s.Rules, s.Now(), providerID)
		return nil
	})
	refuse := RescueError{Origin: origin, ProviderID: claim.ProviderID, Wait: wait}
	switch {
	case errors.Is(err, task.ErrForeign):
		return nil, refuse.as(RescueForbidden)
	case err != nil:
		return nil, err
	case claim.ProviderID == "":
		return nil, refuse.as(RescueUnnamed)
	case wait > 0:
		return nil, refuse.as(RescueTooSoon)
	}
	// Once more, after the claim: so its record is not read while the new task's is.
	if err := s.alreadyRescued(ctx, origin); err != nil {
		return nil, err
	}
	record, err := s.rescueRecord(ctx, refuse, claim)
	if err != nil {
		return nil, err
	}
	return s.takeOver(ctx, refuse, task.Rescue(origin, claim, record, s.Now()))
}

func (e RescueError) as(why NotRescued) *RescueError {
	e.Why = why
	return &e
}

// rescuable returns the task, if it may be rescued now.
func (s Rescuer) rescuable(ctx context.Context, id, providerID string) (*task.Task, error) {
	if providerID != "" && !nanobanana.ValidTaskID(providerID) {
		return nil, &RescueError{Why: RescueBadID, ProviderID: providerID}
	}
	rows, err := s.Store.Tasks(ctx, []string{id, task.RescueID(id)})
	switch {
	case err != nil:
		return nil, err
	case len(rows) == 0 || rows[0].ID != id:
		return nil, &RescueError{Why: NoSuchTask}
	}
	origin := rows[0]
	switch why := notRescuable(origin); {
	case why != "":
		return nil, &RescueError{Why: why, Origin: origin}
	case len(rows) > 1:
		return nil, &RescueError{Why: RescueDone, Origin: origin, Rescued: rows[1]}
	}
	p, err := s.Store.Paused(ctx)
	switch {
	case err != nil:
		return nil, err
	case p.Forgotten.Has(origin.Owner, s.Now()):
		return nil, &RescueError{Why: RescueForgotten, Origin: origin}
	}
	if wait := p.Reads.Sub(s.Now()); wait > 0 {
		return nil, &RescueError{Why: RescueTooSoon, Origin: origin, Wait: wait}
	}
	return origin, nil
}

// notRescuable returns why a task may not be rescued, or "".
func notRescuable(t *task.Task) NotRescued {
	switch {
	case t.Deleted():
		return RescueDeleted
	case !t.Done():
		return RescueRunning
	case t.Status == task.Succeeded:
		return RescueNeedless
	case !t.MayBeRescued():
		return RescueHopeless
	}
	return ""
}

// alreadyRescued returns a *RescueError if a task has taken over the pictures of origin.
func (s Rescuer) alreadyRescued(ctx context.Context, origin *task.Task) error {
	rescued, err := s.Store.Task(ctx, task.RescueID(origin.ID))
	switch {
	case errors.Is(err, task.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return &RescueError{Why: RescueDone, Origin: origin, Rescued: rescued}
}

// rescueRecord returns the record that claim asks for, if it is certainly the task's and
// has links to pictures. Refuse is what it returns otherwise, with the reason.
func (s Rescuer) rescueRecord(ctx context.Context, refuse RescueError, claim task.Claim) (task.Record, error) {
	if s.Now().Sub(claim.At) >= task.ClaimLife {
		refuse.Wait = s.Rules.Poll
		return task.Record{}, refuse.as(RescueTooSoon) // somebody else may have claimed a read since
	}
	record, reply := s.fetchRecord(ctx, refuse.Origin, claim, sweepReadTimeout)
	refuse.State, refuse.Code, refuse.Shape, refuse.ProviderCode = record.State, record.Code, reply.shape, reply.code
	switch {
	case record.State == task.RecordUnreadable:
		return record, refuse.as(RescueUnread)
	case record.Match == task.MatchForeign, reply.id != "" && reply.id != claim.ProviderID && !names(refuse.Origin, claim.ProviderID):
		return record, refuse.as(RescueForeign)
	case record.Match != task.MatchOwn && !claim.Proved:
		return record, refuse.as(RescueUnproved)
	case record.State != task.RecordMade && record.State != task.RecordUnstated || len(record.URLs) == 0:
		return record, refuse.as(RescueNotMade)
	}
	return record, nil
}

// names reports whether the task's row has the provider id. By any other the provider must
// answer with the record of that very id: else the id is another task's, whose record this
// one's would read for fresh links.
func names(t *task.Task, id string) bool {
	return id == t.ProviderID || slices.ContainsFunc(t.Notes, func(n task.AttemptNote) bool { return n.ProviderID == id })
}

// takeOver stores the rescued task.
func (s Rescuer) takeOver(ctx context.Context, refuse RescueError, t *task.Task) (*task.Task, error) {
	stored, err := s.Store.Rescue(ctx, t, refuse.Origin)
	switch {
	case errors.Is(err, task.ErrExists):
		refuse.Rescued = stored
		return nil, refuse.as(RescueDone)
	case errors.Is(err, task.ErrDeleted), errors.Is(err, task.ErrNotFound):
		return nil, refuse.as(RescueDeleted)
	case errors.Is(err, task.ErrConflict):
		return nil, refuse.as(RescueOvertaken)
	case err != nil:
		return nil, fmt.Errorf("the rescued task could not be written, or its answer was lost: %w", err)
	}
	rowWriter{s.Store, s.Log}.logMove(ctx, stored, task.Rescued)
	if stored, err = s.forgotten(ctx, stored); err != nil {
		return nil, err
	}
	s.log(ctx, slog.LevelInfo, stored, "a task was rescued; its pictures are being stored", "event", EventRescued, "rescuedFrom", stored.RescuedFrom)
	return stored, nil
}

// forgotten has t erased at its end if its owner was forgotten meanwhile: the list of the
// owner's tasks may have been read before t was written.
func (s Rescuer) forgotten(ctx context.Context, t *task.Task) (*task.Task, error) {
	p, err := s.Store.Paused(ctx)
	if err == nil && p.Forgotten.Has(t.Owner, s.Now()) {
		t, err = Update(ctx, s.Log, s.Store, t, func(x *task.Task) error { return x.Forget(s.Rules, s.Now()) })
	}
	if err != nil {
		return nil, fmt.Errorf("a task was rescued, and whether its owner was forgotten meanwhile could not be read; "+
			"if so, forget the owner again: %w", err)
	}
	return t, nil
}
