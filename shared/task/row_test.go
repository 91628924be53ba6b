package task

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
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
	checkFilled(t, "Task", reflect.ValueOf(x).Elem(), map[string]bool{"Task.Refund": true, "Task.Extra": true, "Task.Hint.Bars": true})
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

// An older row lacks the attributes that came later. It can be read and written, and
// stays as it was.
func TestAnOlderRowIsReadAndWritten(t *testing.T) {
	for _, name := range []string{"row-2026-11-25.json"} {
		x, stored := storedRow(t, name)
		equal(t, name+": may be written", x.Known(), true)
		equal(t, name, written(t, x), stored)
		if len(x.Extra) > 0 {
			t.Errorf("%s has attributes that this code no longer knows: %v", name, x.Extra)
		}
	}
}
