package task

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Target is the moodboard, Showcase or other place the pictures are for.
type Target struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

// String returns KIND:ID.
func (t Target) String() string { return t.Kind + ":" + t.ID }

// ParseTarget parses KIND:ID.
func ParseTarget(s string) (Target, bool) {
	kind, id, _ := strings.Cut(s, ":")
	t := Target{kind, id}
	return t, len(t.Faults()) == 0
}

// Faults returns the faults of the target. Their pointers start at the target.
func (t Target) Faults() []Field {
	var fs faults
	if !targetKind().MatchString(t.Kind) {
		fs.add("/kind", "invalid", "A kind is a lowercase word such as moodboard or showcase, up to 32 characters.")
	}
	if n := utf8.RuneCountInString(t.ID); n < 1 || n > maxTargetID || !printable(t.ID) {
		fs.add("/id", "invalid", fmt.Sprintf("An id has 1 to %d visible characters.", maxTargetID))
	}
	return fs
}

// SetTarget moves the pictures to another place. It changes no status, so it is
// allowed in each; for a deleted task it returns ErrNotFound. The fingerprint stays
// that of the original request, so that a replay still finds the task.
func (t *Task) SetTarget(r Rules, to Target, now time.Time) error {
	switch {
	case t.Deleted():
		return ErrNotFound
	case t.Target != nil && *t.Target == to:
		return nil
	}
	now = stamp(now)
	if t.Done() {
		told := t.Target
		if t.untold() {
			told = t.NoticeTarget
		}
		t.changed(r, now, told)
	}
	t.Target, t.UpdatedAt = &to, now
	return nil
}
