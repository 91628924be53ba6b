package ledger

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func minutes(n float64) time.Time { return noon.Add(time.Duration(n * float64(time.Minute))) }

// line is a change of status at a minute: "task from to attempt charge".
func move(minute float64, text string) Line {
	var l Line
	if _, err := fmt.Sscan(text, &l.Task, &l.From, &l.To, &l.Attempt, &l.Charge); err != nil {
		panic(err)
	}
	l.Time, l.Event, l.Model, l.Credits = minutes(minute), "transition", "nano-banana", 4
	return l
}

func check(minute, balance float64) Line {
	return Line{Time: minutes(minute), Event: "credits_checked", Balance: &balance}
}

// picture is the life of a task that is ordered at a minute and made a minute later.
func picture(task string, minute float64) []Line {
	return []Line{
		move(minute, task+" - submitting 1 doubtful"), move(minute+0.1, task+" submitting generating 1 sure"),
		move(minute+1, task+" generating storing 1 sure"), move(minute+1.1, task+" storing succeeded 1 sure"),
	}
}

// compare returns what is found, such as "too much 4 @10-80 a,b".
func compare(lines ...[]Line) string {
	r := NewReader(noon)
	for _, ls := range lines {
		for _, l := range ls {
			r.Add(l)
		}
	}
	var found []string
	for _, f := range r.Compare().Findings {
		text := fmt.Sprintf("%s %v @%v-%v %s", f.Kind, f.Credits, f.From.Sub(noon).Minutes(), f.To.Sub(noon).Minutes(), strings.Join(f.Tasks, ","))
		if f.Twice != "" {
			text += " twice " + f.Twice
		}
		found = append(found, text)
	}
	return strings.Join(found, "; ")
}

// checks are balances, ten minutes apart.
func checks(balances ...float64) (lines []Line) {
	for i, b := range balances {
		lines = append(lines, check(float64(10*i), b))
	}
	return lines
}

func TestCompare(t *testing.T) {
	failed := []Line{move(12, "f - submitting 1 doubtful"), move(12.1, "f submitting generating 1 sure"), move(13, "f generating failed 1 sure")}
	lost := []Line{move(12, "u - submitting 1 doubtful"), move(13, "u submitting unconfirmed 1 doubtful"), move(133, "u unconfirmed failed 1 doubtful")}
	refused := []Line{move(12, "r - submitting 1 doubtful"), move(12.1, "r submitting waiting 1 none"), move(372, "r waiting failed 1 none")}
	for name, test := range map[string]struct {
		lines [][]Line
		want  string
	}{
		"nothing at all":              {nil, ""},
		"one check":                   {[][]Line{checks(100)}, ""},
		"nothing happens":             {[][]Line{checks(100, 100, 100)}, ""},
		"charged at once":             {[][]Line{checks(100, 100, 96, 96, 96, 96, 96, 96, 96, 96), picture("a", 12)}, ""},
		"charged an hour late":        {[][]Line{checks(100, 100, 100, 100, 100, 100, 100, 100, 96, 96), picture("a", 12)}, ""},
		"charged before the log says": {[][]Line{checks(100, 100, 96, 96, 96, 96, 96, 96, 96, 96), picture("a", 20.2)}, ""},
		"never charged":               {[][]Line{checks(100, 100, 100, 100, 100, 100, 100, 100, 100), picture("a", 12)}, "too little 4 @10-80 a"},
		"charged twice":               {[][]Line{checks(100, 100, 96, 92, 92, 92), picture("a", 12)}, "too much 4 @10-30 a twice a"},
		"charged twice, late":         {[][]Line{checks(100, 100, 96, 96, 96, 96, 96, 96, 96, 96, 92), picture("a", 12)}, "too much 4 @90-100 "},
		"somebody else spends":        {[][]Line{checks(100, 93, 93)}, "too much 7 @0-10 "},
		"a top-up":                    {[][]Line{checks(100, 100, 1096, 1096, 1096, 1096, 1096, 1096, 1096), picture("a", 12)}, "top-up 996 @10-20 a"},
		"a failure that is billed":    {[][]Line{checks(100, 100, 96, 96, 96, 96, 96, 96, 96), failed}, ""},
		"a failure that is free":      {[][]Line{checks(100, 100, 100, 100, 100, 100, 100, 100, 100), failed}, ""},
		"a failure that is refunded":  {[][]Line{checks(100, 100, 96, 96, 96, 100, 100, 100, 100), failed}, ""},
		"a refund of too much":        {[][]Line{checks(100, 100, 96, 96, 96, 101, 101, 101), failed}, "top-up 5 @40-50 f"},
		"an unknown outcome, charged": {[][]Line{checks(100, 100, 96, 96, 96, 96), lost}, ""},
		"an unknown outcome, not":     {[][]Line{checks(100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100), lost}, ""},
		"a refused one that costs":    {[][]Line{checks(100, 100, 96, 96, 96), refused}, "too much 4 @10-20 "},
		"one still under way":         {[][]Line{checks(100, 100, 96, 100, 100), picture("a", 12)[:2]}, "top-up 4 @20-30 a"},
		"one from before the checks":  {[][]Line{checks(100, 96, 96), picture("a", -30)}, ""},
		"one long before the checks":  {[][]Line{checks(100, 96, 96), picture("a", -70)}, "too much 4 @0-10 "},
		"one whose begin is lost":     {[][]Line{checks(100, 96, 96), picture("a", -30)[2:]}, ""},
		"two generations":             {[][]Line{checks(100, 92, 92, 92, 92, 92, 92, 92, 92, 92), {move(1, "a - submitting 1 doubtful"), move(1, "a submitting generating 1 sure"), move(2, "a generating waiting 1 sure"), move(4, "a waiting submitting 2 doubtful"), move(4, "a submitting generating 2 sure"), move(5, "a generating storing 2 sure")}}, ""},
		"fewer pictures than ordered": {[][]Line{checks(100, 98, 98, 98, 98, 98, 98, 98, 98, 98), picture("a", 2), {{Time: minutes(4), Event: "task_ended", Task: "a", Missing: 1}}}, ""},
		"a rescued task":              {[][]Line{checks(100, 100, 100, 100, 100, 100, 100, 100, 100), {move(1, "a - storing 0 none"), move(2, "a storing succeeded 0 none")}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := compare(test.lines...); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// Every line of an attempt says all about it, so the order of lines that were written at
// the same time does not matter, and neither does a line that came twice.
func TestLinesInAnyOrder(t *testing.T) {
	lines := append(checks(100, 100, 96, 96, 96, 96, 96, 96, 96, 96), picture("a", 12)...)
	for i := range lines {
		moved := append(append([]Line{}, lines[i:]...), lines[:i]...)
		if got := compare(moved, lines[:i]); got != "" {
			t.Errorf("from line %d on: %s", i, got)
		}
	}
}
