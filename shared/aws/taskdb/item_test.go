package taskdb

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/preset/nanobanana-functions/shared/task"
)

// The row in task's testdata holds every attribute. Its item also has those of the
// indexes, and converts back without a change.
func TestAStoredRowAsAnItem(t *testing.T) {
	text, err := os.ReadFile("../../task/testdata/row.json")
	if err != nil {
		t.Fatal(err)
	}
	x := new(task.Task)
	if err := json.Unmarshal(text, x); err != nil {
		t.Fatal(err)
	}
	row, err := toItem(x)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"due": "due", "dueAt": "2026-11-28T12:05:00.500Z", "createdAt": "2026-11-28T12:00:00.001Z", "work": "ingest",
		"list": "36|7c9e6679-7425-40de-944b-e07fc1f90ae7|moodboard:42",
	} {
		if got := textOf(row, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{"schema": "1", "version": "9"} {
		if n, ok := row[name].(*types.AttributeValueMemberN); !ok || n.Value != want {
			t.Errorf("%s is %#v, want the number %s", name, row[name], want)
		}
	}
	if row[attrExpires] != nil {
		t.Errorf("a row that is due expires: %#v", row[attrExpires])
	}
	back, err := fromItem(row)
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := json.Marshal(back); err != nil || string(got) != string(want) {
		t.Errorf("it was read back as\n%s, %v, want\n%s", got, err, want)
	}
}
