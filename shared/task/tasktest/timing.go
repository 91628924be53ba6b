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

// testTimings stores timings of two kinds: a repeated timing counts once, and a later one
// in its slot replaces it.
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
	set := func(kind string, slot, seconds int) {
		t.Helper()
		if err := h.Store.SetTiming(t.Context(), task.Timing{Kind: kind, Slot: slot, Seconds: seconds}); err != nil {
			t.Fatal(err)
		}
	}
	const words, pro = "nano-banana", "nano-banana-pro/4K"
	timings(map[string][]int{})
	set(words, 0, 20)
	set(words, task.TimingSlots-1, 30)
	set(words, task.TimingSlots-1, 30)
	set(pro, 0, 95)
	timings(map[string][]int{words: {20, 30}, pro: {95}})
	set(words, 0, 41)
	timings(map[string][]int{words: {30, 41}, pro: {95}})

	for id, err := range h.Store.Due(t.Context(), start.Add(1000*time.Hour)) {
		t.Errorf("the timings are due as a task: %q, %v", id, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := h.Store.Timings(ctx)
	if setErr := h.Store.SetTiming(ctx, task.Timing{Kind: words}); !errors.Is(err, context.Canceled) || !errors.Is(setErr, context.Canceled) {
		t.Errorf("with a canceled context: %v, %v", err, setErr)
	}
}
