package tasks_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/preset/nanobanana-functions/functions/tasks"
	"github.com/preset/nanobanana-functions/shared/task"
)

// countingStore is a store that records which rows it was asked for.
type countingStore struct {
	task.Store
	ids []string
}

func (s *countingStore) Tasks(ctx context.Context, ids []string) ([]*task.Task, error) {
	s.ids = append(s.ids, ids...)
	return s.Store.Tasks(ctx, ids)
}

// ?ids= returns the caller's own tasks in the order of the ids, each once.
func TestByIDs(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	a, b, c := h.addRow("ada").ID, h.addRow("ada", h.succeeded).ID, h.addRow("ada", h.accepted).ID
	bobs, deleted, unknown := h.addRow("bob").ID, h.addRow("ada", h.deleted).ID, task.NewID("ada", "never")
	many := slices.Repeat([]string{a}, 49)
	tests := map[string]struct{ ids, want []string }{
		"in order":      {[]string{c, a, b}, []string{c, a, b}},
		"another order": {[]string{b, c, a}, []string{b, c, a}},
		"twice":         {[]string{a, b, a, a}, []string{a, b}},
		"bob's":         {[]string{a, bobs, b}, []string{a, b}},
		"unknown":       {[]string{unknown, a}, []string{a}},
		"deleted":       {[]string{deleted, a}, []string{a}},
		"malformed":     {[]string{"", "%00", "x", " " + a, strings.ToUpper(a), "a%2Fb", a + "x", strings.Repeat("a", 5000), b}, []string{b}},
		"none of them":  {[]string{bobs, deleted, unknown, "x"}, nil},
		"empty":         {[]string{""}, nil},
		"fifty":         {append(slices.Clone(many), b), []string{a, b}},
		"fifty unknown": {slices.Repeat([]string{"x"}, 50), nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := h.get("/v1/tasks?ids=" + strings.ReplaceAll(strings.Join(test.ids, ","), " ", "%20"))
			if ids, cursor := got.list(t); !slices.Equal(ids, test.want) || cursor != "" {
				t.Errorf("%v, cursor %q; want %v", ids, cursor, test.want)
			}
			for _, id := range []string{bobs, deleted, unknown} {
				if strings.Contains(got.Body, id) {
					t.Errorf("%s is in %s", id, got.Body)
				}
			}
		})
	}
	t.Run("the store gets valid ids only", func(t *testing.T) {
		rows := &countingStore{Store: h.Rows}
		h.function.Store = rows
		h.handler = tasks.New(h.function)
		h.serve(t.Context(), "/v1/tasks?ids=x,"+a+",%00,,"+strings.Repeat("a", 5000)).list(t)
		if !slices.Equal(rows.ids, []string{a}) {
			t.Errorf("it was asked for %q", rows.ids)
		}
	})
	t.Run("fifty-one", func(t *testing.T) {
		before := h.Rows.Total()
		h.get("/v1/tasks?ids="+strings.Join(slices.Repeat([]string{a}, 51), ",")).Problem(t, 400, task.CodeInvalidRequest)
		if h.Rows.Total() != before {
			t.Error("the store was asked")
		}
	})
	t.Run("ETag and Retry-After cover all tasks", func(t *testing.T) {
		running, ended := h.get("/v1/tasks?ids="+a+","+b), h.get("/v1/tasks?ids="+b)
		if running.Header.Get("Retry-After") != "3" || ended.Header.Get("Retry-After") != "" {
			t.Errorf("Retry-After %q and %q", running.Header.Get("Retry-After"), ended.Header.Get("Retry-After"))
		}
		if got := h.get("/v1/tasks?ids="+a+","+b, "If-None-Match", running.Header.Get("Etag")); got.Status != 304 || got.Body != "" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		h.change(a, h.accepted)
		if got := h.get("/v1/tasks?ids="+a+","+b, "If-None-Match", running.Header.Get("Etag")); got.Status != 200 {
			t.Errorf("after a change: %d", got.Status)
		}
	})
}

// A list shows the first 300 characters of a prompt.
func TestPromptPreview(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for name, test := range map[string]struct{ prompt, want string }{
		"short":        {"a lighthouse", "a lighthouse"},
		"300":          {strings.Repeat("é", 300), strings.Repeat("é", 300)},
		"301":          {strings.Repeat("é", 301), strings.Repeat("é", 300)},
		"5,000 emoji":  {strings.Repeat("🍌", 5000), strings.Repeat("🍌", 300)},
		"a long story": {strings.Repeat("word ", 1000), strings.Repeat("word ", 60)},
	} {
		t.Run(name, func(t *testing.T) {
			target := task.Target{Kind: "moodboard", ID: strings.ReplaceAll(name, " ", "-")}
			x := h.addRow("ada", func(x *task.Task) error { x.Prompt, x.Target = test.prompt, &target; return nil })
			for _, path := range []string{"?ids=" + x.ID, "?target=" + url.QueryEscape(target.String())} {
				body := h.get("/v1/tasks" + path).Body
				if !strings.Contains(body, fmt.Sprintf(`"prompt":"%s"`, test.want)) || !utf8.ValidString(body) {
					t.Errorf("%s: %.400s", path, body)
				}
			}
			if whole := h.get("/v1/tasks/" + x.ID).task(t).Prompt; whole != test.prompt {
				t.Errorf("a single task shows %d characters", utf8.RuneCountInString(whole))
			}
		})
	}
}

var board = task.Target{Kind: "moodboard", ID: "42"}

// A target's tasks are the caller's own, newest first, in pages.
func TestByTarget(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	want := h.addTargetRows("ada", board, 7)
	h.addTargetRows("bob", board, 3)
	h.addTargetRows("ada", task.Target{Kind: "moodboard", ID: "43"}, 1)
	h.addTargetRows("ada", task.Target{Kind: "showcase", ID: "42"}, 1)
	h.addRow("ada")
	for _, limit := range []int{1, 2, 3, 6, 7, 8, 100} {
		t.Run(fmt.Sprint(limit, " at a time"), func(t *testing.T) {
			var got []string
			cursor, pages := "", 0
			for {
				ids, next := h.get(fmt.Sprintf("/v1/tasks?target=moodboard:42&limit=%d%s", limit, cursor)).list(t)
				if len(ids) > limit {
					t.Fatalf("a page of %d", len(ids))
				}
				got = append(got, ids...)
				if pages++; next == "" || pages > 10 {
					break
				}
				cursor = "&cursor=" + url.QueryEscape(next)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
	if ids, _ := h.get("/v1/tasks?target=moodboard:42").list(t); !slices.Equal(ids, want) {
		t.Errorf("without a limit: %v", ids)
	}
	if ids, cursor := h.get("/v1/tasks?target=showcase:nothing").list(t); len(ids) != 0 || cursor != "" {
		t.Errorf("an empty target: %v %q", ids, cursor)
	}
	h.token = h.identity.Token("bob")
	if ids, _ := h.get("/v1/tasks?target=moodboard:42").list(t); len(ids) != 3 {
		t.Errorf("bob has %v", ids)
	}
}

// A page may be short or even empty and still have a cursor, because some of
// its tasks are gone when they are read.
func TestShortPage(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	want := h.addTargetRows("ada", board, 4)
	h.Rows.Fail(nil, nil)
	gone := func(x *task.Task) error { x.DeletedAt = h.Now(); return nil } // the index still has it
	for _, id := range want[:2] {
		h.change(id, gone)
	}
	ids, cursor := h.get("/v1/tasks?target=moodboard:42&limit=2").list(t)
	if len(ids) != 0 || cursor == "" {
		t.Errorf("%v %q; want nothing and a cursor", ids, cursor)
	}
	if ids, _ := h.get("/v1/tasks?target=moodboard:42&limit=2&cursor=" + url.QueryEscape(cursor)).list(t); !slices.Equal(ids, want[2:]) {
		t.Errorf("%v, want %v", ids, want[2:])
	}
}

// A page of tasks of maximum length is shorter, and no task is left out.
func TestLongPage(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	target := task.Target{Kind: "moodboard", ID: "m1"}
	long := map[string]string{}
	for i := range 16 {
		long[fmt.Sprintf("k%d", i)] = strings.Repeat("\x01", 500)
	}
	links := slices.Repeat([]string{"https://example.com/" + strings.Repeat("a", task.MaxURL-20)}, 10)
	for range 101 {
		h.Clock.Add(time.Second)
		h.addRow("ada", func(x *task.Task) error { x.Target, x.Metadata, x.ImageURLs = &target, long, links; return nil })
	}
	seen := map[string]bool{}
	pages := 0
	for cursor := ""; pages == 0 || cursor != ""; pages++ {
		got := h.get("/v1/tasks?target=moodboard:m1&limit=100&cursor=" + url.QueryEscape(cursor))
		var ids []string
		ids, cursor = got.list(t)
		for _, id := range ids {
			seen[id] = true
		}
		if event, err := json.Marshal(got.Body); err != nil || len(event) > 6<<20 {
			t.Errorf("page %d of %d tasks has %d bytes, as Lambda sees it; %v", pages, len(ids), len(event), err)
		}
	}
	if len(seen) != 101 || pages != 3 {
		t.Errorf("%d tasks on %d pages", len(seen), pages)
	}
}

// A cursor is valid for its own list only.
func TestForgedCursor(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.addTargetRows("ada", board, 3)
	h.addTargetRows("ada", task.Target{Kind: "moodboard", ID: "43"}, 3)
	h.addTargetRows("bob", board, 3)
	_, cursor := h.get("/v1/tasks?target=moodboard:42&limit=1").list(t)
	_, others := h.get("/v1/tasks?target=moodboard:43&limit=1").list(t)
	ada := h.token
	h.token = h.identity.Token("bob")
	_, bobs := h.get("/v1/tasks?target=moodboard:42&limit=1").list(t)
	h.token = ada
	last := []byte(cursor)
	last[len(last)/2] ^= 1
	for name, forged := range map[string]string{
		"another target's": others, "bob's": bobs, "cut": cursor[:len(cursor)-1], "one bit off": string(last), "longer": cursor + "A", "a word": "next",
		"1": "1", "not base64": "%00", "zeros": base64.RawURLEncoding.EncodeToString(make([]byte, 40)), "10 kB": strings.Repeat("A", 10<<10), "padded": cursor + "=",
	} {
		t.Run(name, func(t *testing.T) {
			got := h.get("/v1/tasks?target=moodboard:42&cursor=" + forged)
			if got.Problem(t, 400, task.CodeInvalidRequest); !strings.Contains(got.Body, "invalid_cursor") {
				t.Errorf("%s", got.Body)
			}
		})
	}
	if got := h.get("/v1/tasks?target=moodboard:42&cursor=" + cursor); got.Status != 200 {
		t.Errorf("the genuine one: %d", got.Status)
	}
}

// Parameters that a list does not know are refused, not ignored.
func TestListQuery(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x := h.addRow("ada", h.succeeded)
	long := strings.Repeat("x", 129)
	for query, status := range map[string]int{
		"target=moodboard:42": 200, "target=a:b:c": 200, "target=moodboard:" + long[1:]: 200, "target=moodboard:42&limit=1": 200, "target=moodboard:42&limit=100": 200,
		"ids=" + x.ID + "&wait=1": 200, "ids=": 200,
		"": 400, "target=": 400, "target=moodboard": 400, "target=moodboard:": 400, "target=:42": 400, "target=Moodboard:42": 400, "target=moodboard:a%20b": 400,
		"target=moodboard:%00": 400, "target=moodboard:" + long: 400, "target=moodboard%2342": 400,
		"target=moodboard:42&limit=0": 400, "target=moodboard:42&limit=101": 400, "target=moodboard:42&limit=x": 400, "target=moodboard:42&limit=": 400,
		"target=moodboard:42&limit=-1": 400, "target=moodboard:42&wait=5": 400, "target=moodboard:42&target=moodboard:42": 400, "limit=5": 400, "cursor=x": 400, "wait=5": 400,
		"ids=" + x.ID + "&target=moodboard:42": 400, "ids=" + x.ID + "&limit=5": 400, "ids=" + x.ID + "&cursor=x": 400, "ids=" + x.ID + "&ids=" + x.ID: 400,
		"ids=" + x.ID + "&wait=0": 400, "ids=" + x.ID + "&wait=21": 400, "ids=" + x.ID + "&wait=x": 400,
		"owner=bob": 400, "target=moodboard:42&owner=bob": 400, "ids=" + x.ID + "&status=failed": 400, "IDS=" + x.ID: 400, "ids=%zz": 400,
	} {
		t.Run(query, func(t *testing.T) {
			got := h.get("/v1/tasks?" + query)
			if status == 400 {
				got.Problem(t, 400, task.CodeInvalidRequest)
			} else if got.Status != status {
				t.Errorf("%d %s, want %d", got.Status, got.Body, status)
			}
		})
	}
}
