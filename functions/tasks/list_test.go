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

// askedFor is a store that remembers which rows it was asked for.
type askedFor struct {
	task.Store
	ids []string
}

func (s *askedFor) Tasks(ctx context.Context, ids []string) ([]*task.Task, error) {
	s.ids = append(s.ids, ids...)
	return s.Store.Tasks(ctx, ids)
}

// Several tasks by their ids: the caller's own, in the order asked for, each once.
func TestByIDs(t *testing.T) {
	t.Parallel()
	s := serve(t)
	a, b, c := s.row("ada").ID, s.row("ada", s.succeeded).ID, s.row("ada", s.accepted).ID
	bobs, deleted, unknown := s.row("bob").ID, s.row("ada", s.deleted).ID, task.NewID("ada", "never")
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
			got := s.get("/v1/tasks?ids=" + strings.ReplaceAll(strings.Join(test.ids, ","), " ", "%20"))
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
	t.Run("what is no id is not for the store to judge", func(t *testing.T) {
		rows := &askedFor{Store: s.Rows}
		s.function.Store = rows
		s.handler = tasks.New(s.function)
		s.ask(t.Context(), "/v1/tasks?ids=x,"+a+",%00,,"+strings.Repeat("a", 5000)).list(t)
		if !slices.Equal(rows.ids, []string{a}) {
			t.Errorf("it was asked for %q", rows.ids)
		}
	})
	t.Run("fifty-one", func(t *testing.T) {
		before := s.Rows.Total()
		s.get("/v1/tasks?ids="+strings.Join(slices.Repeat([]string{a}, 51), ",")).Problem(t, 400, task.CodeInvalidRequest)
		if s.Rows.Total() != before {
			t.Error("the store was asked")
		}
	})
	t.Run("the tag and when to look again are those of all", func(t *testing.T) {
		running, ended := s.get("/v1/tasks?ids="+a+","+b), s.get("/v1/tasks?ids="+b)
		if running.Header.Get("Retry-After") != "3" || ended.Header.Get("Retry-After") != "" {
			t.Errorf("Retry-After %q and %q", running.Header.Get("Retry-After"), ended.Header.Get("Retry-After"))
		}
		if got := s.get("/v1/tasks?ids="+a+","+b, "If-None-Match", running.Header.Get("Etag")); got.Status != 304 || got.Body != "" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		s.change(a, s.accepted)
		if got := s.get("/v1/tasks?ids="+a+","+b, "If-None-Match", running.Header.Get("Etag")); got.Status != 200 {
			t.Errorf("after a change: %d", got.Status)
		}
	})
}

// A list has the beginning of a prompt, cut between characters.
func TestPromptPreview(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for name, test := range map[string]struct{ prompt, want string }{
		"short":        {"a lighthouse", "a lighthouse"},
		"300":          {strings.Repeat("é", 300), strings.Repeat("é", 300)},
		"301":          {strings.Repeat("é", 301), strings.Repeat("é", 300)},
		"5,000 emoji":  {strings.Repeat("🍌", 5000), strings.Repeat("🍌", 300)},
		"a long story": {strings.Repeat("word ", 1000), strings.Repeat("word ", 60)},
	} {
		t.Run(name, func(t *testing.T) {
			target := task.Target{Kind: "moodboard", ID: strings.ReplaceAll(name, " ", "-")}
			x := s.row("ada", func(x *task.Task) error { x.Prompt, x.Target = test.prompt, &target; return nil })
			for _, path := range []string{"?ids=" + x.ID, "?target=" + url.QueryEscape(target.String())} {
				body := s.get("/v1/tasks" + path).Body
				if !strings.Contains(body, fmt.Sprintf(`"prompt":"%s"`, test.want)) || !utf8.ValidString(body) {
					t.Errorf("%s: %.400s", path, body)
				}
			}
			if whole := s.get("/v1/tasks/" + x.ID).task(t).Prompt; whole != test.prompt {
				t.Errorf("alone it has %d characters", utf8.RuneCountInString(whole))
			}
		})
	}
}

var board = task.Target{Kind: "moodboard", ID: "42"}

// A target's tasks: the caller's own, the newest first, page by page.
func TestByTarget(t *testing.T) {
	t.Parallel()
	s := serve(t)
	want := s.rows("ada", board, 7)
	s.rows("bob", board, 3)
	s.rows("ada", task.Target{Kind: "moodboard", ID: "43"}, 1)
	s.rows("ada", task.Target{Kind: "showcase", ID: "42"}, 1)
	s.row("ada")
	for _, limit := range []int{1, 2, 3, 6, 7, 8, 100} {
		t.Run(fmt.Sprint(limit, " at a time"), func(t *testing.T) {
			var got []string
			cursor, pages := "", 0
			for {
				ids, next := s.get(fmt.Sprintf("/v1/tasks?target=moodboard:42&limit=%d%s", limit, cursor)).list(t)
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
	if ids, _ := s.get("/v1/tasks?target=moodboard:42").list(t); !slices.Equal(ids, want) {
		t.Errorf("without a limit: %v", ids)
	}
	if ids, cursor := s.get("/v1/tasks?target=showcase:nothing").list(t); len(ids) != 0 || cursor != "" {
		t.Errorf("an empty target: %v %q", ids, cursor)
	}
	s.token = s.identity.Token("bob")
	if ids, _ := s.get("/v1/tasks?target=moodboard:42").list(t); len(ids) != 3 {
		t.Errorf("bob has %v", ids)
	}
}

// A page may be short, even empty, and still have a cursor: some of its
// tasks are gone by the time they are read.
func TestShortPage(t *testing.T) {
	t.Parallel()
	s := serve(t)
	want := s.rows("ada", board, 4)
	s.Rows.Fail(nil, nil)
	gone := func(x *task.Task) error { x.DeletedAt = s.Now(); return nil } // the index still has it
	for _, id := range want[:2] {
		s.change(id, gone)
	}
	ids, cursor := s.get("/v1/tasks?target=moodboard:42&limit=2").list(t)
	if len(ids) != 0 || cursor == "" {
		t.Errorf("%v %q; want nothing and a cursor", ids, cursor)
	}
	if ids, _ := s.get("/v1/tasks?target=moodboard:42&limit=2&cursor=" + url.QueryEscape(cursor)).list(t); !slices.Equal(ids, want[2:]) {
		t.Errorf("%v, want %v", ids, want[2:])
	}
}

// A page whose tasks are as long as they may be is shorter, and none is left out.
func TestLongPage(t *testing.T) {
	t.Parallel()
	s := serve(t)
	target := task.Target{Kind: "moodboard", ID: "m1"}
	long := map[string]string{}
	for i := range 16 {
		long[fmt.Sprintf("k%d", i)] = strings.Repeat("\x01", 500)
	}
	links := slices.Repeat([]string{"https://example.com/" + strings.Repeat("a", task.MaxURL-20)}, 10)
	for range 101 {
		s.Clock.Add(time.Second)
		s.row("ada", func(x *task.Task) error { x.Target, x.Metadata, x.ImageURLs = &target, long, links; return nil })
	}
	seen := map[string]bool{}
	pages := 0
	for cursor := ""; pages == 0 || cursor != ""; pages++ {
		got := s.get("/v1/tasks?target=moodboard:m1&limit=100&cursor=" + url.QueryEscape(cursor))
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

// A cursor is good for the list it came with, and for nothing else.
func TestForgedCursor(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.rows("ada", board, 3)
	s.rows("ada", task.Target{Kind: "moodboard", ID: "43"}, 3)
	s.rows("bob", board, 3)
	_, cursor := s.get("/v1/tasks?target=moodboard:42&limit=1").list(t)
	_, others := s.get("/v1/tasks?target=moodboard:43&limit=1").list(t)
	ada := s.token
	s.token = s.identity.Token("bob")
	_, bobs := s.get("/v1/tasks?target=moodboard:42&limit=1").list(t)
	s.token = ada
	last := []byte(cursor)
	last[len(last)/2] ^= 1
	for name, forged := range map[string]string{
		"another target's": others, "bob's": bobs, "cut": cursor[:len(cursor)-1], "one bit off": string(last), "longer": cursor + "A", "a word": "next",
		"1": "1", "not base64": "%00", "zeros": base64.RawURLEncoding.EncodeToString(make([]byte, 40)), "10 kB": strings.Repeat("A", 10<<10), "padded": cursor + "=",
	} {
		t.Run(name, func(t *testing.T) {
			got := s.get("/v1/tasks?target=moodboard:42&cursor=" + forged)
			if got.Problem(t, 400, task.CodeInvalidRequest); !strings.Contains(got.Body, "invalid_cursor") {
				t.Errorf("%s", got.Body)
			}
		})
	}
	if got := s.get("/v1/tasks?target=moodboard:42&cursor=" + cursor); got.Status != 200 {
		t.Errorf("the genuine one: %d", got.Status)
	}
}

// What a list does not take is refused, and never passed over.
func TestListQuery(t *testing.T) {
	t.Parallel()
	s := serve(t)
	x := s.row("ada", s.succeeded)
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
			got := s.get("/v1/tasks?" + query)
			if status == 400 {
				got.Problem(t, 400, task.CodeInvalidRequest)
			} else if got.Status != status {
				t.Errorf("%d %s, want %d", got.Status, got.Body, status)
			}
		})
	}
}
