package task

import (
	"context"
	"hash/fnv"
	"slices"
	"sync"
	"time"
)

// Timing is how long one task took, kept for what others of its kind may
// expect. A kind has TimingSlots slots; which one a task's is, its id says, so
// that a timing which is kept twice is kept once, and no write needs a read.
type Timing struct {
	Kind    string // of the task: TimingKind
	Slot    int    // from 0 to TimingSlots-1
	Seconds int    // from creation to end
}

const (
	// TimingSlots is of how many tasks a kind's timings are kept.
	TimingSlots = 20
	// timingShare is of how many tasks one is timed: each timing is a request
	// to the store that the task itself could do without.
	timingShare = 4
	// minTimings is how many timings make a median that one stray does not.
	minTimings = 3
	// timingsTTL is how long Durations uses what it has read.
	timingsTTL = time.Minute
)

// TimingKind is the kind of tasks of a model at a resolution: they take about
// as long as each other.
func TimingKind(model, resolution string) string {
	if resolution == "" {
		return model
	}
	return model + "/" + resolution
}

// Timing gives the task's timing, if it is one of those that are kept: a whole
// success, and one of four by its id.
func (t *Task) Timing() (Timing, bool) {
	h := fnv.New32a()
	h.Write([]byte(t.ID))
	sum := h.Sum32()
	if t.Status != Succeeded || t.Missing > 0 || sum%timingShare != 0 {
		return Timing{}, false
	}
	return Timing{
		Kind: TimingKind(t.Model, t.Resolution), Slot: int(sum / timingShare % TimingSlots),
		Seconds: max(1, int(t.EndedAt.Sub(t.CreatedAt).Round(time.Second)/time.Second)),
	}, true
}

// Durations knows how long tasks take. Its fields are set before use; Seconds may
// be called from many goroutines.
type Durations struct {
	Store Store
	Now   func() time.Time // nil: the wall clock

	mu      sync.Mutex
	readAt  time.Time
	medians map[string]int
}

// Expected gives how long a task of a model at a resolution is expected to take
// from its creation: the median of those timed lately, or what the model's
// table says while too few are. The store is asked at most once a minute; while
// it is away, what is known stays.
func (p *Durations) Expected(ctx context.Context, model, resolution string) int {
	p.refresh(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.medians[TimingKind(model, resolution)]; s > 0 {
		return s
	}
	return TypicalSeconds(model)
}

func (p *Durations) refresh(ctx context.Context) {
	now := time.Now
	if p.Now != nil {
		now = p.Now
	}
	// Without the monotonic clock, which stands still while Lambda freezes the process.
	at := now().Round(0)
	p.mu.Lock()
	fresh := !p.readAt.IsZero() && at.Sub(p.readAt) < timingsTTL
	if !fresh {
		p.readAt = at // others go by what is known, and do not ask as well
	}
	p.mu.Unlock()
	if fresh {
		return
	}
	timings, err := p.Store.Timings(ctx)
	if err != nil {
		return // an estimate is not worth an error
	}
	medians := map[string]int{}
	for kind, seconds := range timings {
		if len(seconds) >= minTimings {
			medians[kind] = median(seconds)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.medians = medians
}

// TypicalSeconds is what a task of a model takes as long as nothing is measured.
func TypicalSeconds(model string) int {
	m, ok := ModelByID(model)
	if !ok {
		m, _ = ModelByID(DefaultModel) // of another release
	}
	return m.TypicalSeconds
}

// median gives the middle one, or the later of two.
func median(seconds []int) int {
	sorted := slices.Sorted(slices.Values(seconds))
	return sorted[len(sorted)/2]
}
