package template_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/functions/sweep"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

func TestLogGroups(t *testing.T) {
	for id, r := range template(t).ofType("AWS::Logs::LogGroup") {
		if days, _ := r.Properties["RetentionInDays"].(float64); days < 7 || days > 400 {
			t.Errorf("%s keeps %v days", id, r.Properties["RetentionInDays"])
		}
	}
}

// ourNamespace is the namespace of the metrics that filters make.
const ourNamespace = "nanobanana/${AWS::StackName}"

// wantAlarms are the metrics that each alarm reads, and its condition. A metric
// is its namespace, name, dimension values, statistic and period.
var wantAlarms = map[string]struct {
	metrics []string
	when    string
}{
	"ErrorsLogged":  {[]string{ourNamespace + " Errors Sum 300"}, ">= 1, 1 of 1, notBreaching"},
	"TasksEndBadly": {[]string{ourNamespace + " TasksEndedBadly Sum 300"}, ">= 1, 1 of 1, notBreaching"},
	"GenerationsFail": {
		[]string{"failed=" + ourNamespace + " GenerationsFailed Sum 900", "ended=" + ourNamespace + " TasksEnded Sum 900"},
		"IF(failed >= 5 AND failed > 0.2 * ended, 1, 0) >= 1, 1 of 1, notBreaching",
	},
	"TaskIsOld":          {[]string{ourNamespace + " OldestUnfinished Maximum 300"}, "> 3600, 1 of 13, notBreaching"},
	"SweepRests":         {[]string{"AWS/Lambda Invocations Sweep Sum 300"}, "< 1, 2 of 2, breaching"},
	"FunctionsFail":      {metricOfFunctions("Errors"), "SUM(FILL(METRICS(), 0)) >= 1, 1 of 2, notBreaching"},
	"FunctionsThrottled": {metricOfFunctions("Throttles"), "SUM(FILL(METRICS(), 0)) >= 1, 2 of 3, notBreaching"},
	"ApiFails":           {[]string{"AWS/ApiGateway 5xx Api Sum 300"}, ">= 5, 1 of 1, notBreaching"},
	"TableThrottled":     {metricsOfTable("ReadThrottleEvents", "WriteThrottleEvents"), "SUM(FILL(METRICS(), 0)) >= 1, 2 of 3, notBreaching"},
	"CheckRests":         {[]string{ourNamespace + " CreditChecks Sum 1800"}, "< 1, 1 of 1, breaching"},
	"CreditsLow":         {[]string{ourNamespace + " LowCredits Sum 1800"}, ">= 1, 1 of 1, notBreaching"},
	"IngestLags":         {[]string{"AWS/Lambda IteratorAge Ingest Maximum 300"}, "> 600000, 2 of 2, notBreaching"},
	"NotifyLags":         {[]string{"AWS/Lambda IteratorAge Notify Maximum 300"}, "> 600000, 2 of 2, notBreaching"},
}

// metricOfFunctions returns a metric of every function.
func metricOfFunctions(metric string) (all []string) {
	for name := range functionLimits {
		all = append(all, name+"=AWS/Lambda "+metric+" "+logicalID(name)+" Sum 300")
	}
	return all
}

// metricsOfTable returns metrics of the table and of each of its indexes, which
// the table's own metrics do not include.
func metricsOfTable(metrics ...string) (all []string) {
	for _, metric := range metrics {
		kind := strings.ToLower(strings.TrimSuffix(metric, "ThrottleEvents"))
		all = append(all, kind+"Table=AWS/DynamoDB "+metric+" Table Sum 300")
		for _, index := range []string{"due", "list", "owner"} {
			all = append(all, kind+logicalID(index)+"=AWS/DynamoDB "+metric+" Table "+index+" Sum 300")
		}
	}
	return all
}

func TestAlarms(t *testing.T) {
	s := template(t)
	alarms := s.ofType("AWS::CloudWatch::Alarm")
	for id, r := range alarms {
		checkJSON(t, id+"'s action", r.Properties["AlarmActions"], `{"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"}]}`)
		metrics, when := alarmMetrics(t, r.Properties)
		want := wantAlarms[id]
		if slices.Sort(want.metrics); !slices.Equal(metrics, want.metrics) || when != want.when {
			t.Errorf("%s goes off at %s of\n%s\nwant %s of\n%s", id, when, strings.Join(metrics, "\n"), want.when, strings.Join(want.metrics, "\n"))
		}
		if len(metrics) > 10 {
			t.Errorf("%s reads %d metrics, and CloudWatch takes ten", id, len(metrics))
		}
	}
	if len(alarms) != len(wantAlarms) {
		t.Errorf("%d alarms, want %d", len(alarms), len(wantAlarms))
	}
	if indexes := list(s.Resources["Table"].Properties["GlobalSecondaryIndexes"]); len(indexes) != 3 {
		t.Errorf("the table has %d indexes, three are watched", len(indexes))
	}
}

// alarmMetrics returns the metrics that an alarm reads, in order, and its
// condition.
func alarmMetrics(t testing.TB, p map[string]any) (metrics []string, when string) {
	t.Helper()
	expression := ""
	for _, m := range list(p["Metrics"]) {
		if e, ok := dig(m, "Expression").(string); ok {
			if expression != "" || dig(m, "ReturnData") != nil {
				t.Errorf("an alarm has two results: %s", encode(p["Metrics"]))
			}
			expression = e + " "
			continue
		}
		checkJSON(t, "whether a metric is a result", dig(m, "ReturnData"), "false")
		metrics = append(metrics, fmt.Sprintf("%v=%s %v %v", dig(m, "Id"), metricName(dig(m, "MetricStat", "Metric")), dig(m, "MetricStat", "Stat"), dig(m, "MetricStat", "Period")))
	}
	if len(metrics) == 0 {
		metrics = []string{fmt.Sprintf("%s %v %v", metricName(p), p["Statistic"], p["Period"])}
	}
	slices.Sort(metrics)
	signs := map[any]string{"GreaterThanOrEqualToThreshold": ">=", "GreaterThanThreshold": ">", "LessThanThreshold": "<"}
	points, periods := p["DatapointsToAlarm"], p["EvaluationPeriods"]
	if points == nil {
		points = periods
	}
	threshold, _ := p["Threshold"].(float64)
	return metrics, fmt.Sprintf("%s%s %d, %v of %v, %v", expression, signs[p["ComparisonOperator"]], int(threshold), points, periods, p["TreatMissingData"])
}

// metricName returns a metric's namespace, name and dimensions.
func metricName(v any) string {
	namespace, ok := dig(v, "Namespace").(string)
	if !ok {
		namespace, _ = dig(v, "Namespace", "Fn::Sub").(string)
	}
	words := []string{namespace, fmt.Sprint(dig(v, "MetricName"))}
	for _, d := range list(dig(v, "Dimensions")) {
		if id, ok := dig(d, "Value", "Ref").(string); ok {
			words = append(words, id)
		} else {
			words = append(words, fmt.Sprint(dig(d, "Value")))
		}
	}
	return strings.Join(words, " ")
}

// metricOfFilter is the metric that each filter adds to.
var metricOfFilter = map[string]string{
	"ErrorLines": "Errors", "EndLines": "TasksEnded", "BadEndLines": "TasksEndedBadly", "FailedGenerationLines": "GenerationsFailed",
	"SweptLines": "OldestUnfinished", "CheckLines": "CreditChecks", "LowLines": "LowCredits",
}

// Each filter makes a metric that an alarm reads.
func TestMetricFilters(t *testing.T) {
	s := template(t)
	var read []string
	for _, w := range wantAlarms {
		read = append(read, strings.Join(w.metrics, " "))
	}
	filters := s.ofType("AWS::Logs::MetricFilter")
	for id, r := range filters {
		made := dig(r.Properties, "MetricTransformations", "0")
		checkJSON(t, id+"'s namespace", dig(made, "MetricNamespace"), `{"Fn::Sub": "`+ourNamespace+`"}`)
		checkJSON(t, id+"'s metric", dig(made, "MetricName"), `"`+metricOfFilter[id]+`"`)
		checkJSON(t, id+"'s log", r.Properties["LogGroupName"], `{"Ref": "Logs"}`)
		value := `"1"`
		if id == "SweptLines" {
			value = `"$.oldestSeconds"`
			// The pattern must contain the value that it extracts.
			if pattern, _ := r.Properties["FilterPattern"].(string); !strings.Contains(pattern, "$.oldestSeconds = *") {
				t.Errorf("%s does not match its value: %s", id, pattern)
			}
		}
		checkJSON(t, id+"'s value", dig(made, "MetricValue"), value)
		checkJSON(t, id+"'s default", dig(made, "DefaultValue"), "null") // a default would cost money all the time
		if !strings.Contains(strings.Join(read, " "), ourNamespace+" "+metricOfFilter[id]+" ") {
			t.Errorf("no alarm reads %s", metricOfFilter[id])
		}
		if pattern, _ := r.Properties["FilterPattern"].(string); strings.Contains(pattern, "$.msg") {
			t.Errorf("%s matches a sentence: %s", id, pattern)
		}
	}
	if len(filters) != len(metricOfFilter) {
		t.Errorf("%d filters, want %d", len(filters), len(metricOfFilter))
	}
}

// logLines are lines that the functions log, by what they report, and the
// filters that match them.
var logLines = map[string]struct {
	lines   func(*testing.T) string
	filters []string
}{
	"credits":                       {checkLine(1000), []string{"CheckLines"}},
	"low credits":                   {checkLine(99), []string{"CheckLines", "LowLines"}},
	"a check without an answer":     {failedCheckLine, []string{"ErrorLines"}},
	"a sweep":                       {sweepLine, []string{"SweptLines"}},
	"a success":                     {successLines, []string{"EndLines"}},
	"a policy refusal":              {failureLines(task.CodeContentPolicy, failWith(400)), []string{"EndLines"}},
	"a generation that failed":      {failureLines(task.CodeGenerationFailed, failWith(501)), []string{"EndLines", "FailedGenerationLines"}},
	"a lost order":                  {failureLines(task.CodeOutcomeUnknown, loseAnswer), []string{"BadEndLines", "EndLines", "ErrorLines"}},
	"a function that has timed out": {fixedLine("2026-03-14T12:00:00Z 6e3f9c0a Task timed out after 50.00 seconds"), nil},
	"words of an event":             {fixedLine(`{"level":"INFO","msg":"credits are low","note":"task_ended"}`), nil},
}

func TestMetricFiltersMatch(t *testing.T) {
	s := template(t)
	for name, c := range logLines {
		t.Run(name, func(t *testing.T) {
			lines := c.lines(t)
			var see []string
			for id, r := range s.ofType("AWS::Logs::MetricFilter") {
				pattern, _ := r.Properties["FilterPattern"].(string)
				seen := slices.ContainsFunc(strings.Split(lines, "\n"), func(line string) bool { return matchesPattern(t, pattern, line) })
				if seen {
					see = append(see, id)
				}
			}
			if slices.Sort(see); !slices.Equal(see, c.filters) {
				t.Errorf("%q see it, want %q:\n%s", see, c.filters, lines)
			}
		})
	}
}

func fixedLine(line string) func(*testing.T) string { return func(*testing.T) string { return line } }

// checkLine returns what a check of this balance logs.
func checkLine(balance float64) func(*testing.T) string {
	return func(t *testing.T) string {
		w := lifecycletest.New(t)
		w.Sim.SetBalance(balance)
		if _, err := (credits.Function{Account: w.Account, Prices: w.Prices, LowBelow: 100, Log: w.Log}).Check(t.Context()); err != nil {
			t.Error(err)
		}
		return w.Logged.Take()
	}
}

func failedCheckLine(t *testing.T) string {
	w := lifecycletest.New(t)
	w.Sim.Close()
	if _, err := (credits.Function{Account: w.Account, Prices: w.Prices, LowBelow: 100, Log: w.Log}).Check(t.Context()); err == nil {
		t.Error("there is a balance")
	}
	return w.Logged.Take()
}

// sweepLine returns what a sweep logs that finds a task of two hours.
func sweepLine(t *testing.T) string {
	w := lifecycletest.New(t)
	w.Submitted(t, "ada", 1)
	w.Generated(t, 0)
	w.Clock.Add(2 * time.Hour)
	w.Logged.Take()
	if _, err := sweep.New(sweep.Function{Sweeper: w.Sweeper, Log: w.Log})(t.Context()); err != nil {
		t.Error(err)
	}
	lines := w.Logged.Take()
	if !strings.Contains(lines, `"oldestSeconds":7200,`) {
		t.Errorf("the age is missing: %s", lines)
	}
	return lines
}

func successLines(t *testing.T) string {
	w := lifecycletest.New(t)
	w.Logged.Take()
	w.Succeeded(t, "ada")
	return w.Logged.Take()
}

func failWith(code int) func(*nanobananatest.Knobs) {
	return func(k *nanobananatest.Knobs) { k.Outcome = nanobananatest.Outcome{ErrorCode: code} }
}

func loseAnswer(k *nanobananatest.Knobs) {
	k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultReset}
}

// failureLines returns what is logged about a task that ends with this code.
func failureLines(code task.Code, knobs func(*nanobananatest.Knobs)) func(*testing.T) string {
	return func(t *testing.T) string {
		w := lifecycletest.New(t, knobs)
		w.Rules.MaxGenerations = 1
		x := w.Submitted(t, "ada", 1)
		if x.Status == task.Generating {
			w.Generated(t, 0)
		}
		w.Clock.Add(3 * time.Hour)
		if _, err := w.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
		if x, err := w.Rows.Task(t.Context(), x.ID); err != nil || x.Failure != code {
			t.Errorf("it ended as %+v, %v; want %s", x, err, code)
		}
		return w.Logged.Take()
	}
}

// matchesPattern reports whether a metric filter's pattern matches a line of
// the log, by CloudWatch's rules for JSON. It supports only the syntax that the
// template uses.
func matchesPattern(t *testing.T, pattern, line string) bool {
	t.Helper()
	inner, ok := strings.CutPrefix(pattern, "{ ")
	inner, closed := strings.CutSuffix(inner, " }")
	if !ok || !closed {
		t.Fatalf("%s is not a pattern for JSON", pattern)
	}
	var v any
	if err := json.Unmarshal([]byte(line), &v); err != nil {
		return false
	}
	for either := range strings.SplitSeq(inner, " || ") {
		if !slices.ContainsFunc(strings.Split(either, " && "), func(term string) bool { return !matchesTerm(t, term, v) }) {
			return true
		}
	}
	return false
}

var termPattern = regexp.MustCompile(`^(?:\(\$\.(\w+) (?:= "(\w+)"|= (\*)|IS (TRUE))\)|\$\.(\w+) = "(\w+)")$`)

func matchesTerm(t *testing.T, condition string, v any) bool {
	t.Helper()
	m := termPattern.FindStringSubmatch(condition)
	if m == nil {
		t.Fatalf("this test does not know the condition %s", condition)
	}
	got := dig(v, m[1]+m[5])
	switch {
	case m[3] == "*":
		return got != nil
	case m[4] == "TRUE":
		return got == true
	}
	return got == m[2]+m[6]
}

// docs/deploy.md lists each alarm and says how many metrics they read together.
func TestAlarmsInDeployPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	metrics := 0
	for id, w := range wantAlarms {
		metrics += len(w.metrics)
		if !strings.Contains(string(page), "`"+id+"`") {
			t.Errorf("docs/deploy.md does not have %s", id)
		}
	}
	if want := fmt.Sprintf("%d alarms, which read %d metrics", len(wantAlarms), metrics); !strings.Contains(string(page), want) {
		t.Errorf("docs/deploy.md does not say %q", want)
	}
}
