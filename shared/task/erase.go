package task

import "time"

// Delete empties a finished task for its owner. It cancels a Waiting task, and
// returns CodeConflict for a running one.
func (t *Task) Delete(r Rules, now time.Time) error {
	now = stamp(now)
	switch {
	case t.Status == Waiting:
		if err := t.fail(r, byDelete, CodeCanceled, now); err != nil {
			return err
		}
	case !t.Done():
		return &Error{Code: CodeConflict}
	}
	t.remove(r, now)
	return nil
}

// Forget deletes the task because its owner is forgotten: a finished or waiting one at
// once, as DELETE does, and a running one when it ends. One that is deleted already loses
// its owner, if an older release has left it.
func (t *Task) Forget(r Rules, now time.Time) error {
	switch {
	case t.Deleted():
		t.anonymize()
	case t.Done(), t.Status == Waiting:
		return t.Delete(r, now)
	default:
		t.EraseAtEnd = true
	}
	return nil
}

// remove empties the row of an ended task and asks for its erase, unless it is deleted.
func (t *Task) remove(r Rules, now time.Time) {
	if t.Deleted() {
		return
	}
	t.DeletedAt, t.UpdatedAt = now, now
	t.changed(r, now, t.Target)
	t.Request = Request{}
	t.Fingerprint, t.Parent, t.SourceType, t.PublicURL = "", "", "", ""
	t.Images, t.Inputs, t.InputTypes, t.Hint = nil, nil, nil, nil
	t.clearRecord()
	t.Deadline = time.Time{} // an erase is never given up
	t.setWork(Erase, now)
}

// anonymize takes the owner, and what else leads to a person, from a deleted task's row
// once its erase is done and no notice waits. The row stays as the memory of its
// idempotency key. A notice that was given up no longer has what it had: taken up again,
// it is another message, so it gets a version of its own.
func (t *Task) anonymize() {
	if !t.Deleted() || t.Work != "" || t.Notice != "" || t.Owner == "" {
		return
	}
	if t.untold() {
		t.Changes = t.NoticeVersion()
	}
	t.Owner, t.ProviderID, t.NoticeTarget = "", "", nil
	t.RescuedFrom, t.MadeBy = "", nil // that task may still have its owner
	for i := range t.Notes {
		t.Notes[i].ProviderID = "" // by it the provider finds the prompt
	}
}

// Cancel deletes a Waiting task, and returns CodeConflict for every other that is not
// deleted: no picture is lost, whatever has become of the task meanwhile.
func (t *Task) Cancel(r Rules, now time.Time) error {
	if t.Status != Waiting && !t.Deleted() {
		return &Error{Code: CodeConflict}
	}
	return t.Delete(r, now)
}

// Erased ends the erase: a run that began at begun has deleted everything under the
// task's prefix. If another function could still write there at that time, nothing
// changes and a later run erases again.
func (t *Task) Erased(begun time.Time) {
	if t.Work == Erase && !stamp(begun).Before(t.DeletedAt.Add(eraseAfter)) {
		t.Work, t.Turn = "", Turn{}
		t.anonymize()
	}
}
