package drilltest

import (
	"math"
	"os"
	"testing"
	"time"
)

var midnight = time.Date(2026, 3, 14, 0, 0, 0, 0, time.UTC)

// at returns a value of metric m at each of these minutes.
func at(v float64, minutes ...float64) (data []Datum) {
	for _, m := range minutes {
		data = append(data, Datum{"ours m", v, midnight.Add(time.Duration(m * float64(time.Minute)))})
	}
	return data
}

func TestRings(t *testing.T) {
	one := func(stat, comparison string, threshold float64, needed, evaluated int, missing string) Alarm {
		return Alarm{series: []series{{"", "ours m", stat}}, period: 5 * time.Minute, comparison: comparison, threshold: threshold, needed: needed, evaluated: evaluated, missing: missing}
	}
	const atLeast, above, below = "GreaterThanOrEqualToThreshold", "GreaterThanThreshold", "LessThanThreshold"
	errors := one("Sum", atLeast, 2, 1, 1, "notBreaching")
	age := one("Maximum", above, 3600, 1, 13, "notBreaching")
	rests := one("Sum", below, 1, 2, 2, "breaching")
	empties := one("Sum", below, 1, 2, 2, "missing")
	empties.ringsEmpty = true
	twice := one("Sum", atLeast, 1, 2, 3, "notBreaching")
	for name, c := range map[string]struct {
		alarm  Alarm
		data   []Datum
		minute float64
		want   bool
	}{
		"a sum in the running period":            {errors, at(1, 11, 12), 12.5, true},
		"a sum in the last period":               {errors, at(1, 11, 12), 16, true},
		"a sum that is over":                     {errors, at(1, 11, 12), 21, false},
		"a sum over two periods":                 {errors, at(1, 9, 11), 12, false},
		"a value of another metric":              {errors, []Datum{{"ours other", 5, midnight}}, 1, false},
		"one old value in an hour":               {age, at(3700, 3), 60, true},
		"one old value, more than an hour ago":   {age, at(3700, 3), 71, false},
		"a young one":                            {age, at(3600, 3), 60, false},
		"nothing for two periods":                {rests, at(1, 1), 15, true},
		"nothing for one period, and now":        {rests, at(1, 4), 14, false},
		"something in each":                      {rests, at(1, 1, 6, 11), 12, false},
		"nothing is known":                       {rests, nil, 30, true},
		"it runs out of values":                  {empties, at(1, 1, 2), 25, true},
		"it does not yet":                        {empties, at(1, 1, 2), 24, false},
		"it never had a value":                   {empties, nil, 90, false},
		"two of three periods":                   {twice, at(1, 1, 11), 12, true},
		"one of three periods":                   {twice, at(1, 1, 2), 12, false},
		"missing values are good where it is so": {twice, nil, 30, false},
	} {
		got, err := c.alarm.Rings(c.data, midnight.Add(time.Duration(c.minute*float64(time.Minute))))
		if got != c.want || err != nil {
			t.Errorf("%s: %v, %v; want %v", name, got, err, c.want)
		}
	}
}

func TestEvaluate(t *testing.T) {
	missing := math.NaN()
	for _, c := range []struct {
		expression string
		values     map[string]float64
		want       float64
	}{
		{"SUM(FILL(METRICS(), 0))", map[string]float64{"a": 2, "b": missing, "c": 3}, 5},
		{"SUM(METRICS())", map[string]float64{"a": 2, "b": missing}, 2},
		{"SUM(METRICS())", map[string]float64{"a": missing}, missing},
		{"IF(failed >= 5 AND failed > 0.2 * ended, 1, 0)", map[string]float64{"failed": 5, "ended": 24}, 1},
		{"IF(failed >= 5 AND failed > 0.2 * ended, 1, 0)", map[string]float64{"failed": 5, "ended": 25}, 0},
		{"IF(failed >= 5 AND failed > 0.2 * ended, 1, 0)", map[string]float64{"failed": missing, "ended": 25}, 0},
		{"a + b * (c - 1)", map[string]float64{"a": 1, "b": 2, "c": 4}, 7},
		{"a / FILL(b, 4)", map[string]float64{"a": 1, "b": missing}, 0.25},
		{"a / b", map[string]float64{"a": 1, "b": missing}, missing},
		{"MAX(METRICS()) - MIN(METRICS()) + AVG(METRICS())", map[string]float64{"a": 1, "b": 3}, 4},
	} {
		got, err := evaluate(c.expression, c.values)
		if err != nil || got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("%s of %v is %v, %v; want %v", c.expression, c.values, got, err, c.want)
		}
	}
	for _, faulty := range []string{"", "a +", "b", "SUM(a", "SUM(a b)", "METRICS()", "RATE(a)", "a a", "IF(a, 1)"} {
		if v, err := evaluate(faulty, map[string]float64{"a": 1, "c": 2}); err == nil {
			t.Errorf("%q is %v", faulty, v)
		}
	}
}

// Every alarm of the template can be evaluated.
func TestAlarms(t *testing.T) {
	template, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	alarms, err := Alarms(template)
	if err != nil || len(alarms) < 10 {
		t.Fatalf("%d alarms, %v", len(alarms), err)
	}
	for name, a := range alarms {
		if _, err := a.Rings(nil, midnight); err != nil || a.Description == "" || a.period == 0 || a.evaluated == 0 || a.missing == "" {
			t.Errorf("%s: %v, %+v", name, err, a)
		}
		if a.expression != "" && a.missing != "notBreaching" {
			t.Errorf("%s treats missing values as %s", name, a.missing)
		}
		if got, err := a.Rings(nil, midnight); err != nil || got != (a.missing == "breaching") {
			t.Errorf("%s without values: %v, %v", name, got, err)
		}
	}
}

func TestEmitted(t *testing.T) {
	log := `plain text
{"level":"INFO","msg":"not a metric","Ends":7}
{"_aws":{"Timestamp":1773446400000,"CloudWatchMetrics":[{"Namespace":"ours","Dimensions":[[],["code"]],"Metrics":[{"Name":"Ends","Unit":"Count"},{"Name":"ms"}]}]},"Ends":1,"ms":[3,4],"code":"ok"}
`
	got, err := Emitted(log)
	if err != nil || len(got) != 6 {
		t.Fatalf("%v, %v", got, err)
	}
	if d := got[1]; d.Metric != "ours Ends code=ok" || d.Value != 1 || !d.At.Equal(midnight) {
		t.Errorf("%+v", d)
	}
	for _, faulty := range []string{`{"_aws":7}`, `{"_aws":{"CloudWatchMetrics":[{"Dimensions":[[]],"Metrics":[{"Name":"gone"}]}]}}`} {
		if got, err := Emitted(faulty + "\n"); err == nil {
			t.Errorf("%s: %v", faulty, got)
		}
	}
}
