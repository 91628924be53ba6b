package template_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/task"
)

// A write goes to ingest by its work and to notify by its notice: to either, to both
// or to none.
func TestStream(t *testing.T) {
	s := template(t)
	sources := map[string]string{"Work": `"Ingest" "work" "ingest","erase"`, "Notices": `"Notify" "notice" "pending"`}
	if found := s.ofType("AWS::Lambda::EventSourceMapping"); len(found) != len(sources) {
		t.Errorf("%d event sources of functions, want %d", len(found), len(sources))
	}
	filters := map[string]string{}
	for id, want := range sources {
		words := strings.Split(want, " ")
		checkJSON(t, id, s.Resources[id].Properties, `{
			"FunctionName": {"Ref": "`+strings.Trim(words[0], `"`)+`Aliaslive"}, "EventSourceArn": {"Fn::GetAtt": ["Table", "StreamArn"]},
			"StartingPosition": "TRIM_HORIZON", "BatchSize": 1, "ParallelizationFactor": 10, "MaximumRetryAttempts": 1,
			"FilterCriteria": {"Filters": [{"Pattern": `+encode(`{"dynamodb":{"NewImage":{`+words[1]+`:{"S":[`+words[2]+`]}}}}`)+`}]}}`)
		filters[id], _ = dig(s.Resources[id].Properties, "FilterCriteria", "Filters", "0", "Pattern").(string)
	}
	checkJSON(t, "the check of credits", s.Resources["CreditsCheck"].Properties["Target"].(map[string]any)["Input"], encode(strings.Join(strings.Fields(string(readEvents(t)["credits-check"])), "")))

	for _, name := range []string{"ingest-store", "ingest-erase", "notify-succeeded", "notify-deleted"} {
		record := streamRecord(t, name)
		image := dig(record, "dynamodb", "NewImage").(map[string]any)
		checkRow(t, name, image)
		for id, want := range map[string]bool{"Work": name != "notify-succeeded", "Notices": strings.HasPrefix(name, "notify-")} {
			if got := passesFilter(t, filters[id], record); got != want {
				t.Errorf("%s passes %s: %v, want %v", name, id, got, want)
			}
		}
		image["prompt"] = map[string]any{"S": "ingest pending"}
		for id, attribute := range map[string]string{"Work": "work", "Notices": "notice"} {
			for _, other := range []any{nil, map[string]any{"S": ""}, map[string]any{"NULL": true}, "ingest", "pending", map[string]any{"S": "notify"}} {
				if image[attribute] = other; other == nil {
					delete(image, attribute)
				}
				if passesFilter(t, filters[id], record) {
					t.Errorf("%s passes %s with %s %s", name, id, attribute, encode(other))
				}
			}
		}
		delete(dig(record, "dynamodb").(map[string]any), "NewImage") // a deleted row
		for id, filter := range filters {
			if passesFilter(t, filter, record) {
				t.Errorf("the deletion of %s's row passes %s", name, id)
			}
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

// checkRow checks that an image is one of our rows: a task that the store would
// accept.
func checkRow(t testing.TB, name string, image map[string]any) {
	t.Helper()
	members := map[string]any{}
	for attribute, v := range image {
		members[attribute] = plainValue(v)
	}
	for _, ofIndexes := range []string{"due", "list"} {
		delete(members, ofIndexes)
	}
	var x task.Task
	if err := json.Unmarshal([]byte(encode(members)), &x); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := x.Check(); err != nil || !x.Known() || !task.ValidID(x.ID) || len(x.Extra) > 0 {
		t.Errorf("%s: %v; %+v", name, err, x)
	}
	if back := encode(&x); back != encode(members) && missingFrom(members, decode(t, back), name) != "" {
		t.Errorf("%s comes back as %s", name, back)
	}
}

func decode(t testing.TB, s string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// plainValue returns the JSON value behind DynamoDB's wire format.
func plainValue(v any) any {
	for kind, inner := range v.(map[string]any) {
		switch kind {
		case "N":
			return json.Number(inner.(string))
		case "L":
			list := []any{}
			for _, entry := range inner.([]any) {
				list = append(list, plainValue(entry))
			}
			return list
		case "M":
			members := map[string]any{}
			for name, member := range inner.(map[string]any) {
				members[name] = plainValue(member)
			}
			return members
		default:
			return inner
		}
	}
	return nil
}

// passesFilter reports whether a stream record passes a filter by Lambda's
// rules: all members of an object must match, and one entry of a list must be
// equal. It does not support operators such as "prefix".
func passesFilter(t testing.TB, pattern string, record any) bool {
	t.Helper()
	return matchesObject(t, decode(t, pattern), record)
}

func matchesObject(t testing.TB, pattern, v any) bool {
	t.Helper()
	members, ok := pattern.(map[string]any)
	if !ok || len(members) == 0 {
		t.Fatalf("a filter's pattern has %s where an object belongs", encode(pattern))
	}
	for name, want := range members {
		values, leaf := want.([]any)
		if !leaf {
			if !matchesObject(t, want, dig(v, name)) {
				return false
			}
			continue
		}
		for _, value := range values {
			if _, operator := value.(map[string]any); operator {
				t.Fatalf("a filter's pattern has %s, which this test does not know", encode(value))
			}
		}
		got := dig(v, name)
		if got == nil || !slices.ContainsFunc(values, func(value any) bool { return encode(value) == encode(got) }) {
			return false
		}
	}
	return true
}
