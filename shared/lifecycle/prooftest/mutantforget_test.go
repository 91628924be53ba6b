package prooftest

import (
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// Faults in what a write does when an owner is forgotten, and when a deleted row is done.

func lostMark(old, new *task.Task) {
	if old.EraseAtEnd {
		new.EraseAtEnd = false
	}
}

// keptAtEnd leaves a marked task that fails as it is.
func keptAtEnd(old, new *task.Task) {
	if old.EraseAtEnd && !old.Done() && new.Status == task.Failed {
		new.DeletedAt, new.Work, new.Turn = time.Time{}, "", task.Turn{}
		new.Request, new.Fingerprint = old.Request, old.Fingerprint
	}
}

// lostOwner reports whether a write takes the owner from a row.
func lostOwner(old, new *task.Task) bool { return old.Owner != "" && new.Owner == "" }

func keptOwner(old, new *task.Task) {
	if lostOwner(old, new) {
		new.Owner = old.Owner
	}
}

func ownerGone(old, new *task.Task) {
	if new.Deleted() && new.Notice != "" && new.Work == "" {
		new.Owner, new.NoticeTarget = "", nil
	}
}
