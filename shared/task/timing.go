package task

import (
	"context"
	"hash/fnv"
	"slices"
	"sync"
	"time"
)

// Timing is how long one task took, from which others of its kind are estimated. A
// kind has TimingSlots slots. The task's id picks the slot, so that a timing stored
// twice counts once and no write needs a read.
type Timing struct {
	Kind    string // of the task: TimingKind
	Slot    int    // from 0 to TimingSlots-1
	Seconds int    // from creation to end
}

const (
	// TimingSlots is how many timings of a kind are stored.
	TimingSlots = 20
	// timingShare is how many tasks there are per timed one. Not every task is
	// timed, because each timing costs a request to the store.
	timingShare = 4
	// minTimings is how many timings a median needs, so that no single one decides.
	minTimings = 3
	// timingsTTL is how long Durations uses what it has read.
	timingsTTL = time.Minute
)

// TimingKind returns the kind of a task with this model and resolution. Tasks of one
// kind take about the same time.
func TimingKind(model, resolution string) string {
	if resolution == "" {
		return model
	}
	return model + "/" + resolution
}

// Timing returns the task's timing. Ok is false unless the task is a success without
// missing pictures, was not rescued, and is one of the quarter that is timed.
func (t *Task) Timing() (x Timing, ok bool) {
	h := fnv.New32a()
	h.Write([]byte(t.ID))
	sum := h.Sum32()
	if t.Status != Succeeded || t.Missing > 0 || t.Deleted() || t.RescuedFrom != "" || sum%timingShare != 0 {
		return Timing{}, false
	}
	return Timing{
		Kind: TimingKind(t.Model, t.Resolution), Slot: int(sum / timingShare % TimingSlots),
		Seconds: max(1, int(t.EndedAt.Sub(t.CreatedAt).Round(time.Second)/time.Second)),
	}, true
}

// Durations estimates how long tasks take. Set its fields before use; Expected is
// safe for concurrent use.
type Durations struct {
	Store Store
	Now   func() time.Time // the wall clock: the monotonic one stands still while Lambda freezes the process

	mu      sync.Mutex
	readAt  time.Time
	medians map[string]int
}

// Expected returns the seconds that a task with this model and resolution is expected
// to take from its creation: the median of the stored timings, or the model's
// TypicalSeconds while there are too few. It reads the store at most once a minute; if
// that fails, the last medians stay in use.
func (d *Durations) Expected(ctx context.Context, model, resolution string) int {
	d.refresh(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.medians[TimingKind(model, resolution)]; s > 0 {
		return s
	}
	return TypicalSeconds(model)
}

func (d *Durations) refresh(ctx context.Context) {
	at := d.Now()
	d.mu.Lock()
	fresh := !d.readAt.IsZero() && at.Sub(d.readAt) < timingsTTL
	if !fresh {
		d.readAt = at // so that concurrent callers do not read as well
	}
	d.mu.Unlock()
	if fresh {
		return
	}
	timings, err := d.Store.Timings(ctx)
	if err != nil {
		return // an estimate is not worth an error
	}
	medians := map[string]int{}
	for kind, seconds := range timings {
		if len(seconds) >= minTimings {
			medians[kind] = median(seconds)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.medians = medians
}

// TypicalSeconds returns how long a task of this model takes, as far as is known
// without timings.
func TypicalSeconds(model string) int {
	m, ok := ModelByID(model)
	if !ok {
		m, _ = ModelByID(DefaultModel) // the model of another release
	}
	return m.TypicalSeconds
}

// median returns the middle value, or the larger of the two middle ones.
func median(seconds []int) int {
	sorted := slices.Sorted(slices.Values(seconds))
	return sorted[len(sorted)/2]
}
