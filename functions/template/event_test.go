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
)

// readEvents reads events/ by file name.
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

// Lambda's own types hold each event completely, and each function has an
// event.
func TestEventsDecode(t *testing.T) {
	eventful := map[string]bool{}
	for name, raw := range readEvents(t) {
		function, _, _ := strings.Cut(name, "-")
		eventful[function] = true
		var into any = &events.APIGatewayV2HTTPRequest{}
		switch {
		case function == "ingest", function == "notify":
			into = &events.DynamoDBEvent{}
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
		if err := firstError(json.Unmarshal(raw, &want), json.Unmarshal([]byte(encode(into)), &got)); err != nil {
			t.Fatal(err)
		}
		if lost := missingFrom(got, want, name); lost != "" {
			t.Errorf("%s is lost", lost)
		}
	}
	if got := slices.Sorted(maps.Keys(eventful)); !slices.Equal(got, functionNames(t)) {
		t.Errorf("events are for %q, functions are %q", got, functionNames(t))
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// missingFrom returns the path of something in want that got lacks; got may
// have more.
func missingFrom(got, want any, at string) string {
	switch want := want.(type) {
	case map[string]any:
		for name, v := range want {
			if lost := missingFrom(dig(got, name), v, at+"/"+name); lost != "" {
				return lost
			}
		}
		return ""
	case []any:
		for i, v := range want {
			if lost := missingFrom(dig(got, fmt.Sprint(i)), v, fmt.Sprint(at, "/", i)); lost != "" {
				return lost
			}
		}
		return ""
	}
	if encode(got) != encode(want) {
		return at
	}
	return ""
}

// A request's event is consistent and uses a route of its function.
func TestEventsOfRoutes(t *testing.T) {
	for name, raw := range readEvents(t) {
		var e events.APIGatewayV2HTTPRequest
		if err := json.Unmarshal(raw, &e); err != nil || e.Version != "2.0" {
			continue // an event of the schedules or the stream, which TestEventsDecode checks
		}
		function, _, _ := strings.Cut(name, "-")
		if !slices.Contains(registeredRoutes(function), e.RouteKey) {
			t.Errorf("%s: %s has no route %s", name, function, e.RouteKey)
		}
		c := e.RequestContext
		if c.RouteKey != e.RouteKey || c.HTTP.Path != e.RawPath || c.DomainName != e.Headers["host"] || c.HTTP.UserAgent != e.Headers["user-agent"] || c.HTTP.SourceIP != e.Headers["x-forwarded-for"] {
			t.Errorf("%s: the request's context does not match", name)
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
				t.Errorf("%s: the query's %s does not match", name, parameter)
			}
		}
		if len(r.URL.Query()) != len(e.QueryStringParameters) {
			t.Errorf("%s: the query is %s", name, e.RawQueryString)
		}
		checkPath(t, name, e, r)
	}
}

// checkPath checks the path's parameters against the path.
func checkPath(t *testing.T, name string, e events.APIGatewayV2HTTPRequest, r *http.Request) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc(e.RouteKey, func(_ http.ResponseWriter, r *http.Request) {
		for parameter, value := range e.PathParameters {
			if r.PathValue(parameter) != value {
				t.Errorf("%s: the path's %s does not match", name, parameter)
			}
		}
	})
	if _, pattern := mux.Handler(r); pattern != e.RouteKey || strings.Count(e.RouteKey, "{") != len(e.PathParameters) {
		t.Errorf("%s: %s does not match %s", name, e.RawPath, e.RouteKey)
	}
	mux.ServeHTTP(nil, r)
}
