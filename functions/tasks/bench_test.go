package tasks_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/tasks"
	"github.com/preset/nanobanana-functions/shared/task"
)

// life is how one task goes, in time since its creation, and when its client asks.
type life struct {
	expected     time.Duration
	asks         time.Duration // first, without waiting, and then with wait=20 and the tag it has
	made, stored time.Duration
	between      time.Duration // an answer and the client's next request
}

// acceptedAfter is when the provider has the tasks of all lives.
const acceptedAfter = 800 * time.Millisecond

// at returns the status at a time, and for how long the task has had it.
func (l life) at(now time.Duration) (task.Status, time.Duration) {
	switch {
	case now >= l.stored:
		return task.Succeeded, now - l.stored
	case now >= l.made:
		return task.Storing, now - l.made
	case now >= acceptedAfter:
		return task.Generating, now - acceptedAfter
	}
	return task.Submitting, now
}

// followed is what following a task cost, and how late its end was seen.
type followed struct {
	late            time.Duration
	requests, reads int
}

// follow plays a client that follows a task until it has ended, while waits look at
// it as every says.
func (l life) follow(every func(s task.Status, since, expected time.Duration) time.Duration) (f followed) {
	var has task.Status
	for now := l.asks; ; now += l.between {
		f.requests++
		end := now + 20*time.Second
		for {
			f.reads++
			s, since := l.at(now)
			if s == task.Succeeded {
				f.late = now - l.stored
				return f
			}
			if s != has || now >= end {
				has = s
				break
			}
			now = min(now+every(s, since, l.expected), end)
		}
	}
}

// lives returns many lives of one kind: generations between about half and twice
// the expected time (log-normal), copies of 0.2 to 0.8 s, and clients in all
// phases.
func lives(expected int) (all []life) {
	const n, phases = 40, 25
	for i := range n {
		z := math.Sqrt2 * math.Erfinv(2*(float64(i)+0.5)/n-1)
		total := float64(expected) * math.Exp(0.3*z)
		copying := 0.2 + 0.6*float64(i*7%n)/n
		for phase := range phases {
			l := life{
				expected: time.Duration(expected) * time.Second,
				asks:     time.Second + time.Duration(phase)*time.Second/phases + time.Millisecond/2, // no look coincides with a change
				between:  60 * time.Millisecond,
				stored:   time.Duration(total*1000) * time.Millisecond,
			}
			l.made = l.stored - time.Duration(copying*1000)*time.Millisecond
			all = append(all, l)
		}
	}
	return all
}

// BenchmarkLastSecond reports how late a waiting client sees the end of its task, how
// many reads and requests that costs, and the same for one look a second. It
// measures no time: the figures are the same everywhere.
func BenchmarkLastSecond(b *testing.B) {
	second := func(task.Status, time.Duration, time.Duration) time.Duration { return time.Second }
	for _, expected := range []int{20, 40, 90} {
		for _, how := range []struct {
			name  string
			every func(task.Status, time.Duration, time.Duration) time.Duration
		}{{"each second", second}, {"as it is", tasks.LookEvery}} {
			b.Run(fmt.Sprintf("%d s/%s", expected, how.name), func(b *testing.B) {
				var late []time.Duration
				var requests, reads int
				for b.Loop() {
					late, requests, reads = nil, 0, 0
					for _, l := range lives(expected) {
						f := l.follow(how.every)
						late, requests, reads = append(late, f.late), requests+f.requests, reads+f.reads
					}
				}
				slices.Sort(late)
				n := float64(len(late))
				b.ReportMetric(float64(late[len(late)/2].Microseconds())/1000, "p50-ms")
				b.ReportMetric(float64(late[len(late)*9/10].Microseconds())/1000, "p90-ms")
				b.ReportMetric(float64(reads)/n, "reads/task")
				b.ReportMetric(float64(requests)/n, "requests/task")
			})
		}
	}
}
