package task

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// storedRow returns a row of testdata, parsed and as it is stored.
func storedRow(t *testing.T, name string) (*Task, string) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var row bytes.Buffer
	if err := json.Compact(&row, text); err != nil {
		t.Fatal(err)
	}
	x := new(Task)
	if err := json.Unmarshal(row.Bytes(), x); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return x, row.String()
}

// written returns the row as this code stores it.
func written(t *testing.T, x *Task) string {
	t.Helper()
	b, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Older and newer code reads a row for years, so its attributes keep their names, kinds
// and places. Add a new attribute to row.json; never change the file of an older
// release.
func TestTheStoredFormOfARowStays(t *testing.T) {
	x, stored := storedRow(t, "row.json")
	equal(t, "schema", x.Schema, Schema)
	equal(t, "row", written(t, x), stored)
	if len(x.Extra) > 0 {
		t.Errorf("attributes that this code does not know: %v", x.Extra)
	}
	checkFilled(t, "Task", reflect.ValueOf(x).Elem(), map[string]bool{"Task.Refund": true, "Task.Extra": true, "Task.moved": true, "Task.Hint.Bars": true})
}

// checkFilled fails the test for each stored field without a value. The fields in except
// are not stored.
func checkFilled(t *testing.T, path string, v reflect.Value, except map[string]bool) {
	t.Helper()
	switch {
	case except[path]:
	case v.IsZero():
		t.Errorf("%s has no value in row.json: add one", path)
	case v.Kind() == reflect.Pointer:
		checkFilled(t, path, v.Elem(), except)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		checkFilled(t, path, v.Index(0), except)
	case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]():
		for field, value := range v.Fields() {
			checkFilled(t, path+"."+field.Name, value, except)
		}
	}
}

// An older row lacks the attributes that came later. It can be read and written. A
// notice that was work, or that waited for the erase, is now pending by itself; nothing
// else of the row changes.
func TestAnOlderRowIsReadAndWritten(t *testing.T) {
	for _, name := range []string{"row-2026-11-25.json", "row-2026-11-28.json"} {
		x, stored := storedRow(t, name)
		equal(t, name+": may be written", x.Known(), true)
		want := map[string]any{}
		if err := json.Unmarshal([]byte(stored), &want); err != nil {
			t.Fatal(err)
		}
		delete(want, "noticePending")
		want["schema"], want["notice"], want["workDueAt"] = 2., "pending", want["dueAt"]
		want["noticeTurn"] = map[string]any{"tries": 1., "dueAt": want["dueAt"], "deadline": "2026-12-01T13:00:00Z"}
		delete(want, "noticeGivenUpAt") // none is given up while another is pending
		got := map[string]any{}
		if err := json.Unmarshal([]byte(written(t, x)), &got); err != nil {
			t.Fatal(err)
		}
		equal(t, name, got, want)
		if len(x.Extra) > 0 {
			t.Errorf("%s has attributes that this code no longer knows: %v", name, x.Extra)
		}
	}
}

// Rows with a notice, as the release before this one wrote them: the notice goes on as
// if this code had written it, at the same times, so that the index still fits.
func TestAnOlderRowsNotice(t *testing.T) {
	const head = `{"id":"i","owner":"o","schema":1,"version":5,"writer":"w","prompt":"","numImages":0,"model":"","since":"2026-11-28T12:00:00Z",
		"createdAt":"2026-11-28T11:00:00Z","updatedAt":"2026-11-28T12:00:00Z","endedAt":"2026-11-28T12:00:00Z","attempt":1,"charges":["sure"],`
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	later, deadline := at.Add(20*time.Second), at.Add(72*time.Hour)
	for name, c := range map[string]struct {
		row    string
		kind   NoticeKind
		notice Turn
		work   Work
		own    Turn
	}{
		"being sent": {
			`"status":"succeeded","work":"notify","tries":3,"dueAt":"2026-11-28T12:00:20Z","deadline":"2026-12-01T12:00:00Z","lastWake":true}`,
			NoticeSucceeded, Turn{later, deadline, 3, true}, "", Turn{},
		},
		"being sent after the erase": {
			`"status":"failed","failure":"canceled","deletedAt":"2026-11-28T11:30:00Z","work":"notify","tries":1,"dueAt":"2026-11-28T12:00:20Z","deadline":"2026-12-01T12:00:00Z"}`,
			NoticeDeleted, Turn{later, deadline, 1, false}, "", Turn{},
		},
		"waiting for the erase": {
			`"status":"succeeded","deletedAt":"2026-11-28T12:00:00Z","work":"erase","noticePending":true,"tries":2,"dueAt":"2026-11-28T12:00:20Z"}`,
			NoticeDeleted, Turn{later, deadline, 1, false}, Erase, Turn{later, time.Time{}, 2, false},
		},
		"waiting for an erase that fails for days": {
			`"status":"succeeded","deletedAt":"2026-11-20T12:00:00Z","work":"erase","noticePending":true,"tries":99,"dueAt":"2026-11-28T12:00:20Z"}`,
			NoticeDeleted, Turn{later, later, 1, false}, Erase, Turn{later, time.Time{}, 99, false},
		},
	} {
		x := new(Task)
		if err := json.Unmarshal([]byte(head+c.row), x); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		equal(t, name+": known", x.Known(), true)
		equal(t, name+": check", x.Check(), nil)
		equal(t, name+": notice", x.Notice, Pending)
		equal(t, name+": kind", x.NoticeKind(), c.kind)
		equal(t, name+": its version is not that of the end, which may have been taken", x.NoticeVersion() > 1, c.kind == NoticeDeleted)
		equal(t, name+": turn of the notice", x.NoticeTurn, c.notice)
		equal(t, name+": work", x.Work, c.work)
		equal(t, name+": turn of the work", x.Turn, c.own)
		equal(t, name+": due", x.Due(), later)
		again := new(Task)
		if err := json.Unmarshal([]byte(written(t, x)), again); err != nil || !again.sameRow(x) {
			t.Errorf("%s: written as %s and read as %+v, %v", name, written(t, x), again, err)
		}
		x.Notified(at, x.NoticeVersion())
		if err := json.Unmarshal([]byte(written(t, x)), again); err != nil || again.Notice != "" || again.Schema != 1 {
			t.Errorf("%s: after it was accepted: %+v, %v", name, again, err)
		}
	}

	x := new(Task)
	if err := json.Unmarshal([]byte(head+`"status":"succeeded","noticeGivenUpAt":"2026-12-01T12:16:00Z"}`), x); err != nil {
		t.Fatal(err)
	}
	equal(t, "given up: notice", x.Notice, Notice(""))
	x.Redrive(at)
	equal(t, "given up and redriven: kind", x.NoticeKind(), NoticeSucceeded)
	equal(t, "given up and redriven: messages", x.Messages(), []Message{Notify})
	x = new(Task)
	if err := json.Unmarshal([]byte(strings.Replace(head, `"schema":1`, `"schema":4`, 1)+`"status":"succeeded","work":"notify","dueAt":"2026-11-28T12:00:20Z"}`), x); err != nil {
		t.Fatal(err)
	}
	equal(t, "of a newer release: known", x.Known(), false)
	equal(t, "of a newer release: work", x.Work, workNotify)
}
