package httpapi

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/task"
)

func TestIdempotencyKey(t *testing.T) {
	long := strings.Repeat("k", 255)
	for _, key := range []string{"a", long, "../../QUOTA#bob", `!"'\~`} {
		r := post(`{}`)
		r.Header.Set("Idempotency-Key", key)
		if got, err := IdempotencyKey(r); got != key || err != nil {
			t.Errorf("%q: got %q, %v", key, got, err)
		}
	}
	if got, err := IdempotencyKey(post(`{}`)); got != "" || err != nil {
		t.Errorf("without a key: got %q, %v", got, err)
	}
	for name, keys := range map[string][]string{
		"empty":          {""},
		"256 characters": {long + "k"},
		"not ASCII":      {"clé"},
		"not UTF-8":      {"\xff"},
		"a space":        {"a b"},
		"a tab":          {"a\tb"},
		"two":            {"a", "b"},
		"the same twice": {"a", "a"},
		"two, joined":    {"a,b"},
		"one and empty":  {"a", ""},
	} {
		r := post(`{}`)
		r.Header["Idempotency-Key"] = keys
		_, err := IdempotencyKey(r)
		if e, ok := err.(*task.Error); !ok || !e.Malformed || e.Fields[0].Pointer != "" {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestQuery(t *testing.T) {
	get := func(query string) *http.Request { return httptest.NewRequest("GET", "/v1/tasks?"+query, nil) }
	q, err := Query(get("target=moodboard%3A1&wait=20"), "target", "wait")
	if err != nil || q.Get("target") != "moodboard:1" {
		t.Fatalf("got %v, %v", q, err)
	}
	if n, err := QueryInt(q, "wait", 0, 1, 20); n != 20 || err != nil {
		t.Errorf("wait: got %d, %v", n, err)
	}
	if n, err := QueryInt(q, "limit", 25, 1, 100); n != 25 || err != nil {
		t.Errorf("without limit: got %d, %v", n, err)
	}
	long := strings.Repeat("x", 300)
	for query, pointer := range map[string]string{
		"wiat=3": "/wiat", "wait=1&wait=2": "/wait", "a/b~=1": "/a~1b~0", "=1": "/", "%ff=1": "", long + "=1": "", "wait=%zz": "", "a;b": "",
	} {
		_, err := Query(get(query), "wait")
		if e := ErrorOf(err); !e.Malformed || e.Fields[0].Pointer != pointer {
			t.Errorf("%s: got %v", query, err)
		}
	}
	for _, wait := range []string{"", "0", "21", "1.5", "1e1", "0x5", "-1", " 5", "99999999999999999999", "٣"} {
		_, err := QueryInt(map[string][]string{"wait": {wait}}, "wait", 0, 1, 20)
		refused(t, err, task.CodeInvalidRequest, 400)
		if e := ErrorOf(err); e.Fields[0].Pointer != "/wait" {
			t.Errorf("%q: the pointer is %q", wait, e.Fields[0].Pointer)
		}
	}
}

func TestNotModified(t *testing.T) {
	etag := ETagOf([]byte("a"))
	if etag == ETagOf([]byte("b")) || etag[0] != '"' || etag[len(etag)-1] != '"' {
		t.Fatalf("bad tag %s", etag)
	}
	for _, c := range []struct {
		sent []string
		want bool
	}{
		{nil, false},
		{[]string{etag}, true},
		{[]string{"W/" + etag}, true},
		{[]string{`"x", W/"y" ,` + etag}, true},
		{[]string{`"x"`, etag}, true},
		{[]string{"*"}, true},
		{[]string{""}, false},
		{[]string{strings.Trim(etag, `"`)}, false},
		{[]string{`,,"`, "W/", "\x00"}, false},
		{[]string{"W/W/" + etag, "w/" + etag, etag[:len(etag)-1], etag + etag, "**", `"*"`}, false},
		{[]string{strings.Repeat(",", 10_000)}, false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["If-None-Match"] = c.sent
		if got := NotModified(r, etag); got != c.want {
			t.Errorf("%q: got %v", c.sent, got)
		}
	}
}
