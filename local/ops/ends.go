package ops

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
)

var endsCommand = Command{
	Name: "ends", Short: "how tasks ended, and how long they took",
	Rights: logRights,
	Setup: func(f *flag.FlagSet) Run {
		since := f.String("since", "24h", "since `TIME`: 24h, 7d, or a day")
		return func(ctx context.Context, e *Env, _ []string) (Result, error) {
			from, err := parseSince(*since, e.Now())
			if err != nil {
				return Result{}, err
			}
			return ends(ctx, e, from)
		}
	},
}

// endsReport is how tasks ended.
type endsReport struct {
	Since    time.Time  `json:"since"`
	LogBegin time.Time  `json:"logBegin,omitzero"` // from when on the log has lines
	Count    int        `json:"count"`
	Ends     []endsLine `json:"ends"`
}

// endsLine are the tasks that ended alike. The seconds are from the order to the end;
// above 64 they are within 2 %.
type endsLine struct {
	Status task.Status `json:"status"`
	Code   task.Code   `json:"code,omitempty"`
	Model  string      `json:"model"`
	Count  int         `json:"count"`
	Share  float64     `json:"share"` // of all ends, 0 to 1
	Bad    int         `json:"bad"`   // of Count, those that an operator should look at
	P50    int         `json:"p50Seconds"`
	P90    int         `json:"p90Seconds"`
	P99    int         `json:"p99Seconds"`
	Last   string      `json:"lastTask"`

	took histogram
}

// maxEnds bounds how many kinds of ends are told apart.
const maxEnds = 200

func ends(ctx context.Context, e *Env, from time.Time) (Result, error) {
	r := endsReport{Since: from}
	begin, err := e.Logs.Begin(ctx)
	if err != nil {
		return Result{}, err
	}
	r.LogBegin = begin
	kinds := map[[3]string]*endsLine{}
	for l, err := range e.Logs.Lines(ctx, LogQuery{Since: from, Events: []string{lifecycle.EventEnded}}) {
		if err != nil {
			return Result{}, err
		}
		end := l.endedLine
		kind := [3]string{string(end.Status), string(end.Code), end.Model}
		if kinds[kind] == nil && len(kinds) >= maxEnds {
			kind = [3]string{"", "", "others"}
		}
		x := kinds[kind]
		if x == nil {
			x = &endsLine{Status: task.Status(kind[0]), Code: task.Code(kind[1]), Model: kind[2]}
			kinds[kind] = x
		}
		x.add(l, end)
		r.Count++
	}
	for _, x := range kinds {
		x.Share = float64(x.Count) / float64(r.Count)
		x.P50, x.P90, x.P99 = x.took.quantile(0.5), x.took.quantile(0.9), x.took.quantile(0.99)
		r.Ends = append(r.Ends, *x)
	}
	slices.SortFunc(r.Ends, func(a, b endsLine) int {
		return cmp.Or(cmp.Compare(b.Status, a.Status), cmp.Compare(b.Count, a.Count), strings.Compare(string(a.Code)+a.Model, string(b.Code)+b.Model))
	})
	result := Result{Report: &r}
	for _, x := range r.Ends {
		if x.Bad > 0 {
			result.Next = "inspect " + x.Last + " -logs"
			break
		}
	}
	return result, nil
}

// endedLine is the log line of a task that has ended.
type endedLine struct {
	Status     task.Status `json:"status"`
	Code       task.Code   `json:"code"`
	Model      string      `json:"model"`
	Bad        bool        `json:"bad"`
	Seconds    *float64    `json:"seconds"`
	AgeSeconds float64     `json:"ageSeconds"` // of older releases
}

func (x *endsLine) add(l LogLine, end endedLine) {
	x.Count++
	if x.Last == "" || end.Bad || x.Bad == 0 {
		x.Last = l.Task
	}
	if end.Bad {
		x.Bad++
	}
	seconds := end.AgeSeconds
	if end.Seconds != nil {
		seconds = *end.Seconds
	}
	x.took.add(seconds)
}

// Print prints the table.
func (r *endsReport) Print(p *Page) {
	p.Line("How tasks have ended since %s UTC.", At(r.Since))
	switch {
	case r.LogBegin.IsZero():
		p.Line("The log has no line yet.")
	case r.LogBegin.After(r.Since):
		p.Line("The log has lines only since %s UTC.", At(r.LogBegin))
	}
	p.Blank()
	if r.Count == 0 {
		p.Line("None ended.")
		return
	}
	good := 0
	rows := make([][]string, len(r.Ends))
	for i, x := range r.Ends {
		end := string(x.Code)
		if x.Status == task.Succeeded {
			end, good = string(x.Status), good+x.Count
		}
		rows[i] = []string{
			cmp.Or(end, "others"), x.Model, strconv.Itoa(x.Count), fmt.Sprintf("%.1f %%", 100*x.Share),
			strconv.Itoa(x.P50), strconv.Itoa(x.P90), strconv.Itoa(x.P99),
		}
	}
	p.Line("%s ended, %d with pictures (%.1f %%).", Count(r.Count, "task"), good, 100*float64(good)/float64(r.Count))
	p.Blank()
	p.Table([]string{"end", "model", "count", "share", "p50 s", "p90 s", "p99 s"}, rows...)
	p.Blank()
	p.Line("Seconds are from the order to the end. Tasks that their owners cancelled are not in the log.")
}

// histogram counts durations in whole seconds: each up to 64 by itself, those above in
// steps of 2 %. So its size has a limit, whatever it counts.
type histogram struct {
	buckets map[int]int
	most    float64 // the longest duration
}

const (
	exact = 64
	step  = 1.02
)

func (h *histogram) add(seconds float64) {
	s := min(max(seconds, 0), 1e7)
	h.most = max(h.most, s)
	if h.buckets == nil {
		h.buckets = map[int]int{}
	}
	if s <= exact {
		h.buckets[int(math.Round(s))]++
		return
	}
	h.buckets[exact+int(math.Ceil(math.Log(s/exact)/math.Log(step)))]++
}

// quantile returns the seconds that the share q of all durations does not exceed.
func (h *histogram) quantile(q float64) int {
	total := 0
	for n := range maps.Values(h.buckets) {
		total += n
	}
	rank := int(math.Ceil(q * float64(total)))
	for _, bucket := range slices.Sorted(maps.Keys(h.buckets)) {
		if rank -= h.buckets[bucket]; rank > 0 {
			continue
		}
		seconds := float64(bucket)
		if bucket > exact {
			seconds = exact * math.Pow(step, float64(bucket-exact))
		}
		return int(math.Round(min(seconds, h.most)))
	}
	return 0
}
