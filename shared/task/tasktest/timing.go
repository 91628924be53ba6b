package tasktest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// testTimings keeps timings of two kinds: one that comes again stands once, and
// another in its slot takes its place.
func testTimings(t *testing.T, h Harness) {
	timings := func(want map[string][]int) {
		t.Helper()
		got, err := h.Store.Timings(t.Context())
		for _, seconds := range got {
			slices.Sort(seconds)
		}
		if err != nil || !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("the timings are %v, %v; want %v", got, err, want)
		}
	}
	keep := func(kind string, slot, seconds int) {
		t.Helper()
		if err := h.Store.SetTiming(t.Context(), task.Timing{Kind: kind, Slot: slot, Seconds: seconds}); err != nil {
			t.Fatal(err)
		}
	}
	const words, pro = "nano-banana", "nano-banana-pro/4K"
	timings(map[string][]int{})
	keep(words, 0, 20)
	keep(words, task.TimingSlots-1, 30)
	keep(words, task.TimingSlots-1, 30)
	keep(pro, 0, 95)
	timings(map[string][]int{words: {20, 30}, pro: {95}})
	keep(words, 0, 41)
	timings(map[string][]int{words: {30, 41}, pro: {95}})

	for id, err := range h.Store.Due(t.Context(), start.Add(1000*time.Hour)) {
		t.Errorf("the timings are due as a task: %q, %v", id, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := h.Store.Timings(ctx)
	if keepErr := h.Store.SetTiming(ctx, task.Timing{Kind: words}); !errors.Is(err, context.Canceled) || !errors.Is(keepErr, context.Canceled) {
		t.Errorf("with a context that has ended: %v, %v", err, keepErr)
	}
}
