package task

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// Whatever the task is doing goes on.
func TestSetTargetChangesNoStatus(t *testing.T) {
	to := Target{"showcase", "7"}
	for _, s := range []Status{Submitting, Waiting, Unconfirmed, Generating, Storing, Succeeded, Failed} {
		h := in(t, s, images(2)).after(time.Second)
		want := h.Task.Clone()
		want.Target, want.UpdatedAt = &Target{"showcase", "7"}, h.now
		if h.Done() {
			want.Changes = 1 // no notice: there is nobody to tell
		}
		h.must(h.SetTarget(h.r, to, h.now))
		if !h.Task.sameRow(want) {
			t.Errorf("%q:\ngot  %+v\nwant %+v", s, h.Task, want)
		}
		h.after(time.Minute)
		unchanged(t, h, func() { h.must(h.SetTarget(h.r, to, h.now)) })
		h.must(h.SetTarget(h.r, Target{"moodboard", "1"}, h.now))
		equal(t, "the second target", *h.Target, Target{"moodboard", "1"})
	}
}

func TestSetTargetOfADeletedTaskIsNotFound(t *testing.T) {
	h := in(t, Succeeded).after(time.Hour).deleted()
	unchanged(t, h.after(time.Hour), func() {
		if err := h.SetTarget(h.r, Target{"showcase", "7"}, h.now); !errors.Is(err, ErrNotFound) {
			t.Errorf("error %v, want %v", err, ErrNotFound)
		}
	})
}

func TestTargetFaults(t *testing.T) {
	for _, c := range []struct {
		target   Target
		pointers string
	}{
		{Target{"moodboard", "1"}, ""},
		{Target{"a", strings.Repeat("é", maxTargetID)}, ""},
		{Target{}, "/kind /id"},
		{Target{"Moodboard", "1"}, "/kind"},
		{Target{strings.Repeat("a", 33), "1"}, "/kind"},
		{Target{"moodboard", strings.Repeat("x", maxTargetID+1)}, "/id"},
		{Target{"moodboard", "a b"}, "/id"},
		{Target{"moodboard", "a\xff"}, "/id"},
	} {
		var got []string
		for _, f := range c.target.Faults() {
			got = append(got, f.Pointer)
		}
		equal(t, c.target.String(), strings.Join(got, " "), c.pointers)
	}
}
