package task

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"testing"
	"time"
)

func TestNew(t *testing.T) {
	r := Request{Prompt: "a cat", NumImages: 3, Model: DefaultModel}
	x := New(Draft{Owner: "owner", IdempotencyKey: "key", Request: r, Parent: "p", PublicURL: "https://a.example", Estimate: 12.5, CountQuota: true}, start)
	equal(t, "id", x.ID, NewID("owner", "key"))
	equal(t, "owner", x.Owner, "owner")
	equal(t, "schema, which older releases know", x.Schema, 1)
	equal(t, "version", x.Version, 1)
	equal(t, "fingerprint", x.Fingerprint, r.Fingerprint())
	equal(t, "request", x.Request, r)
	equal(t, "attempt", x.Attempt, 1)
	equal(t, "charges", x.Charges, []Charge{ChargeDoubtful})
	equal(t, "quota", x.Quota, &Quota{Day: "2026-03-01", Images: 3})
	equal(t, "parent", x.Parent, "p")
	equal(t, "public url", x.PublicURL, "https://a.example")
	equal(t, "estimate", x.Estimate, 12.5)
	equal(t, "check", x.Check(), nil)
	if y := New(Draft{Owner: "owner", IdempotencyKey: "key", Request: r}, start); y.Writer == x.Writer || x.Writer == "" {
		t.Errorf("writers %q and %q, want two different ones", x.Writer, y.Writer)
	}
	equal(t, "quota without CountQuota", New(Draft{Request: r}, start).Quota, nil)
}

// full returns a task with a value in every field, so that a new field is tested
// at once.
func full() *Task {
	x := new(Task)
	fill(reflect.ValueOf(x).Elem())
	x.Refund, x.Hint.Bars = 0, false // not stored
	x.Extra = map[string]json.RawMessage{"newer": json.RawMessage(`{"nested":[1,{"a":null}],"n":12345678901234567890}`)}
	return x
}

func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Float64:
		v.SetFloat(1.25)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8:
		v.SetUint('1')
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value)
		v.SetMapIndex(reflect.ValueOf("key").Convert(v.Type().Key()), value)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(start.Add(123 * time.Millisecond)))
			return
		}
		for _, field := range v.Fields() {
			if field.CanSet() {
				fill(field)
			}
		}
	default:
		panic("fill does not know " + v.Type().String())
	}
}

func TestARowSurvivesItsJSON(t *testing.T) {
	rows := map[string]*Task{"full": full(), "empty": {}}
	for _, s := range allStatuses {
		h := in(t, s)
		h.Refund = 0
		rows[string(s)] = h.Task
	}
	for name, x := range rows {
		b, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		got := new(Task)
		if err := json.Unmarshal(b, got); err != nil {
			t.Fatal(err)
		}
		equal(t, name, got, x)
	}
}

func TestUnknownAttributesAreKept(t *testing.T) {
	const row = `{"id":"x","schema":1,"status":"generating","newer":{"a":[1,{"b":null}]},"big":12345678901234567890,"none":null,"":"empty"}`
	x := new(Task)
	if err := json.Unmarshal([]byte(row), x); err != nil {
		t.Fatal(err)
	}
	want := map[string]json.RawMessage{
		"newer": json.RawMessage(`{"a":[1,{"b":null}]}`), "big": json.RawMessage(`12345678901234567890`),
		"none": json.RawMessage(`null`), "": json.RawMessage(`"empty"`),
	}
	equal(t, "extra", x.Extra, want)

	c := x.Clone()
	c.ReadAt = start
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for name, value := range want {
		equal(t, "attribute "+name, string(got[name]), string(value))
	}
	equal(t, "status", string(got["status"]), `"generating"`)
}

// An attribute whose name differs from ours only in case is another attribute.
func TestAttributesDifferInCase(t *testing.T) {
	x := new(Task)
	if err := json.Unmarshal([]byte(`{"owner":"bob","OWNER":"eve"}`), x); err != nil {
		t.Fatal(err)
	}
	equal(t, "owner", x.Owner, "bob")
	equal(t, "extra", x.Extra, map[string]json.RawMessage{"OWNER": json.RawMessage(`"eve"`)})
}

func TestMalformedRowsAreRefused(t *testing.T) {
	for _, b := range []string{``, `null`, `[]`, `"x"`, `1`, `{`, `{"id":1}`, `{"createdAt":"yesterday"}`, `{} {}`} {
		x := &Task{ID: "before"}
		if err := json.Unmarshal([]byte(b), x); err == nil {
			t.Errorf("%s was read as %+v", b, *x)
		}
		equal(t, "row after "+b, x, &Task{ID: "before"})
	}
	bad := &Task{Extra: map[string]json.RawMessage{"a": json.RawMessage(`{`)}}
	if b, err := json.Marshal(bad); err == nil {
		t.Errorf("a row with a malformed attribute was written as %s", b)
	}
}

func FuzzTaskJSON(f *testing.F) {
	b, _ := json.Marshal(full())
	f.Add(b)
	for _, seed := range []string{`{}`, `{"id":"x","newer":{"a":[1]}}`, `{"createdAt":"2026-03-01T12:00:00+01:00"}`, `{"":1}`, `{"hint":null,"charges":null}`, `{"owner":"bob","OWNER":"eve"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x := new(Task)
		if json.Unmarshal(b, x) != nil {
			return
		}
		once, err := json.Marshal(x)
		if err != nil {
			t.Fatalf("writing a row that was read: %v", err)
		}
		y := new(Task)
		if err := json.Unmarshal(once, y); err != nil {
			t.Fatalf("reading a row that was written: %v", err)
		}
		twice, err := json.Marshal(y)
		if err != nil {
			t.Fatal(err)
		}
		if string(once) != string(twice) {
			t.Errorf("reading and writing changed a row:\n%s\n%s", once, twice)
		}
		names := func(a, b json.RawMessage) bool { return true }
		if !maps.EqualFunc(x.Extra, y.Extra, names) {
			t.Errorf("unknown attributes %v became %v", x.Extra, y.Extra)
		}
	})
}

// A change to the copy, even in place, must not reach the original: Update compares the
// two to decide whether to write.
func TestCloneSharesNothing(t *testing.T) {
	x := full()
	c := x.Clone()
	equal(t, "clone", c, x)
	checkUnshared(t, "Task", reflect.ValueOf(x).Elem(), reflect.ValueOf(c).Elem())
	x.Refund = 3
	equal(t, "refund of a clone", x.Clone().Refund, 0)
	equal(t, "clone of an empty task", new(Task).Clone(), new(Task))
}

// checkUnshared fails the test for each slice, map and pointer that a and b share.
func checkUnshared(t *testing.T, path string, a, b reflect.Value) {
	switch a.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if a.UnsafePointer() == b.UnsafePointer() && !a.IsNil() {
			t.Errorf("%s is shared", path)
			return
		}
	}
	switch a.Kind() {
	case reflect.Pointer:
		checkUnshared(t, path, a.Elem(), b.Elem())
	case reflect.Slice:
		for i := range a.Len() {
			checkUnshared(t, path, a.Index(i), b.Index(i))
		}
	case reflect.Struct:
		if a.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for field, value := range a.Fields() {
			checkUnshared(t, path+"."+field.Name, value, b.FieldByIndex(field.Index))
		}
	}
}

func TestCheckRefusesARowThatWouldBeStuck(t *testing.T) {
	at := start.Add(time.Hour)
	for name, c := range map[string]struct {
		x    Task
		want error
	}{
		"unfinished, due":                        {Task{Status: Waiting, Turn: Turn{DueAt: at}}, nil},
		"unfinished, not due":                    {Task{Status: Waiting}, ErrStuck},
		"unfinished, due at its deadline":        {Task{Status: Waiting, Turn: Turn{DueAt: at, Deadline: at}}, nil},
		"unfinished, due after it":               {Task{Status: Waiting, Turn: Turn{DueAt: at.Add(time.Millisecond), Deadline: at}}, ErrStuck},
		"ended, without work":                    {Task{Status: Succeeded}, nil},
		"ended, but due":                         {Task{Status: Succeeded, Turn: Turn{DueAt: at}}, ErrStuck},
		"ended, with work":                       {Task{Status: Failed, Work: Erase, Turn: Turn{DueAt: at}}, nil},
		"ended, with work, not due":              {Task{Status: Failed, Work: Erase}, ErrStuck},
		"ended, with a notice":                   {Task{Status: Failed, Notice: Pending, NoticeTurn: Turn{DueAt: at}}, nil},
		"ended, with a notice, not due":          {Task{Status: Failed, Notice: Pending}, ErrStuck},
		"ended, without a notice that is due":    {Task{Status: Failed, NoticeTurn: Turn{DueAt: at}}, ErrStuck},
		"ended, with a notice past its deadline": {Task{Status: Failed, Notice: Pending, NoticeTurn: Turn{DueAt: at, Deadline: start}}, ErrStuck},
		"with both":                              {Task{Status: Failed, Work: Erase, Turn: Turn{DueAt: at}, Notice: Pending, NoticeTurn: Turn{DueAt: at}}, nil},
		"with both, the work not due":            {Task{Status: Failed, Work: Erase, Notice: Pending, NoticeTurn: Turn{DueAt: at}}, ErrStuck},
		"with both, the notice not due":          {Task{Status: Failed, Work: Erase, Turn: Turn{DueAt: at}, Notice: Pending}, ErrStuck},
		"of newer code, not due":                 {Task{Status: "dreaming"}, ErrStuck},
	} {
		if err := c.x.Check(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestKnown(t *testing.T) {
	for _, s := range allStatuses {
		equal(t, string(s), in(t, s).Known(), true)
		equal(t, string(s)+" of a newer schema", (&Task{Status: s, Schema: Schema + 1}).Known(), false)
	}
	for _, s := range []Status{"", "dreaming", "Succeeded", "succeeded "} {
		equal(t, "status "+string(s), (&Task{Status: s, Schema: Schema}).Known(), false)
	}
}

func TestDone(t *testing.T) {
	for _, s := range allStatuses {
		equal(t, string(s), in(t, s).Done(), s == Succeeded || s == Failed)
	}
}
