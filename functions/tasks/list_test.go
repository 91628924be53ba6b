package tasks_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
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

// pages reads a list to its end and returns the ids. query has a limit.
func (h *harness) pages(t *testing.T, query string, limit int) (all []string) {
	t.Helper()
	cursor := ""
	for range 20 {
		ids, next := h.get(fmt.Sprintf("/v1/tasks?%slimit=%d%s", query, limit, cursor)).list(t)
		if len(ids) > limit {
			t.Fatalf("a page of %d", len(ids))
		}
		if all = append(all, ids...); next == "" {
			return all
		}
		cursor = "&cursor=" + url.QueryEscape(next)
	}
	t.Fatalf("it does not end: %v", all)
	return nil
}

// A target's tasks are the caller's own, newest first, in pages. Without a target it is
// all of them.
func TestByTarget(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	none := h.addRow("ada").ID
	want := h.addTargetRows("ada", board, 7)
	h.addTargetRows("bob", board, 3)
	others := h.addTargetRows("ada", task.Target{Kind: "moodboard", ID: "43"}, 1)
	others = append(h.addTargetRows("ada", task.Target{Kind: "showcase", ID: "42"}, 1), others...)
	h.Clock.Add(time.Second)
	newest := h.addRow("ada").ID
	all := slices.Concat([]string{newest}, others, want, []string{none})
	for _, limit := range []int{1, 2, 3, 6, 7, 8, 10, 11, 100} {
		t.Run(fmt.Sprint(limit, " at a time"), func(t *testing.T) {
			if got := h.pages(t, "target=moodboard:42&", limit); !slices.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
			if got := h.pages(t, "", limit); !slices.Equal(got, all) {
				t.Errorf("all: %v, want %v", got, all)
			}
		})
	}
	if ids, _ := h.get("/v1/tasks?target=moodboard:42").list(t); !slices.Equal(ids, want) {
		t.Errorf("without a limit: %v", ids)
	}
	if ids, _ := h.get("/v1/tasks").list(t); !slices.Equal(ids, all) {
		t.Errorf("all without a limit: %v", ids)
	}
	if ids, cursor := h.get("/v1/tasks?target=showcase:nothing").list(t); len(ids) != 0 || cursor != "" {
		t.Errorf("an empty target: %v %q", ids, cursor)
	}
	h.token = h.identity.Token("bob")
	for _, path := range []string{"/v1/tasks?target=moodboard:42", "/v1/tasks"} {
		if ids, _ := h.get(path).list(t); len(ids) != 3 {
			t.Errorf("%s: bob has %v", path, ids)
		}
	}
	h.token = h.identity.Token("eve")
	if ids, cursor := h.get("/v1/tasks").list(t); len(ids) != 0 || cursor != "" {
		t.Errorf("eve has %v %q", ids, cursor)
	}
}

// A list has every task exactly once, also one that was moved; a deleted one never.
func TestAllAfterChanges(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	want := h.addTargetRows("ada", board, 3)
	moved := h.addRow("ada").ID
	want = append([]string{moved}, want...)
	gone := h.addRow("ada", h.succeeded).ID
	h.send("PUT", "/v1/tasks/"+moved+"/target", `{"kind":"showcase","id":"7"}`).task(t)
	h.send("PUT", "/v1/tasks/"+want[2]+"/target", `{"kind":"showcase","id":"7"}`).task(t)
	if got := h.send("DELETE", "/v1/tasks/"+gone, ""); got.Status != 204 {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	for _, limit := range []int{1, 2, 4, 100} {
		got := h.pages(t, "", limit)
		slices.Sort(got[:min(2, len(got))]) // moved and the newest of the board are of the same time
		slices.Sort(want[:2])
		if !slices.Equal(got, want) {
			t.Errorf("limit %d: %v, want %v", limit, got, want)
		}
	}
}

// ?since= selects by the time of creation, with or without a target. The next page may
// have another.
func TestSince(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	begin := h.Now()
	ids := h.addTargetRows("ada", board, 4) // a second apart, the oldest after a second
	for query, want := range map[string][]string{
		"since=" + at(begin):                                       ids,
		"since=" + at(begin.Add(time.Second)):                      ids,
		"since=" + at(begin.Add(2*time.Second)):                    ids[:3],
		"since=" + at(begin.Add(4*time.Second)):                    ids[:1],
		"target=moodboard:42&since=" + at(begin.Add(3e9)):          ids[:2],
		"target=moodboard:43&since=" + at(begin):                   nil,
		"since=0000-01-01T00:00:00Z":                               ids,
		"since=" + at(begin.Add(2e9).In(time.FixedZone("", -9e3))): ids[:3],
	} {
		t.Run(query, func(t *testing.T) {
			for _, limit := range []int{1, 2, 100} {
				if got := h.pages(t, query+"&", limit); !slices.Equal(got, want) {
					t.Errorf("limit %d: %v, want %v", limit, got, want)
				}
			}
		})
	}
	_, cursor := h.get("/v1/tasks?limit=1").list(t)
	if got, _ := h.get("/v1/tasks?cursor=" + cursor + "&since=" + at(begin.Add(3*time.Second))).list(t); !slices.Equal(got, ids[1:2]) {
		t.Errorf("the next page: %v, want %v", got, ids[1:2])
	}
	if got, next := h.get("/v1/tasks?cursor=" + cursor + "&since=" + at(begin.Add(4*time.Second))).list(t); len(got) != 0 || next != "" {
		t.Errorf("the next page of a range that has ended: %v, %q", got, next)
	}
}

func at(x time.Time) string { return url.QueryEscape(x.Format(time.RFC3339Nano)) }

// A page may be short and still have a cursor, because some of its tasks are gone when
// they are read. Empty pages are passed over, but not without end.
func TestShortPage(t *testing.T) {
	t.Parallel()
	for _, list := range []string{"target=moodboard:42&", ""} {
		h := newHarness(t)
		want := h.addTargetRows("ada", board, 30)
		h.Rows.Store = staleIndex{h.Rows.Store, want}
		gone := func(from, to int) {
			for _, id := range want[from:to] {
				h.change(id, func(x *task.Task) error { x.DeletedAt = h.Now(); return nil })
			}
		}
		gone(1, 2)
		ids, cursor := h.get("/v1/tasks?" + list + "limit=2").list(t)
		if !slices.Equal(ids, want[:1]) || cursor == "" {
			t.Errorf("%v %q; want %v and a cursor", ids, cursor, want[:1])
		}
		gone(2, 20)
		if ids, _ := h.get("/v1/tasks?" + list + "limit=2&cursor=" + cursor).list(t); !slices.Equal(ids, want[20:22]) {
			t.Errorf("after empty pages: %v, want %v", ids, want[20:22])
		}
		gone(20, 29)
		gone(0, 1)
		before := h.Rows.Count("list")
		ids, cursor = h.get("/v1/tasks?" + list + "limit=1").list(t)
		if n := h.Rows.Count("list") - before; len(ids) != 0 || cursor == "" || n != 21 {
			t.Errorf("after %d empty pages: %v %q; want nothing and a cursor", n, ids, cursor)
		}
		if got := h.pages(t, list, 1); !slices.Equal(got, want[29:]) {
			t.Errorf("%v, want %v", got, want[29:])
		}
		if got := h.pages(t, list, 100); !slices.Equal(got, want[29:]) {
			t.Errorf("%v, want %v", got, want[29:])
		}
	}
}

// staleIndex is a store whose lists have certain ids, also of tasks that are deleted.
// Its cursors are places in the list.
type staleIndex struct {
	task.Store
	ids []string
}

func (s staleIndex) List(_ context.Context, q task.Query) (ids []string, next string, err error) {
	from, _ := strconv.Atoi(q.Cursor)
	to := min(from+q.Limit, len(s.ids))
	if to < len(s.ids) {
		next = strconv.Itoa(to)
	}
	return s.ids[from:to], next, nil
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
	first := func(owner, list string) string {
		t.Helper()
		h.token = h.identity.Token(owner)
		_, cursor := h.get("/v1/tasks?limit=1" + list).list(t)
		if cursor == "" {
			t.Fatal("no cursor")
		}
		return cursor
	}
	const ofBoard = "&target=moodboard:42"
	for list, others := range map[string]map[string]string{
		ofBoard: {"another target's": first("ada", "&target=moodboard:43"), "that of all": first("ada", ""), "bob's": first("bob", ofBoard), "bob's of all": first("bob", "")},
		"":      {"a target's": first("ada", ofBoard), "bob's": first("bob", "")},
	} {
		cursor := first("ada", list)
		last := []byte(cursor)
		last[len(last)/2] ^= 1
		for name, forged := range map[string]string{
			"cut": cursor[:len(cursor)-1], "one bit off": string(last), "longer": cursor + "A", "a word": "next",
			"1": "1", "not base64": "%00", "zeros": base64.RawURLEncoding.EncodeToString(make([]byte, 40)), "10 kB": strings.Repeat("A", 10<<10), "padded": cursor + "=",
		} {
			others[name] = forged
		}
		for name, forged := range others {
			t.Run(name+list, func(t *testing.T) {
				got := h.get("/v1/tasks?cursor=" + forged + list)
				if fault := got.fault(t); fault.Pointer != "/cursor" || fault.Code != "invalid_cursor" {
					t.Errorf("%s", got.Body)
				}
			})
		}
		if got := h.get("/v1/tasks?cursor=" + cursor + list); got.Status != 200 {
			t.Errorf("the genuine one: %d", got.Status)
		}
	}
}

// Parameters that a list does not know are refused, not ignored. The problem points to
// the one at fault.
func TestListQuery(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x := h.addRow("ada", h.succeeded)
	long := strings.Repeat("x", 129)
	now := h.Now()
	for query, fault := range map[string]string{
		"": "", "target=moodboard:42": "", "target=a:b:c": "", "target=moodboard:" + long[1:]: "", "target=moodboard:42&limit=1": "", "target=moodboard:42&limit=100": "",
		"limit=5": "", "cursor=": "", "ids=" + x.ID + "&wait=1": "", "ids=": "", "since=" + at(now): "", "target=moodboard:42&since=2026-01-02T03:04:05.678%2B02:00": "", "since=2026-01-02T03:04:05+02:00": "", "since=2026-01-02T03:04:05.678%2B0200": "",
		"target=": "/target", "target=moodboard": "/target", "target=moodboard:": "/target", "target=:42": "/target", "target=Moodboard:42": "/target", "target=moodboard:a%20b": "/target",
		"target=moodboard:%00": "/target", "target=moodboard:" + long: "/target", "target=moodboard%2342": "/target",
		"limit=0": "/limit", "target=moodboard:42&limit=101": "/limit", "limit=x": "/limit", "target=moodboard:42&limit=": "/limit", "limit=-1": "/limit",
		"target=moodboard:42&wait=5": "/wait", "wait=5": "/wait", "target=moodboard:42&target=moodboard:42": "/target", "cursor=x": "/cursor",
		"since=": "/since", "since=now": "/since", "since=1773480413": "/since", "since=2026-11-29": "/since", "since=2026-11-29T08:30:00": "/since", "since=2026-02-30T00:00:00Z": "/since",
		"since=2026-01-02+03:04:05Z": "/since", "since=%00": "/since", "since=10000-01-01T00:00:00Z": "/since",
		"since=" + at(now.Add(time.Millisecond)): "/since", "target=moodboard:42&since=9999-12-31T23:59:59Z": "/since", "since=" + at(now) + "&since=" + at(now): "/since",
		"ids=" + x.ID + "&target=moodboard:42": "/target", "ids=" + x.ID + "&limit=5": "/limit", "ids=" + x.ID + "&cursor=x": "/cursor", "ids=" + x.ID + "&ids=" + x.ID: "/ids",
		"ids=" + x.ID + "&since=" + at(now): "/since", "ids=" + x.ID + "&since=x": "/since", "ids=" + strings.Repeat(x.ID+",", 50): "/ids",
		"ids=" + x.ID + "&wait=0": "/wait", "ids=" + x.ID + "&wait=21": "/wait", "ids=" + x.ID + "&wait=x": "/wait",
		"owner=bob": "/owner", "target=moodboard:42&owner=bob": "/owner", "ids=" + x.ID + "&status=failed": "/status", "IDS=" + x.ID: "/IDS", "Since=2026-01-02T03:04:05Z": "/Since", "ids=%zz": "whole",
	} {
		t.Run(query, func(t *testing.T) {
			got := h.get("/v1/tasks?" + query)
			if fault == "" {
				if got.Status != 200 {
					t.Errorf("%d %s", got.Status, got.Body)
				}
				return
			}
			if found := got.fault(t); found.Pointer != strings.TrimSuffix(fault, "whole") || found.Message == "" {
				t.Errorf("it is %+v, want %q", found, fault)
			}
		})
	}
}
