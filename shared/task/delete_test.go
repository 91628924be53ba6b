package task

import (
	"errors"
	"testing"
	"time"
)

func TestDeleteIsAConflictWhileTheTaskRuns(t *testing.T) {
	for _, s := range []Status{Submitting, Unconfirmed, Generating, Storing} {
		h := in(t, s)
		unchanged(t, h, func() {
			var e *Error
			if err := h.Delete(h.r, h.now); !errors.As(err, &e) || e.Code != CodeConflict {
				t.Errorf("%q: error %v, want %v", s, err, CodeConflict)
			}
		})
	}
}

func TestDeleteCancelsAWaitingTaskWithoutCharge(t *testing.T) {
	h := in(t, Waiting, images(2)).after(time.Second).deleted()
	equal(t, "failure", h.Failure, CodeCanceled)
	equal(t, "refund", h.Refund, 2)
	equal(t, "charges", h.Charges, []Charge{ChargeNone})
	equal(t, "work", h.Work, Erase)
}

func TestDeleteEmptiesTheRow(t *testing.T) {
	full := func(d *Draft) {
		d.Parent, d.SourceType, d.PublicURL, d.Estimate = "parent", Composite, "https://api.example", 4
		d.InputTypes = map[string]string{good: "image/jpeg"}
		d.Request = Request{
			Prompt: "a cat", ImageURLs: []string{good}, NumImages: 1, Model: DefaultModel, AspectRatio: "1:1",
			Watermark: "w", Target: &Target{"moodboard", "1"}, Metadata: map[string]string{"a": "b"},
		}
	}
	h := in(t, Succeeded, full)
	h.Inputs = []Input{{N: 1, File: "1-0123456789abcdef-input.jpg"}}
	h.r.Notify = true
	before := h.Task.Clone()
	h.after(time.Hour).deleted()

	equal(t, "request", h.Request, Request{})
	equal(t, "images", h.Images, nil)
	equal(t, "inputs", h.Inputs, nil)
	equal(t, "types of inputs", h.InputTypes, nil)
	equal(t, "fingerprint", h.Fingerprint, "")
	equal(t, "parent", h.Parent, "")
	equal(t, "source type", h.SourceType, "")
	equal(t, "public url", h.PublicURL, "")
	equal(t, "deleted", h.DeletedAt, h.now)
	equal(t, "is deleted", h.Deleted(), true)
	// Status, ids, counters and charges stay.
	equal(t, "status", h.Status, Succeeded)
	equal(t, "id", h.ID, before.ID)
	equal(t, "owner", h.Owner, before.Owner)
	equal(t, "provider id", h.ProviderID, "p1")
	equal(t, "attempt", h.Attempt, 1)
	equal(t, "generations", h.Generations, 1)
	equal(t, "charges", h.Charges, []Charge{ChargeSure})
	equal(t, "quota", h.Quota, before.Quota)
	equal(t, "created", h.CreatedAt, start)
	equal(t, "ended", h.EndedAt, before.EndedAt)

	unchanged(t, h, func() { h.after(time.Hour).deleted() })
}

func TestAnEraseThatBegins16MinutesAfterDeleteIsTheLast(t *testing.T) {
	h := in(t, Succeeded).after(time.Hour).deleted()
	deleted := h.now
	equal(t, "work", h.Work, Erase)
	equal(t, "tries", h.Tries, 1)
	equal(t, "due", h.DueAt, h.now.Add(time.Minute))
	equal(t, "deadline, because it is never given up", h.Deadline, time.Time{})
	unchanged(t, h, func() {
		h.after(30 * time.Minute).Erased(deleted.Add(16*time.Minute - time.Millisecond))
	})
	h.Erased(deleted.Add(16 * time.Minute))
	h.must(nil)
	equal(t, "work, P4", h.Work, "")
	equal(t, "due", h.DueAt, time.Time{})
}

func TestEraseIsWokenUntilItIsDone(t *testing.T) {
	h := in(t, Failed).deleted()
	h.after(10_000 * time.Hour).wake()
	equal(t, "work", h.Work, Erase)
	equal(t, "last wake", h.LastWake, false)
	h.after(time.Hour).wake()
	equal(t, "work", h.Work, Erase)
}

func TestErasedIsOnlyForErase(t *testing.T) {
	for _, h := range []*history{in(t, Storing), notifying(t), in(t, Failed)} {
		h.after(time.Hour)
		unchanged(t, h, func() { h.Erased(h.now) })
	}
}
