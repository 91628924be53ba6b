package template_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/preset/nanobanana-functions/local/drilltest"
	"github.com/preset/nanobanana-functions/shared/metric"
	"github.com/preset/nanobanana-functions/shared/task"
)

func TestLogGroups(t *testing.T) {
	for id, r := range template(t).ofType("AWS::Logs::LogGroup") {
		if days, _ := r.Properties["RetentionInDays"].(float64); days < 7 || days > 400 {
			t.Errorf("%s keeps %v days", id, r.Properties["RetentionInDays"])
		}
	}
}

// ourNamespace is the namespace of the metrics that log lines carry.
const ourNamespace = "nanobanana/${AWS::StackName}"

// wantAlarms are the metrics that each alarm reads, and its condition. A metric
// is its namespace, name, dimension values, statistic and period.
var wantAlarms = map[string]struct {
	metrics []string
	when    string
	only    string // the template's condition under which it exists
}{
	"ErrorsLogged":  {ours("Errors Sum 300"), ">= 1, 1 of 1, notBreaching", ""},
	"TasksEndBadly": {ours("TasksEndedBadly Sum 300"), ">= 1, 1 of 1, notBreaching", ""},
	"GenerationsFail": {
		[]string{"failed=" + ourNamespace + " TasksFailed generation_failed Sum 900", "ended=" + ourNamespace + " TasksEndedBadly SampleCount 900"},
		"IF(failed >= 5 AND failed > 0.2 * ended, 1, 0) >= 1, 1 of 1, notBreaching", "",
	},
	"OrdersUnanswered": {
		[]string{"unsure=" + ourNamespace + " Unconfirmed Sum 900", "sent=" + ourNamespace + " Unconfirmed SampleCount 900"},
		"IF(unsure >= 5 AND unsure > 0.2 * sent, 1, 0) >= 1, 1 of 1, notBreaching", "",
	},
	"ProviderFails": {
		[]string{"ok=" + ourNamespace + " ProviderOk Sum 900", "calls=" + ourNamespace + " ProviderOk SampleCount 900"},
		"IF(calls >= 5 AND ok < 0.5 * calls, 1, 0) >= 1, 1 of 1, notBreaching", "",
	},
	"LateContradictions": {ours("LateContradictions Sum 300"), ">= 1, 1 of 1, notBreaching", ""},
	"TaskIsOld":          {ours("OldestUnfinished Maximum 300"), "> 3600, 1 of 13, notBreaching", ""},
	"SweepRests":         {[]string{"AWS/Lambda Invocations Sweep Sum 60"}, "< 1, 8 of 8, missing", ""},
	"HeldForLong":        {ours("Held Maximum 300"), "> 3600, 1 of 1, notBreaching", ""},
	"CreditsLow":         {ours("Balance Minimum 1800"), "< LowCredits, 1 of 1, notBreaching", ""},
	"CheckRests":         {ours("Balance SampleCount 1800"), "< 1, 1 of 1, breaching", ""},
	"BudgetNearlySpent":  {ours("BudgetUsed Maximum 600"), ">= 80, 1 of 1, notBreaching", "HasBudget"},
	"BudgetSpent":        {ours("BudgetUsed Maximum 600"), ">= 100, 1 of 1, notBreaching", "HasBudget"},
	"BudgetSpentFast":    {ours("BudgetUsedInHour Maximum 600"), ">= 25, 1 of 1, notBreaching", "HasBudget"},
	"CallbacksRefused":   {ours("CallbacksRefused Sum 300"), ">= 10, 1 of 1, notBreaching", ""},
	"NoticesWait":        {ours("NoticesWaiting Maximum 300"), ">= 1, 3 of 12, notBreaching", "HasNotify"},
	"NoticesGivenUp":     {ours("NoticesGivenUp Sum 300"), ">= 1, 1 of 1, notBreaching", "HasNotify"},
	"FunctionsFail":      {metricOfFunctions("Errors"), "SUM(FILL(METRICS(), 0)) >= 1, 1 of 2, notBreaching", ""},
	"FunctionsThrottled": {metricOfFunctions("Throttles"), "SUM(FILL(METRICS(), 0)) >= 1, 2 of 3, notBreaching", ""},
	"ApiFails":           {[]string{"AWS/ApiGateway 5xx Api Sum 300"}, ">= 5, 1 of 1, notBreaching", ""},
	"TableThrottled":     {metricsOfTable("ReadThrottleEvents", "WriteThrottleEvents"), "SUM(FILL(METRICS(), 0)) >= 1, 2 of 3, notBreaching", ""},
	"IngestLags":         {[]string{"AWS/Lambda IteratorAge Ingest Maximum 300"}, "> 600000, 2 of 2, notBreaching", ""},
	"NotifyLags":         {[]string{"AWS/Lambda IteratorAge Notify Maximum 300"}, "> 600000, 2 of 2, notBreaching", ""},
	"MetricsLost": {
		[]string{"parsing=AWS/Logs EMFParsingErrors Logs Sum 300", "validation=AWS/Logs EMFValidationErrors Logs Sum 300"},
		"SUM(FILL(METRICS(), 0)) >= 1, 1 of 2, notBreaching", "",
	},
}

func ours(metric string) []string { return []string{ourNamespace + " " + metric} }

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

// description is what an alarm says: a sentence, the first command, and where to read on.
var description = regexp.MustCompile(`^[^.]+[^.]*\.( [^.]+\.)? First: bin/ops ([a-z]+( -since [0-9]+h)?)\. Runbook: docs/RUNBOOK\.md#([a-z]+)$`)

func TestAlarms(t *testing.T) {
	s := template(t)
	alarms := s.ofType("AWS::CloudWatch::Alarm")
	const actions = `[{"Fn::If": ["HasAlarmTopic", {"Ref": "AlarmTopic"}, {"Ref": "AWS::NoValue"}]}, {"Fn::If": ["HasAlarmEmail", {"Ref": "AlarmMail"}, {"Ref": "AWS::NoValue"}]}]`
	for id, r := range alarms {
		checkJSON(t, id+"'s action", r.Properties["AlarmActions"], actions)
		checkJSON(t, id+"'s action when it is over", r.Properties["OKActions"], actions)
		without := "null"
		if r.Properties["TreatMissingData"] == "missing" {
			without = actions
		}
		checkJSON(t, id+"'s action without values", r.Properties["InsufficientDataActions"], without)
		said, _ := r.Properties["AlarmDescription"].(string)
		if m := description.FindStringSubmatch(said); m == nil || m[4] != strings.ToLower(id) || len(said) > 1024 {
			t.Errorf("%s says %q; want: Sentence. First: bin/ops COMMAND. Runbook: docs/RUNBOOK.md#%s", id, said, strings.ToLower(id))
		}
		metrics, when := alarmMetrics(t, r.Properties)
		want := wantAlarms[id]
		if slices.Sort(want.metrics); !slices.Equal(metrics, want.metrics) || when != want.when || r.Condition != want.only {
			t.Errorf("%s goes off at %s of\n%s\n(%s) want %s of\n%s\n(%s)", id, when, strings.Join(metrics, "\n"), r.Condition, want.when, strings.Join(want.metrics, "\n"), want.only)
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
	mail := s.Resources["AlarmMail"]
	if mail.Condition != "HasAlarmEmail" {
		t.Errorf("the topic for mails exists if %q", mail.Condition)
	}
	checkJSON(t, "who gets mails", mail.Properties["Subscription"], `[{"Protocol": "email", "Endpoint": {"Ref": "AlarmEmail"}}]`)
	if filters := s.ofType("AWS::Logs::MetricFilter"); len(filters) != 0 {
		t.Errorf("%d metric filters: log lines carry their metrics", len(filters))
	}
}

// Each metric of ours that an alarm reads is one that log lines carry.
func TestAlarmsReadMetricsThatExist(t *testing.T) {
	known := ourMetrics()
	for id, w := range wantAlarms {
		for _, m := range w.metrics {
			if _, name, ok := strings.Cut(m, ourNamespace+" "); ok {
				words := strings.Fields(name)
				if name := strings.Join(words[:len(words)-2], " "); !known[name] {
					t.Errorf("%s reads %s, which no log line carries", id, name)
				}
			}
		}
	}
}

// ourMetrics are the metrics that log lines carry: a name, or a name and its dimension's
// value.
func ourMetrics() map[string]bool {
	all := map[string]bool{metric.Errors.Name: true}
	for _, metrics := range metric.Table {
		for _, m := range metrics {
			if m.Dimension == "" {
				all[m.Name] = true
			}
			for _, v := range metric.Values[m.Dimension] {
				all[m.Name+" "+v] = true
			}
		}
	}
	return all
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
	threshold := p["Threshold"]
	if parameter, ok := dig(threshold, "Ref").(string); ok {
		threshold = parameter
	}
	return metrics, fmt.Sprintf("%s%s %v, %v of %v, %v", expression, signs[p["ComparisonOperator"]], threshold, points, periods, p["TreatMissingData"])
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

// logLines are lines that the functions log, by what they report: the metrics that
// CloudWatch takes from them, as their sum and the number of their samples, and the
// alarms that ring.
var logLines = map[string]struct {
	lines  func(*testing.T) string
	values string
	alarms []string
}{
	"credits":                            {checkLine(1000), "Balance=1000/1 ProviderOk=1/1 SpentHour=0/1", nil},
	"low credits":                        {checkLine(99), "Balance=99/1 ProviderOk=1/1 SpentHour=0/1", []string{"CreditsLow"}},
	"a check without an answer":          {failedCheckLine, "Errors=1/1 ProviderOk=0/1", []string{"ErrorsLogged"}},
	"a sweep":                            {sweepLine, "OldestUnfinished=7200/1 ProviderOk=1/1 TasksDue=1/1 TasksWaiting=0/1", []string{"TaskIsOld"}},
	"a success":                          {successLines, "ProviderOk=3/3 SecondsToPicture=0/1 TasksEndedBadly=0/1 TasksEnded{nano-banana}=1/1 Unconfirmed=0/1", nil},
	"a policy refusal":                   {failureLines(task.CodeContentPolicy, failWith(400)), "ProviderOk=3/3 TasksEndedBadly=0/1 TasksEnded{nano-banana}=1/1 TasksFailed{content_policy}=1/1 Unconfirmed=0/1", nil},
	"a generation that failed":           {failureLines(task.CodeGenerationFailed, failWith(501)), "ProviderOk=3/3 TasksEndedBadly=0/1 TasksEnded{nano-banana}=1/1 TasksFailed{generation_failed}=1/1 Unconfirmed=0/1", nil},
	"five generations that failed":       {times(5, failureLines(task.CodeGenerationFailed, failWith(501))), "ProviderOk=15/15 TasksEndedBadly=0/5 TasksEnded{nano-banana}=5/5 TasksFailed{generation_failed}=5/5 Unconfirmed=0/5", []string{"GenerationsFail"}},
	"a lost order":                       {failureLines(task.CodeOutcomeUnknown, loseAnswer), "Errors=1/1 ProviderOk=1/2 TasksEndedBadly=1/1 TasksEnded{nano-banana}=1/1 TasksFailed{outcome_unknown}=1/1 Unconfirmed=1/1", []string{"ErrorsLogged", "TasksEndBadly"}},
	"five orders without an answer":      {times(5, unansweredLines), "ProviderOk=5/10 Unconfirmed=5/5", []string{"OrdersUnanswered"}},
	"a provider that refuses everything": {times(5, refusedLines), "ProviderOk=0/5 Unconfirmed=0/5", []string{"ProviderFails"}},
	"a picture after all":                {contradictionLine, "LateContradictions=1/1", []string{"LateContradictions"}},
	"nine forged callbacks":              {times(9, forgedLine), "CallbacksRefused=9/9", nil},
	"ten forged callbacks":               {times(10, forgedLine), "CallbacksRefused=10/10", []string{"CallbacksRefused"}},
	"a notice that is not accepted":      {noticeLines(1), "NoticesWaiting=1/1 OldestUnfinished=0/1 TasksDue=1/1 TasksWaiting=0/1", nil},
	"a notice that is given up":          {noticeLines(100), "", []string{"ErrorsLogged", "NoticesGivenUp"}},
	"a hold of half an hour":             {heldLine(30 * time.Minute), "Held=1800/1 OldestUnfinished=0/1 TasksDue=0/1 TasksWaiting=0/1", nil},
	"a hold of two hours":                {heldLine(2 * time.Hour), "Held=7200/1 OldestUnfinished=0/1 TasksDue=0/1 TasksWaiting=0/1", []string{"HeldForLong"}},
	"a budget that is nearly spent":      {budgetLine(200, 160), "", []string{"BudgetNearlySpent", "BudgetSpentFast"}},
	"a budget that is spent":             {budgetLine(200, 200), "", []string{"BudgetNearlySpent", "BudgetSpent", "BudgetSpentFast"}},
	"a fifth of a budget in an hour":     {budgetLine(200, 40), "", nil},
	"a function that has timed out":      {fixedLine("2026-03-14T12:00:00Z 6e3f9c0a Task timed out after 50.00 seconds"), "", nil},
	"words of an event":                  {fixedLine(`{"level":"INFO","msg":"credits are low","note":"task_ended"}`), "", nil},
}

// What the functions log is what the alarms read.
func TestLinesAndAlarms(t *testing.T) {
	text, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	alarms, err := drilltest.Alarms(text)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range logLines {
		t.Run(name, func(t *testing.T) {
			lines := c.lines(t)
			checkFormat(t, lines)
			data, err := drilltest.Emitted(lines)
			if err != nil {
				t.Fatal(err)
			}
			sums, samples := map[string]float64{}, map[string]int{}
			for _, d := range data {
				name := strings.TrimPrefix(d.Metric, "nanobanana/"+drilltest.StackName+" ")
				if name, by, ok := strings.Cut(name, " "); ok {
					_, value, _ := strings.Cut(by, "=")
					sums[name+"{"+value+"}"] += d.Value
					samples[name+"{"+value+"}"]++
					continue
				}
				sums[name] += d.Value
				samples[name]++
			}
			var got []string
			for _, name := range slices.Sorted(maps.Keys(sums)) {
				if strings.HasSuffix(name, "Time") { // of this machine
					continue
				}
				got = append(got, fmt.Sprintf("%s=%v/%d", name, math.Floor(sums[name]), samples[name]))
			}
			if values := strings.Join(got, " "); c.values != "" && values != c.values {
				t.Errorf("values\n%s, want\n%s:\n%s", values, c.values, lines)
			}
			var ring []string
			for id, a := range alarms {
				rings, err := a.Rings(data, time.Now())
				if err != nil {
					t.Fatal(err)
				}
				if rings && id != "CheckRests" { // which rings without a check
					ring = append(ring, id)
				}
			}
			if slices.Sort(ring); !slices.Equal(ring, c.alarms) {
				t.Errorf("%q ring, want %q:\n%s", ring, c.alarms, lines)
			}
		})
	}
}

// checkFormat holds the lines that carry metrics against CloudWatch's format.
func checkFormat(t *testing.T, lines string) {
	t.Helper()
	format, err := jsonschema.NewCompiler().Compile("../../shared/metric/testdata/emf.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(lines) {
		var members map[string]any
		if json.Unmarshal([]byte(line), &members) != nil || members["_aws"] == nil {
			continue
		}
		if err := format.Validate(members); err != nil {
			t.Errorf("%v: %s", err, line)
		}
	}
}

// A first deployment does not ring SweepRests, however long it takes. A sweep that stops
// does, within a quarter of an hour, and one that merely started late does not.
func TestSweepRests(t *testing.T) {
	text, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	alarms, err := drilltest.Alarms(text)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Date(2026, 3, 14, 12, 0, 30, 0, time.UTC)
	var runs []drilltest.Datum
	for minute := range 30 {
		runs = append(runs, drilltest.Datum{Metric: "AWS/Lambda Invocations FunctionName=Sweep", Value: 1, At: begin.Add(time.Duration(minute) * time.Minute)})
	}
	for name, c := range map[string]struct {
		runs    []drilltest.Datum
		minutes int // after begin
		want    bool
	}{
		"no run yet":                       {nil, 600, false},
		"the first run":                    {runs[:1], 1, false},
		"a run each minute":                {runs, 30, false},
		"five minutes without a run":       {runs, 34, false},
		"fourteen minutes without a run":   {runs, 43, true},
		"an hour without a run":            {runs, 90, true},
		"a gap of five minutes, then runs": {slices.Concat(runs[:10], runs[15:]), 30, false},
	} {
		if got, err := alarms["SweepRests"].Rings(c.runs, begin.Add(time.Duration(c.minutes)*time.Minute)); got != c.want || err != nil {
			t.Errorf("%s: %v, %v; want %v", name, got, err, c.want)
		}
	}
}

// docs/deploy.md lists each alarm and says how many metrics they read together.
func TestAlarmsInDeployPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	metrics, alarms, rest := 0, 0, 0
	for id, w := range wantAlarms {
		if w.only == "" {
			metrics, alarms = metrics+len(w.metrics), alarms+1
		} else {
			rest += len(w.metrics)
		}
		if !strings.Contains(string(page), "`"+id+"`") {
			t.Errorf("docs/deploy.md does not have %s", id)
		}
	}
	want := fmt.Sprintf("%d alarms, which read %d metrics, and with `NotifyUrl` and `DailyBudget` %d, which read %d", alarms, metrics, len(wantAlarms), metrics+rest)
	if !strings.Contains(string(page), want) {
		t.Errorf("docs/deploy.md does not say %q", want)
	}
}
