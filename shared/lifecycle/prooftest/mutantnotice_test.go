package prooftest

import "github.com/preset/nanobanana-functions/shared/task"

// Faults in what a write does to a notice.

func ended(old, new *task.Task) bool { return old.Done() && new.Done() }

func moved(old, new *task.Task) bool {
	return ended(old, new) && !new.Deleted() && targetOf(old.Target) != targetOf(new.Target)
}

func setNotice(t, from *task.Task) {
	t.Schema, t.Notice, t.NoticeTurn, t.NoticeTarget = from.Schema, from.Notice, from.NoticeTurn, from.NoticeTarget
}

// untoldMove keeps the notice as it was before a move.
func untoldMove(old, new *task.Task) {
	if moved(old, new) {
		setNotice(new, old)
	}
}

func sameVersion(old, new *task.Task) {
	if moved(old, new) {
		new.Changes = old.Changes
	}
}

// forgottenTarget notes where the task was before the last move, told or not.
func forgottenTarget(old, new *task.Task) {
	if moved(old, new) && new.NoticeKind() == task.NoticeMoved {
		new.NoticeTarget = old.Target
	}
}

func newVersion(old, new *task.Task) {
	if new.NoticeTurn.Tries > 1 {
		new.NoticeTarget = &task.Target{Kind: "showcase", ID: "woken"}
	}
}

// waitingNotice makes no notice pending while there is an erase, and makes it after that.
func waitingNotice(old, new *task.Task) {
	switch {
	case new.Work == task.Erase && old.Work == "":
		setNotice(new, &task.Task{Schema: 1})
	case old.Work == task.Erase && new.Work == "":
		new.NoticeGivenUpAt = new.DeletedAt
		new.Redrive(new.DeletedAt)
	}
}

func erasedNotice(old, new *task.Task) {
	if old.Work == task.Erase && new.Work == "" {
		setNotice(new, &task.Task{Schema: 1})
	}
}

func toldErase(old, new *task.Task) {
	if old.Notice != "" && new.Notice == "" && new.Work == task.Erase {
		new.Work, new.Turn = "", task.Turn{}
	}
}

func pendingForEver(old, new *task.Task) {
	if old.Notice != "" && new.Notice == "" && new.NoticeGivenUpAt.IsZero() {
		setNotice(new, old)
	}
}
