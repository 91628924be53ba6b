package template_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/preset/nanobanana-functions/functions/sweep"
	"github.com/preset/nanobanana-functions/shared/task"
)

// readEvents reads events/, by the files' names.
func readEvents(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("../../events/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no events: %v", err)
	}
	found := map[string][]byte{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found[strings.TrimSuffix(filepath.Base(file), ".json")] = b
	}
	return found
}

// Each event is one that Lambda's own types hold whole, and each function has one.
func TestEventsDecode(t *testing.T) {
	eventful := map[string]bool{}
	for name, raw := range readEvents(t) {
		function, _, _ := strings.Cut(name, "-")
		eventful[function] = true
		var into any = &events.APIGatewayV2HTTPRequest{}
		switch {
		case function == "ingest", function == "notify":
			into = &events.DynamoDBEvent{}
		case name == "sweep-redrive":
			into = &sweep.Event{}
		case function == "sweep":
			into = &events.CloudWatchEvent{}
		case name == "credits-check":
			into = &struct {
				Check string `json:"check"`
			}{}
		}
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		if err := dec.Decode(into); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var want, got any
		if err := errorsOf(json.Unmarshal(raw, &want), json.Unmarshal([]byte(text(into)), &got)); err != nil {
			t.Fatal(err)
		}
		if lost := missing(got, want, name); lost != "" {
			t.Errorf("%s is lost", lost)
		}
	}
	if got := slices.Sorted(maps.Keys(eventful)); !slices.Equal(got, folders(t)) {
		t.Errorf("events are for %q, functions are %q", got, folders(t))
	}
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// missing says what of want is not in got; got may have more.
func missing(got, want any, at string) string {
	switch want := want.(type) {
	case map[string]any:
		for name, v := range want {
			if lost := missing(dig(got, name), v, at+"/"+name); lost != "" {
				return lost
			}
		}
		return ""
	case []any:
		for i, v := range want {
			if lost := missing(dig(got, fmt.Sprint(i)), v, fmt.Sprint(at, "/", i)); lost != "" {
				return lost
			}
		}
		return ""
	}
	if text(got) != text(want) {
		return at
	}
	return ""
}

// A request's event agrees with itself, and is of a route of its function.
func TestEventsOfRoutes(t *testing.T) {
	for name, raw := range readEvents(t) {
		var e events.APIGatewayV2HTTPRequest
		if err := json.Unmarshal(raw, &e); err != nil || e.Version != "2.0" {
			continue // of the schedules and the stream; TestEventsDecode sees to it
		}
		function, _, _ := strings.Cut(name, "-")
		if !slices.Contains(registered(function), e.RouteKey) {
			t.Errorf("%s: %s has no route %s", name, function, e.RouteKey)
		}
		c := e.RequestContext
		if c.RouteKey != e.RouteKey || c.HTTP.Path != e.RawPath || c.DomainName != e.Headers["host"] || c.HTTP.UserAgent != e.Headers["user-agent"] || c.HTTP.SourceIP != e.Headers["x-forwarded-for"] {
			t.Errorf("%s: the request's context is another's", name)
		}
		if fmt.Sprint(len(e.Body)) != e.Headers["content-length"] {
			t.Errorf("%s: the body has %d bytes", name, len(e.Body))
		}
		r, err := http.NewRequest(c.HTTP.Method, e.RawPath+"?"+e.RawQueryString, nil)
		if err != nil {
			t.Fatal(err)
		}
		for parameter, value := range e.QueryStringParameters {
			if r.URL.Query().Get(parameter) != value {
				t.Errorf("%s: the query's %s is another's", name, parameter)
			}
		}
		if len(r.URL.Query()) != len(e.QueryStringParameters) {
			t.Errorf("%s: the query is %s", name, e.RawQueryString)
		}
		matched(t, name, e, r)
	}
}

// matched holds the path's parameters against the path.
func matched(t *testing.T, name string, e events.APIGatewayV2HTTPRequest, r *http.Request) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc(e.RouteKey, func(_ http.ResponseWriter, r *http.Request) {
		for parameter, value := range e.PathParameters {
			if r.PathValue(parameter) != value {
				t.Errorf("%s: the path's %s is another's", name, parameter)
			}
		}
	})
	if _, pattern := mux.Handler(r); pattern != e.RouteKey || strings.Count(e.RouteKey, "{") != len(e.PathParameters) {
		t.Errorf("%s: %s is not of %s", name, e.RawPath, e.RouteKey)
	}
	mux.ServeHTTP(nil, r)
}

func TestTemplateStream(t *testing.T) {
	s := template(t)
	fed := map[string]string{"Work": `"Ingest" "ingest","erase"`, "Notices": `"Notify" "notify"`}
	if found := s.of("AWS::Lambda::EventSourceMapping"); len(found) != len(fed) {
		t.Errorf("%d are fed by the stream, want %d", len(found), len(fed))
	}
	for id, want := range fed {
		function, work, _ := strings.Cut(want, " ")
		equal(t, id, s.Resources[id].Properties, `{
			"FunctionName": {"Ref": `+function+`}, "EventSourceArn": {"Fn::GetAtt": ["Table", "StreamArn"]},
			"StartingPosition": "TRIM_HORIZON", "BatchSize": 1, "ParallelizationFactor": 10, "MaximumRetryAttempts": 1,
			"FilterCriteria": {"Filters": [{"Pattern": `+text(`{"dynamodb":{"NewImage":{"work":{"S":[`+work+`]}}}}`)+`}]}}`)
	}
	equal(t, "the check of credits", s.Resources["CreditsCheck"].Properties["Target"].(map[string]any)["Input"], text(strings.Join(strings.Fields(string(readEvents(t)["credits-check"])), "")))

	for _, name := range []string{"ingest-store", "ingest-erase", "notify-succeeded"} {
		to, others := "Work", []any{map[string]any{"S": "notify"}}
		if name == "notify-succeeded" {
			to, others = "Notices", []any{map[string]any{"S": "ingest"}, map[string]any{"S": "erase"}}
		}
		pattern, _ := dig(s.Resources[to].Properties, "FilterCriteria", "Filters", "0", "Pattern").(string)
		record := streamRecord(t, name)
		image := dig(record, "dynamodb", "NewImage").(map[string]any)
		aRow(t, name, image)
		if !passes(t, pattern, record) {
			t.Errorf("%s does not get to its function", name)
		}
		for _, other := range append(others, nil, map[string]any{"S": ""}, map[string]any{"NULL": true}, "ingest", "notify") {
			if image["work"] = other; other == nil {
				delete(image, "work")
			}
			image["prompt"] = map[string]any{"S": "ingest"}
			if passes(t, pattern, record) {
				t.Errorf("%s gets to its function with work %s", name, text(other))
			}
		}
		delete(dig(record, "dynamodb").(map[string]any), "NewImage") // a row's end
		if passes(t, pattern, record) {
			t.Errorf("the end of %s's row gets to its function", name)
		}
	}
}

func streamRecord(t testing.TB, name string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(readEvents(t)[name], &v); err != nil {
		t.Fatal(err)
	}
	return dig(v, "Records", "0")
}

// aRow sees that an image is one of our rows: a task that the store would take.
func aRow(t testing.TB, name string, image map[string]any) {
	t.Helper()
	members := map[string]any{}
	for attribute, v := range image {
		members[attribute] = plain(v)
	}
	for _, ofIndexes := range []string{"due", "list"} {
		delete(members, ofIndexes)
	}
	var x task.Task
	if err := json.Unmarshal([]byte(text(members)), &x); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := x.Check(); err != nil || !x.Known() || !task.ValidID(x.ID) || len(x.Extra) > 0 {
		t.Errorf("%s: %v; %+v", name, err, x)
	}
	if back := text(&x); back != text(members) && missing(members, decoded(t, back), name) != "" {
		t.Errorf("%s comes back as %s", name, back)
	}
}

func decoded(t testing.TB, s string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// plain is the JSON value that DynamoDB's wire format stands for.
func plain(v any) any {
	for kind, inner := range v.(map[string]any) {
		switch kind {
		case "N":
			return json.Number(inner.(string))
		case "L":
			list := []any{}
			for _, entry := range inner.([]any) {
				list = append(list, plain(entry))
			}
			return list
		case "M":
			members := map[string]any{}
			for name, member := range inner.(map[string]any) {
				members[name] = plain(member)
			}
			return members
		default:
			return inner
		}
	}
	return nil
}

// passes says whether a stream record gets through a filter as Lambda reads
// it: an object's members must all match, and one entry of a list must equal.
// Operators such as "prefix" are none that this test knows.
func passes(t testing.TB, pattern string, record any) bool {
	t.Helper()
	return match(t, decoded(t, pattern), record)
}

func match(t testing.TB, pattern, v any) bool {
	t.Helper()
	members, ok := pattern.(map[string]any)
	if !ok || len(members) == 0 {
		t.Fatalf("a filter's pattern has %s where an object belongs", text(pattern))
	}
	for name, want := range members {
		values, leaf := want.([]any)
		if !leaf {
			if !match(t, want, dig(v, name)) {
				return false
			}
			continue
		}
		for _, value := range values {
			if _, operator := value.(map[string]any); operator {
				t.Fatalf("a filter's pattern has %s, which this test does not know", text(value))
			}
		}
		got := dig(v, name)
		if got == nil || !slices.ContainsFunc(values, func(value any) bool { return text(value) == text(got) }) {
			return false
		}
	}
	return true
}
