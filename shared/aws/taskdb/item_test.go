package taskdb

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/preset/nanobanana-functions/shared/task"
)

// The row in task's testdata, that of a deleted task, holds every attribute. Its item
// also has those of the indexes, and converts back without a change.
func TestAStoredRowAsAnItem(t *testing.T) {
	stored, err := os.ReadFile("../../task/testdata/row.json")
	if err != nil {
		t.Fatal(err)
	}
	x := new(task.Task)
	if err := json.Unmarshal(stored, x); err != nil {
		t.Fatal(err)
	}
	row, err := toItem(x)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"due": "due", "dueAt": "2026-11-28T12:05:00.500Z", "wasMadeAt": "2026-11-28T12:00:00.001Z", "createdAt": "", "work": "ingest",
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
	if row[attrCreatedAt] != nil {
		t.Errorf("a deleted task is in the index of its owner's tasks: %#v", row[attrCreatedAt])
	}
	if row[attrExpires] != nil {
		t.Errorf("a row that is due expires: %#v", row[attrExpires])
	}
	want, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string) {
		t.Helper()
		back, err := fromItem(row)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(back); err != nil || string(got) != string(want) {
			t.Errorf("%s was read back as\n%s, %v, want\n%s", what, got, err, want)
		}
	}
	check("it")
	row[attrCreatedAt] = text(formatTime(time.Time{}))
	check("a deleted row that an older release wrote again")
	row[attrCreatedAt] = row[attrWasMade]
	delete(row, attrWasMade)
	check("a row that an older release deleted")
}
