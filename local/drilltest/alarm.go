package drilltest

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// StackName is the stack's name in the metrics' namespace.
const StackName = "drill"

// An Alarm is an alarm of template.yaml.
type Alarm struct {
	Name        string
	Description string
	series      []series
	expression  string // of the series' ids; empty: the only series
	period      time.Duration
	evaluated   int // periods
	needed      int // breaching periods among them
	threshold   float64
	comparison  string
	missing     string
	ringsEmpty  bool // when it runs out of values, by InsufficientDataActions
}

// series is a metric that an alarm reads, by period.
type series struct{ id, metric, stat string }

// Alarms returns the alarms of a template by their logical ids.
func Alarms(template []byte) (map[string]Alarm, error) {
	var doc struct {
		Parameters map[string]struct {
			Default string `yaml:"Default"`
		} `yaml:"Parameters"`
		Resources map[string]struct {
			Type       string    `yaml:"Type"`
			Properties yaml.Node `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(template, &doc); err != nil {
		return nil, err
	}
	alarms := map[string]Alarm{}
	for id, r := range doc.Resources {
		if r.Type != "AWS::CloudWatch::Alarm" {
			continue
		}
		a, err := readAlarm(&r.Properties, func(parameter string) string { return doc.Parameters[parameter].Default })
		if err != nil {
			return nil, fmt.Errorf("the alarm %s: %w", id, err)
		}
		a.Name = id
		alarms[id] = a
	}
	return alarms, nil
}

// metricProperties are how the template names a metric.
type metricProperties struct {
	Namespace  yaml.Node `yaml:"Namespace"`
	MetricName string    `yaml:"MetricName"`
	Dimensions []struct {
		Name  string    `yaml:"Name"`
		Value yaml.Node `yaml:"Value"`
	} `yaml:"Dimensions"`
}

func (m metricProperties) name() string {
	dimensions := map[string]string{}
	for _, d := range m.Dimensions {
		dimensions[d.Name] = text(d.Value)
	}
	return name(text(m.Namespace), m.MetricName, dimensions)
}

// text returns a scalar. A reference to a resource is its logical id.
func text(n yaml.Node) string { return strings.ReplaceAll(n.Value, "${AWS::StackName}", StackName) }

func readAlarm(properties *yaml.Node, parameter func(string) string) (a Alarm, err error) {
	var p struct {
		metricProperties  `yaml:",inline"`
		AlarmDescription  yaml.Node `yaml:"AlarmDescription"`
		Statistic         string    `yaml:"Statistic"`
		ExtendedStatistic string    `yaml:"ExtendedStatistic"`
		Period            int       `yaml:"Period"`
		Metrics           []struct {
			ID         string `yaml:"Id"`
			Expression string `yaml:"Expression"`
			ReturnData *bool  `yaml:"ReturnData"`
			MetricStat struct {
				Stat   string           `yaml:"Stat"`
				Period int              `yaml:"Period"`
				Metric metricProperties `yaml:"Metric"`
			} `yaml:"MetricStat"`
		} `yaml:"Metrics"`
		EvaluationPeriods  int       `yaml:"EvaluationPeriods"`
		DatapointsToAlarm  int       `yaml:"DatapointsToAlarm"`
		Threshold          yaml.Node `yaml:"Threshold"`
		ComparisonOperator string    `yaml:"ComparisonOperator"`
		TreatMissingData   string    `yaml:"TreatMissingData"`
		RingsEmpty         yaml.Node `yaml:"InsufficientDataActions"`
	}
	if err := properties.Decode(&p); err != nil {
		return a, err
	}
	a = Alarm{
		Description: text(p.AlarmDescription), evaluated: p.EvaluationPeriods, needed: cmp.Or(p.DatapointsToAlarm, p.EvaluationPeriods),
		comparison: p.ComparisonOperator, missing: p.TreatMissingData, ringsEmpty: !p.RingsEmpty.IsZero(),
	}
	if p.MetricName != "" {
		a.series = []series{{"", p.metricProperties.name(), cmp.Or(p.Statistic, p.ExtendedStatistic)}}
		a.period = time.Duration(p.Period) * time.Second
	}
	for _, m := range p.Metrics {
		if m.Expression != "" {
			if a.expression != "" {
				return a, fmt.Errorf("the drill does not know alarms with several expressions")
			}
			a.expression = m.Expression
			continue
		}
		a.series = append(a.series, series{m.ID, m.MetricStat.Metric.name(), m.MetricStat.Stat})
		a.period = time.Duration(m.MetricStat.Period) * time.Second
	}
	limit := p.Threshold.Value
	if p.Threshold.Tag == "!Ref" {
		limit = parameter(limit)
	}
	_, err = fmt.Sscan(limit, &a.threshold)
	return a, err
}

func (a Alarm) reads(metric string) bool {
	return slices.ContainsFunc(a.series, func(s series) bool { return s.metric == metric })
}

// Values returns the latest period's value of each metric that the alarm reads, for people.
func (a Alarm) Values(data []Datum, now time.Time) string {
	var said []string
	for _, s := range a.series {
		v, _ := s.value(data, now.Add(-a.period*time.Duration(a.evaluated)), now)
		said = append(said, fmt.Sprintf("%s %s=%v", s.metric, s.stat, v))
	}
	return strings.Join(said, ", ")
}

// Rings reports whether the alarm's condition is met at a time, by the last whole periods
// or by those with the running one, which CloudWatch evaluates, too.
func (a Alarm) Rings(data []Datum, now time.Time) (bool, error) {
	if a.ringsEmpty && a.missing == "missing" {
		return a.ranEmpty(data, now)
	}
	last := now.Truncate(a.period)
	begin := last.Add(-a.period * time.Duration(a.evaluated))
	data = slices.DeleteFunc(slices.Clone(data), func(d Datum) bool { return d.At.Before(begin) || !a.reads(d.Metric) })
	for _, end := range []time.Time{last, last.Add(a.period)} {
		breaching := 0
		for range a.evaluated {
			begin := end.Add(-a.period)
			v, err := a.value(data, begin, end)
			breaks := false
			if err == nil {
				breaks, err = a.breaks(v, end.After(now) && !a.onlyFalls())
			}
			if err != nil {
				return false, fmt.Errorf("the alarm %s: %w", a.Name, err)
			}
			if breaks {
				breaching++
			}
			end = begin
		}
		if breaching >= a.needed {
			return true, nil
		}
	}
	return false, nil
}

// onlyFalls reports whether a value can only fall while its period runs.
func (a Alarm) onlyFalls() bool { return a.expression == "" && a.series[0].stat == "Minimum" }

// lookback is how many more periods than it evaluates CloudWatch looks at before it calls
// all of them missing: its documentation shows five for three.
const lookback = 2

// ranEmpty reports whether an alarm that rings by its lack of values has just none, but had
// some before: a new alarm begins in that state, and acts only when it enters it.
func (a Alarm) ranEmpty(data []Datum, now time.Time) (bool, error) {
	begin := now.Truncate(a.period).Add(-a.period * time.Duration(a.evaluated+lookback))
	recent, err := a.value(data, begin, now)
	before, errBefore := a.value(data, time.Time{}, begin)
	return math.IsNaN(recent) && !math.IsNaN(before), errors.Join(err, errBefore)
}

// breaks reports whether a period's value breaks the threshold. In the running period a
// value may still come or grow, so that too little of it is no reason to ring.
func (a Alarm) breaks(v float64, running bool) (bool, error) {
	if math.IsNaN(v) {
		return a.missing == "breaching" && !running, nil
	}
	switch a.comparison {
	case "GreaterThanOrEqualToThreshold":
		return v >= a.threshold, nil
	case "GreaterThanThreshold":
		return v > a.threshold, nil
	case "LessThanThreshold":
		return v < a.threshold && !running, nil
	case "LessThanOrEqualToThreshold":
		return v <= a.threshold && !running, nil
	}
	return false, fmt.Errorf("the drill does not know the comparison %q", a.comparison)
}

func (s series) value(data []Datum, begin, end time.Time) (float64, error) {
	var values []float64
	for _, d := range data {
		if d.Metric == s.metric && !d.At.Before(begin) && d.At.Before(end) {
			values = append(values, d.Value)
		}
	}
	return statistic(s.stat, values)
}

// value returns what the alarm compares in one period, or NaN if that is missing.
func (a Alarm) value(data []Datum, begin, end time.Time) (float64, error) {
	values := map[string]float64{}
	for _, s := range a.series {
		v, err := s.value(data, begin, end)
		if err != nil {
			return 0, err
		}
		values[s.id] = v
	}
	if a.expression == "" {
		return values[""], nil
	}
	return evaluate(a.expression, values)
}
