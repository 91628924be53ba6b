// Package ledger compares what the provider took from the account with what its tasks
// can have cost. It knows neither the provider's prices, of which the estimates are the
// only guide, nor when it charges: at acceptance, at the end, or an hour after it; nor
// whether it bills failures.
//
// Each attempt may have cost any amount between two bounds, at any moment of a span. So
// between any two checks of the balance, not only neighbours, the fall has a least and
// a most. A late charge moves from one window to the next and stays within the bounds
// of the two together; a small price rise is within the bounds of every window, but not
// of a day.
package ledger

import (
	"slices"
	"time"
)

const (
	// Late is how long after the end of an attempt it may be charged, or its price be
	// returned.
	Late = time.Hour
	// slack is for the clocks of processes, for the time from a balance to its line in
	// the log, and from an attempt's end to ours.
	slack = 30 * time.Second
	// longest is how long an attempt of unknown outcome may still run.
	longest = 24 * time.Hour
	// cents is what sums of credits may be off by.
	cents = 0.005
)

// Back is how long before the first check lines are needed: attempts that began before
// may still be charged.
const Back = longest + 2*time.Hour + Late + time.Minute

// Attempt is what is known of one attempt of a task.
type Attempt struct {
	Task    string
	Number  int
	Model   string
	Credits float64 // the estimate

	Began time.Time // zero: before the first line
	Ended time.Time // zero: not yet
	Sure  bool      // the provider accepted it
	None  bool      // the provider certainly did not accept it
	Made  bool      // its pictures were made, all that were asked for
}

// span is when an attempt may be charged, and what.
type span struct {
	from, to    time.Time // to is zero while that is open
	returned    time.Time // from when on its price may be returned; zero: never
	least, most float64
	attempt     *Attempt
}

// of returns the bounds of an attempt, and false if it cannot cost anything.
func of(a *Attempt) (s span, charged bool) {
	if a.None || a.Credits <= 0 {
		return span{}, false
	}
	s = span{from: a.Began.Add(-slack), most: a.Credits, attempt: a}
	if a.Began.IsZero() {
		s.from = time.Time{}
	}
	if a.Ended.IsZero() {
		return s, true
	}
	s.to = a.Ended.Add(Late + slack)
	switch {
	case a.Made && a.Sure:
		s.least = a.Credits
	case a.Made:
	case a.Sure:
		s.returned = a.Ended.Add(-slack)
	default: // it may run although nobody knows of it
		s.returned, s.to = s.from, s.to.Add(longest)
	}
	return s, true
}

// Check is the balance at one time.
type Check struct {
	At      time.Time
	Balance float64
}

// Kind is what a Finding is about.
type Kind string

// The kinds of findings.
const (
	TopUp Kind = "top-up"     // the balance rose
	More  Kind = "too much"   // the balance fell by more than the tasks can have cost
	Less  Kind = "too little" // it fell by less than they must have cost
)

// Finding is what lies outside the bounds, or a top-up.
type Finding struct {
	Kind Kind `json:"kind"`
	// The balance is explained until From, and no longer at To.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Credits is how far the fall lies outside its bounds, or how much the balance rose.
	Credits float64 `json:"credits"`
	Fall    float64 `json:"fall"` // from From to To
	Least   float64 `json:"least"`
	Most    float64 `json:"most"`
	// Tasks are those that may have been charged meanwhile, the last ones first.
	Tasks  []string `json:"tasks,omitempty"`
	Others int      `json:"otherTasks,omitempty"` // how many Tasks leaves out
	// Twice is a task whose price is just what is too much.
	Twice string `json:"twice,omitempty"`
}

// Outside reports whether somebody must look at it.
func (f Finding) Outside() bool { return f.Kind != TopUp }

// maxTasks bounds how many tasks a finding names.
const maxTasks = 8

// Result is what Compare found.
type Result struct {
	From     time.Time `json:"from"` // the first check
	To       time.Time `json:"to"`   // the last one
	Checks   int       `json:"checks"`
	Fall     float64   `json:"fall"`  // without top-ups
	Least    float64   `json:"least"` // what the tasks must have cost
	Most     float64   `json:"most"`  // what they can have cost
	Findings []Finding `json:"findings"`
}

// Compare compares checks of the balance with the attempts. Both may be in any order.
func Compare(attempts []*Attempt, checks []Check) Result {
	slices.SortFunc(checks, func(a, b Check) int { return a.At.Compare(b.At) })
	r := Result{Checks: len(checks), Findings: []Finding{}}
	if len(checks) == 0 {
		return r
	}
	c := &chain{book: newBook(attempts), checks: checks, fallen: make([]float64, len(checks))}
	c.fallen[0] = -checks[0].Balance
	c.begin(0)
	for i := 1; i < len(checks); i++ {
		if f, found := c.next(i); found {
			r.add(f)
		}
	}
	for i, f := range r.Findings {
		r.Findings[i] = c.explain(f)
		if f.Kind == TopUp {
			r.Fall += f.Credits
		}
	}
	first, last := checks[0], checks[len(checks)-1]
	r.From, r.To = first.At, last.At
	r.Fall += first.Balance - last.Balance
	r.Least, r.Most = c.bounds(first.At, last.At)
	return r
}

// joined is how far apart findings of one kind may be to be one.
const joined = 2 * time.Hour

// add appends a finding, or extends the last one: what cannot be explained shows bit by
// bit while the attempts around it settle, and a new price with every task.
func (r *Result) add(f Finding) {
	if n := len(r.Findings); n > 0 {
		if last := &r.Findings[n-1]; f.Kind != TopUp && last.Kind == f.Kind && f.From.Sub(last.To) < joined {
			last.To, last.Credits = f.To, last.Credits+f.Credits
			return
		}
	}
	r.Findings = append(r.Findings, f)
}

// chain is a row of checks between which everything is explained. The fall from check
// s to check t must be at most mostBegun(t) - mostSettled(s), and at least
// leastSettled(t) - leastBegun(s), with what may have been returned: so of all checks
// before, the least and the greatest of a running sum decide.
type chain struct {
	*book
	checks          []Check
	fallen          []float64 // by check; without what was found
	found           float64   // so far, that is not explained
	start           int
	atMost, atLeast float64 // the sums that decide
}

// begin forgets the checks before i.
func (c *chain) begin(i int) {
	c.start = i
	c.atMost, c.atLeast = c.sums(i)
}

// sums returns what check i contributes as the beginning of a window.
func (c *chain) sums(i int) (atMost, atLeast float64) {
	at := c.checks[i].At
	return c.fallen[i] - c.mostSettled.until(at), c.fallen[i] - c.leastBegun.until(at) + c.returnedSettled.until(at)
}

// ends returns what check i contributes as the end of a window.
func (c *chain) ends(i int) (most, least float64) {
	at := c.checks[i].At
	return c.fallen[i] - c.mostBegun.until(at), c.fallen[i] - c.leastSettled.until(at) + c.returnedBegun.until(at)
}

// next takes check i, and returns what cannot be explained.
func (c *chain) next(i int) (f Finding, found bool) {
	c.fallen[i] = -c.checks[i].Balance - c.found
	most, least := c.ends(i)
	rise := c.checks[i].Balance - c.checks[i-1].Balance
	f = Finding{To: c.checks[i].At}
	switch {
	case most-c.atMost > cents:
		f.Kind, f.Credits, f.From = More, most-c.atMost, c.since(i, More)
		c.explained(i, f.Credits)
	case c.atLeast-least > cents && rise > cents:
		f.Kind, f.Credits, f.From = TopUp, rise, c.checks[i-1].At
		c.begin(i) // what else was charged in this window is unknown
		return f, true
	case c.atLeast-least > cents:
		f.Kind, f.Credits, f.From = Less, c.atLeast-least, c.since(i, Less)
		c.explained(i, -f.Credits)
	}
	atMost, atLeast := c.sums(i)
	c.atMost, c.atLeast = min(c.atMost, atMost), max(c.atLeast, atLeast)
	return f, f.Kind != ""
}

// explained leaves out from check i on what was found: no more than what must be, so
// that the rest of it shows later.
func (c *chain) explained(i int, credits float64) {
	c.found += credits
	c.fallen[i] -= credits
}

// since returns the last check before i from which on the fall cannot be explained.
func (c *chain) since(i int, kind Kind) time.Time {
	most, least := c.ends(i)
	for s := i - 1; s > c.start; s-- {
		atMost, atLeast := c.sums(s)
		if kind == More && most-atMost > cents || kind == Less && atLeast-least > cents {
			return c.checks[s].At
		}
	}
	return c.checks[c.start].At
}

// explain adds to a finding what may have been charged meanwhile.
func (c *chain) explain(f Finding) Finding {
	balance := func(at time.Time) float64 {
		i := slices.IndexFunc(c.checks, func(x Check) bool { return x.At.Equal(at) })
		return c.checks[i].Balance
	}
	f.Fall = balance(f.From) - balance(f.To)
	f.Least, f.Most = c.bounds(f.From, f.To)
	f.Tasks, f.Others, f.Twice = c.suspects(f)
	return f
}
