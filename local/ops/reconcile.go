package ops

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/local/ops/ledger"
)

var reconcileCommand = Command{
	Name: "reconcile", Short: "compare the balance with what tasks can have cost",
	Rights: logRights,
	Setup: func(f *flag.FlagSet) Run {
		since := f.String("since", "24h", "`TIME` since when: 24h, 7d, a day, …")
		return func(ctx context.Context, e *Env, _ []string) (Result, error) {
			from, err := parseSince(*since, e.Now())
			if err != nil {
				return Result{}, err
			}
			return reconcile(ctx, e, from)
		}
	},
}

// reconciled is what reconcile found.
type reconciled struct {
	Since time.Time `json:"since"`
	// LogSince is when the log begins, if that is too late to know what was under way
	// at Since.
	LogSince time.Time `json:"logSince,omitzero"`
	ledger.Result
}

func reconcile(ctx context.Context, e *Env, since time.Time) (Result, error) {
	begin, err := e.Logs.Begin(ctx)
	if err != nil {
		return Result{}, err
	}
	r := reconciled{Since: since.UTC()}
	from := since.Add(-ledger.Back)
	if begin.After(from) {
		r.LogSince = begin.UTC()
	}
	reader := ledger.NewReader(since)
	for l, err := range e.Logs.Lines(ctx, LogQuery{Since: from, Events: ledger.Events}) {
		if err != nil {
			return Result{}, err
		}
		var line ledger.Line
		if json.Unmarshal(l.Raw, &line) != nil {
			continue // a line of a release that wrote it in another form
		}
		line.Time = l.Time
		reader.Add(line)
	}
	r.Result = reader.Compare()
	result := Result{Report: r}
	for _, f := range r.Findings {
		if f.Outside() && result.Exit == Fine {
			result.Exit = NeedsYou
			if len(f.Tasks) > 0 {
				result.Next = "inspect " + f.Tasks[0]
			}
		}
	}
	return result, nil
}

// Print implements Report.
func (r reconciled) Print(p *Page) {
	if r.Checks < 2 {
		p.Line("The log has %s of the balance since %s UTC; to compare, two are needed. Checks come every 5 minutes.",
			Count(r.Checks, "check"), At(r.Since))
		return
	}
	p.Line("%s to %s UTC, %s of the balance:", At(r.From), At(r.To), Count(r.Checks, "check"))
	p.Field("fell by", "%s credits, top-ups left out", amount(r.Fall))
	p.Field("tasks", "%s to %s credits, by the estimates and by what is known", amount(r.Least), amount(r.Most))
	if !r.LogSince.IsZero() {
		p.Line("The log begins on %s. What was ordered before may be named below as spent by somebody else.", At(r.LogSince))
	}
	outside := 0
	for _, f := range r.Findings {
		p.Blank()
		r.print(p, f)
		if f.Outside() {
			outside++
		}
	}
	p.Blank()
	if outside == 0 {
		p.Line("Everything is within what the tasks can have cost.")
	}
}

func (r reconciled) print(p *Page, f ledger.Finding) {
	span := fmt.Sprintf("%s to %s UTC", At(f.From), At(f.To))
	if f.Kind == ledger.TopUp {
		p.Line("%s: the balance rose by %s: a top-up, or more came back than was spent.", span, amount(f.Credits))
		return
	}
	what := "more than the tasks can have cost"
	if f.Kind == ledger.Less {
		what = "less than the tasks must have cost"
	}
	p.Line("%s: at least %s credits %s. The balance fell by %s; by the estimates it is %s to %s.",
		span, amount(f.Credits), what, amount(f.Fall), amount(f.Least), amount(f.Most))
	p.Item("%s", meaning(f))
	if len(f.Tasks) > 0 {
		others := ""
		if f.Others > 0 {
			others = fmt.Sprintf(", and %d more", f.Others)
		}
		p.Item("tasks meanwhile: %s%s", strings.Join(f.Tasks, " "), others)
	}
}

// meaning returns what a finding may come from.
func meaning(f ledger.Finding) string {
	switch {
	case f.Kind == ledger.Less:
		return "Perhaps prices are lower than PRICES, pictures were not charged, or there was a top-up at the same time."
	case len(f.Tasks) == 0:
		return "No task was under way: somebody else uses the key, or there was a charge without a task. If it goes on, make a new key at the provider: key set."
	case f.Twice != "":
		return fmt.Sprintf("It is what task %s costs: perhaps it was charged twice.", f.Twice)
	case f.Most > 0 && f.To.Sub(f.From) > 6*time.Hour:
		return fmt.Sprintf("It is %.1f %% of what the tasks can have cost: perhaps the provider raised its prices (PRICES), or somebody else uses the key.", 100*f.Credits/f.Most)
	}
	return "Perhaps a task was charged twice, a price is higher than in PRICES, or somebody else uses the key."
}

// amount writes credits without needless digits.
func amount(credits float64) string {
	return strconv.FormatFloat(math.Round(credits*100)/100, 'f', -1, 64)
}
