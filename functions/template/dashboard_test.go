package template_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
)

// widget is one of a dashboard's.
type widget struct {
	Type                string
	X, Y, Width, Height int
	Properties          struct {
		Title, Region, View, Markdown, Query string
		Period                               int
		Metrics                              [][]any
		Alarms                               []string
	}
}

// awsMetrics are those of AWS that the dashboard may show, with their dimensions.
var awsMetrics = map[string]string{
	"AWS/Lambda Duration": "FunctionName", "AWS/Lambda Errors": "FunctionName", "AWS/Lambda Throttles": "FunctionName",
	"AWS/Lambda IteratorAge": "FunctionName", "AWS/Lambda ConcurrentExecutions": "",
	"AWS/ApiGateway Count": "ApiId", "AWS/ApiGateway 4xx": "ApiId", "AWS/ApiGateway 5xx": "ApiId", "AWS/ApiGateway Latency": "ApiId",
	"AWS/DynamoDB ReadThrottleEvents": "TableName GlobalSecondaryIndexName", "AWS/DynamoDB WriteThrottleEvents": "TableName GlobalSecondaryIndexName",
}

// dimensionResources are the types of resource that the dimensions of AWS's metrics name.
var dimensionResources = map[string]string{"FunctionName": "AWS::Lambda::Function", "ApiId": "AWS::ApiGatewayV2::Api", "TableName": "AWS::DynamoDB::Table"}

var statPattern = regexp.MustCompile(`^(Sum|Average|Minimum|Maximum|SampleCount|p(50|90|99))$`)

// Each widget shows metrics that exist: ours that log lines carry, or AWS's own.
func TestDashboard(t *testing.T) {
	s := template(t)
	dashboards := s.ofType("AWS::CloudWatch::Dashboard")
	body, _ := dig(dashboards["Dashboard"].Properties, "DashboardBody", "Fn::Sub").(string)
	checkReferences(t, s, body)
	var d struct{ Widgets []widget }
	if err := json.Unmarshal([]byte(body), &d); err != nil || len(dashboards) != 1 || len(d.Widgets) < 10 {
		t.Fatalf("%d dashboards, %d widgets: %v", len(dashboards), len(d.Widgets), err)
	}
	shown, taken := map[string]bool{}, map[[2]int]string{}
	for _, w := range d.Widgets {
		p := w.Properties
		name := p.Title + p.Markdown
		for x := w.X; x < w.X+w.Width; x++ {
			for y := w.Y; y < w.Y+w.Height; y++ {
				if taken[[2]int{x, y}] != "" || x >= 24 {
					t.Fatalf("%s is on top of %s, or too far right", name, taken[[2]int{x, y}])
				}
				taken[[2]int{x, y}] = name
			}
		}
		if w.Type == "metric" && (len(p.Metrics) == 0 || p.Title == "" || p.Region != "${AWS::Region}" || p.Period < 60) {
			t.Errorf("%s: %+v", name, w)
		}
		for _, m := range p.Metrics {
			shown[checkMetric(t, s, name, m)] = true
		}
		if w.Type == "alarm" {
			checkShownAlarms(t, s, p.Alarms)
		}
		if w.Type == "log" {
			checkQuery(t, strings.TrimPrefix(p.Query, "SOURCE '${Logs}' | "))
		}
	}
	for name := range ourMetrics() {
		if !shown[name] {
			t.Errorf("no widget shows %s", name)
		}
	}
}

// checkReferences checks that what a text takes in by Fn::Sub exists.
func checkReferences(t *testing.T, s *stack, text string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`\$\{([A-Za-z:]+)(\.Arn)?\}`).FindAllStringSubmatch(text, -1) {
		r, ok := s.Resources[m[1]]
		if !ok && m[1] != "AWS::StackName" && m[1] != "AWS::Region" || r.Condition != "" {
			t.Errorf("it refers to %s, which does not always exist", m[0])
		}
	}
}

// checkMetric checks one row of a widget: a namespace, a name, dimensions and options. It
// returns the name of one of ours, as ourMetrics has it.
func checkMetric(t *testing.T, s *stack, widget string, row []any) string {
	t.Helper()
	options, _ := row[len(row)-1].(map[string]any)
	if stat, _ := options["stat"].(string); !statPattern.MatchString(stat) {
		t.Errorf("%s: %v has the statistic %q", widget, row, stat)
	}
	var words []string
	for _, v := range row[:len(row)-1] {
		words = append(words, fmt.Sprint(v))
	}
	if words[0] == ourNamespace {
		name := words[1]
		if len(words) == 4 {
			name += " " + words[3]
		}
		if !ourMetrics()[name] || len(words)%2 != 0 {
			t.Errorf("%s shows %v, which no log line carries", widget, row)
		}
		return name
	}
	allowed, known := awsMetrics[words[0]+" "+words[1]]
	if !known {
		t.Errorf("%s shows %v, which this test does not know", widget, row)
	}
	for i := 2; i+1 < len(words); i += 2 {
		id := strings.Trim(words[i+1], "${}")
		if want := dimensionResources[words[i]]; !slices.Contains(strings.Fields(allowed), words[i]) || want != "" && s.Resources[id].Type != want {
			t.Errorf("%s: %v has the dimension %s=%s", widget, row, words[i], words[i+1])
		}
	}
	return ""
}

// checkShownAlarms checks that the widget has all alarms that every stack has.
func checkShownAlarms(t *testing.T, s *stack, arns []string) {
	t.Helper()
	var want []string
	for id, r := range s.ofType("AWS::CloudWatch::Alarm") {
		if r.Condition == "" {
			want = append(want, "${"+id+".Arn}")
		}
	}
	slices.Sort(want)
	if got := slices.Sorted(slices.Values(arns)); !slices.Equal(got, want) {
		t.Errorf("the dashboard shows the alarms %q, want %q", got, want)
	}
}

// Each saved query reads fields that log lines have.
func TestQueries(t *testing.T) {
	s := template(t)
	queries := s.ofType("AWS::Logs::QueryDefinition")
	for id, r := range queries {
		checkJSON(t, id+"'s log", r.Properties["LogGroupNames"], `[{"Ref": "Logs"}]`)
		if name, _ := dig(r.Properties, "Name", "Fn::Sub").(string); !strings.HasPrefix(name, "nanobanana/${AWS::StackName}/") {
			t.Errorf("%s is called %q", id, name)
		}
		text, _ := r.Properties["QueryString"].(string)
		checkQuery(t, text)
	}
	if len(queries) != 4 {
		t.Errorf("%d saved queries", len(queries))
	}
}

// queryWords are the words of the query language that the queries use.
var queryWords = strings.Fields("fields filter stats sort limit by as asc desc and or count pct max latest in like")

// checkQuery checks that a query has the form of its language, as far as the queries use
// it, and that its fields are in lines that were logged.
func checkQuery(t *testing.T, query string) {
	t.Helper()
	known := loggedFields(t)
	plain := regexp.MustCompile(`'[^']*'|"[^"]*"`).ReplaceAllString(query, "0")
	for _, m := range regexp.MustCompile(`\bas ([A-Za-z0-9]+)`).FindAllStringSubmatch(plain, -1) {
		known[m[1]] = true
	}
	for _, command := range strings.Split(plain, "|") {
		words := strings.Fields(command)
		if len(words) < 2 || !slices.Contains([]string{"fields", "filter", "stats", "sort", "limit"}, words[0]) {
			t.Errorf("%q is no command: %s", command, query)
		}
		if strings.Count(command, "(") != strings.Count(command, ")") {
			t.Errorf("%q has parentheses without a partner", command)
		}
	}
	for _, word := range regexp.MustCompile(`@?[A-Za-z][A-Za-z0-9]*`).FindAllString(plain, -1) {
		if word != "@timestamp" && !slices.Contains(queryWords, word) && !known[word] {
			t.Errorf("no log line has the field %s: %s", word, query)
		}
	}
}

// loggedFields returns the fields of lines that the functions log.
func loggedFields(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	w := lifecycletest.New(t)
	w.Succeeded(t, "ada")
	lines := w.Logged.Take() + contradictionLine(t) + unansweredLines(t) + failedCheckLine(t)
	for line := range strings.Lines(lines) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		for name := range fields {
			all[name] = true
		}
	}
	return all
}
