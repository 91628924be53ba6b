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
		"due": "due", "dueAt": "2026-11-28T12:05:00.500Z", "wasMadeAt": "2026-11-28T12:00:00.001Z", "createdAt": "", "work": "ingest", "notice": "pending",
		"list": "36|7c9e6679-7425-40de-944b-e07fc1f90ae7|moodboard:42",
	} {
		if got := textOf(row, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{"schema": "3", "version": "9"} {
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

// Items as the release before this one wrote them: a notice was work, or waited for the
// erase. It keeps its place in the index, and the stream's filters know the next write.
func TestAnOlderItemsNotice(t *testing.T) {
	older := func(members string) item {
		row, err := attributes([]byte(`{"id":"i","owner":"o","schema":1,"version":5,"writer":"w","status":"succeeded","charges":["sure"],
			"createdAt":"2026-11-28T11:00:00.000Z","endedAt":"2026-11-28T12:00:00Z","due":"due","dueAt":"2026-11-28T12:00:20.000Z",` + members + `}`))
		if err != nil {
			t.Fatal(err)
		}
		return row
	}
	for name, c := range map[string]struct {
		old  item
		work string
	}{
		"being sent":            {older(`"work":"notify","tries":2,"deadline":"2026-12-01T12:00:00Z"`), ""},
		"waiting for the erase": {older(`"work":"erase","noticePending":true,"tries":2,"deletedAt":"2026-11-28T12:00:00Z"`), "erase"},
	} {
		x, err := fromItem(c.old)
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Check(); err != nil || !x.Known() || x.Notice != task.Pending || len(x.Extra) > 0 {
			t.Errorf("%s: %v; %+v", name, err, x)
		}
		row, err := toItem(x)
		if err != nil {
			t.Fatal(err)
		}
		for attribute, want := range map[string]string{"due": "due", "dueAt": "2026-11-28T12:00:20.000Z", "notice": "pending", "work": c.work} {
			if got := textOf(row, attribute); got != want {
				t.Errorf("%s: %s is %q, want %q", name, attribute, got, want)
			}
		}
		x.Notified(x.EndedAt, x.NoticeVersion())
		if row, err = toItem(x); err != nil || row["notice"] != nil || row["noticePending"] != nil || (row["due"] == nil) != (c.work == "") {
			t.Errorf("%s: after it was accepted %v, %v", name, row, err)
		}
	}
}
