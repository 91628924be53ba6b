package drilltest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Datum is one value of a metric.
type Datum struct {
	Metric string // as name returns it
	Value  float64
	At     time.Time
}

// name returns a metric's namespace, name and dimensions as one text.
func name(namespace, metric string, dimensions map[string]string) string {
	words := []string{namespace, metric}
	for _, d := range slices.Sorted(maps.Keys(dimensions)) {
		words = append(words, d+"="+dimensions[d])
	}
	return strings.Join(words, " ")
}

// Emitted returns the values that CloudWatch takes from lines of a log by the embedded
// metric format, at the times of the lines.
func Emitted(log string) (data []Datum, err error) {
	for line := range strings.Lines(log) {
		var members map[string]json.RawMessage
		if json.Unmarshal([]byte(line), &members) != nil || members["_aws"] == nil {
			continue
		}
		found, err := embedded(members)
		if err != nil {
			return nil, fmt.Errorf("%w in the line %s", err, line)
		}
		data = append(data, found...)
	}
	return data, nil
}

func embedded(members map[string]json.RawMessage) (data []Datum, err error) {
	var spec struct {
		Timestamp         int64
		CloudWatchMetrics []struct {
			Namespace  string
			Dimensions [][]string
			Metrics    []struct{ Name string }
		}
	}
	if err := json.Unmarshal(members["_aws"], &spec); err != nil {
		return nil, fmt.Errorf("an unreadable _aws: %w", err)
	}
	for _, d := range spec.CloudWatchMetrics {
		for _, m := range d.Metrics {
			values, err := numbers(members[m.Name])
			if err != nil {
				return nil, fmt.Errorf("the metric %s: %w", m.Name, err)
			}
			for _, dimensions := range d.Dimensions {
				with := map[string]string{}
				for _, key := range dimensions {
					var text string
					if err := json.Unmarshal(members[key], &text); err != nil {
						return nil, fmt.Errorf("the dimension %s: %w", key, err)
					}
					with[key] = text
				}
				for _, v := range values {
					data = append(data, Datum{name(d.Namespace, m.Name, with), v, time.UnixMilli(spec.Timestamp)})
				}
			}
		}
	}
	return data, nil
}

// numbers returns a metric's value, or its values.
func numbers(v json.RawMessage) (all []float64, err error) {
	if err := json.Unmarshal(v, &all); err == nil {
		return all, nil
	}
	var one float64
	err = json.Unmarshal(v, &one)
	return []float64{one}, err
}

// statistic returns a statistic of values, or NaN if there are none.
func statistic(kind string, values []float64) (float64, error) {
	if len(values) == 0 {
		return math.NaN(), nil
	}
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	switch kind {
	case "Sum":
		return sum, nil
	case "Average":
		return sum / float64(len(values)), nil
	case "Maximum":
		return slices.Max(values), nil
	case "Minimum":
		return slices.Min(values), nil
	case "SampleCount":
		return float64(len(values)), nil
	}
	if p, err := strconv.ParseFloat(strings.TrimPrefix(kind, "p"), 64); err == nil && strings.HasPrefix(kind, "p") {
		sorted := slices.Sorted(slices.Values(values))
		return sorted[min(len(sorted)-1, int(p/100*float64(len(sorted))))], nil
	}
	return 0, fmt.Errorf("the drill does not know the statistic %q", kind)
}
