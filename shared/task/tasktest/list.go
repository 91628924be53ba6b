package tasktest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// list returns all pages of a list, and fails the test if a page is too long.
func list(t *testing.T, s task.Store, q task.Query) (all []string) {
	t.Helper()
	for pages := 0; ; pages++ {
		ids, next, err := s.List(t.Context(), q)
		if err != nil || len(ids) > q.Limit || pages > maxPages {
			t.Fatalf("page %d: %d ids, %v", pages, len(ids), err)
		}
		all = append(all, ids...)
		if next == "" {
			return all
		}
		q.Cursor = next
	}
}

const maxPages = 20_000 // more than any list has

// of returns the query for a target's tasks, or with nil for all of an owner's.
func of(owner string, x *task.Target, limit int, cursor string) task.Query {
	return task.Query{Owner: owner, Target: x, Limit: limit, Cursor: cursor}
}

var showcase = task.Target{Kind: "showcase", ID: "7"}

func noTarget(d *task.Draft) { d.Request.Target = nil }

func deleted(x *task.Task) error {
	if err := refused(x); err != nil {
		return err
	}
	return x.Delete(task.DefaultRules(), start.Add(time.Minute))
}

func testList(t *testing.T, h Harness) {
	var adas, all []string
	add := func(change ...func(*task.Draft)) {
		all = append(all, create(t, h.Store, start.Add(time.Duration(len(all))*time.Second), change...).ID)
	}
	for range 5 {
		add()
	}
	adas = slices.Clone(all)
	create(t, h.Store, start, owner("bob"))
	add(target(task.Target{Kind: "moodboard", ID: "4"}))
	add(target(task.Target{Kind: "moodboard", ID: "42:"}))
	add(target(task.Target{Kind: "showcase", ID: "42"}))
	add(noTarget)
	// Owner and target that are the same only when joined.
	add(target(task.Target{Kind: "moodboard4", ID: "2"}))
	create(t, h.Store, start, owner("adam"), target(task.Target{Kind: "oodboard", ID: "42"}))
	create(t, h.Store, start, owner("3|ada|moodboard:42"), noTarget)
	slices.Reverse(adas)
	slices.Reverse(all)
	for name, c := range map[string]struct {
		q    task.Query
		want []string
	}{
		"of a target": {of("ada", &board, 100, ""), adas}, "all": {of("ada", nil, 100, ""), all}, "no limit": {of("ada", nil, 0, ""), all[:1]},
		"a stranger's": {of("eve", &board, 100, ""), nil}, "all of a stranger": {of("eve", nil, 100, ""), nil},
		"an unused target": {of("ada", &showcase, 100, ""), nil},
	} {
		if got, _, err := h.Store.List(t.Context(), c.q); !slices.Equal(got, c.want) || err != nil {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, c.want)
		}
	}
}

// testListPages reads pages while tasks are created: each that existed at the beginning
// comes exactly once.
func testListPages(t *testing.T, h Harness) {
	var adas []string
	for n := range 25 {
		adas = append(adas, create(t, h.Store, start.Add(time.Duration(n/5)*time.Second)).ID) // five at each time
	}
	for _, x := range []*task.Target{&board, nil} {
		for _, limit := range []int{1, 7, 25, 100} {
			got := list(t, h.Store, of("ada", x, limit, ""))
			if len(got) != 25 {
				t.Errorf("limit %d: %d ids", limit, len(got))
			}
			slices.Sort(got)
			if want := slices.Sorted(slices.Values(adas)); !slices.Equal(got, want) {
				t.Errorf("limit %d: not every task exactly once", limit)
			}
		}
	}
}

// testListChanged changes tasks between two pages: the second page goes on where the
// first ended.
func testListChanged(t *testing.T, h Harness) {
	var adas []*task.Task
	for n := range 25 {
		adas = append(adas, create(t, h.Store, start.Add(time.Duration(n/5)*time.Second)))
	}
	for n, x := range []*task.Target{&board, nil} {
		ids, cursor, err := h.Store.List(t.Context(), of("ada", x, 10, ""))
		if err != nil || cursor == "" {
			t.Fatal(ids, cursor, err)
		}
		create(t, h.Store, start.Add(time.Duration(n+1)*time.Hour))
		update(t, h.Store, adas[20+n], accepted)
		update(t, h.Store, read(t, h.Store, ids[9]), deleted) // the last of the page
		rest, _, err := h.Store.List(t.Context(), of("ada", x, 100, cursor))
		if err != nil || len(rest) != 15 {
			t.Errorf("after the page: %d ids, %v; want 15", len(rest), err)
		}
	}
}

// testListSince lists tasks that were created at a time or later. The range may change
// from page to page.
func testListSince(t *testing.T, h Harness) {
	var all []string
	at := func(n int) time.Time { return start.Add(time.Duration(n) * time.Millisecond) }
	for n := range 10 {
		var change []func(*task.Draft)
		if n%2 == 1 {
			change = append(change, noTarget)
		}
		all = append(all, create(t, h.Store, at(n), change...).ID)
	}
	create(t, h.Store, at(9), owner("bob"))
	slices.Reverse(all)
	boards := slices.DeleteFunc(slices.Clone(all), func(id string) bool { return read(t, h.Store, id).Target == nil })
	for name, c := range map[string]struct {
		since       time.Time
		all, boards int
	}{
		"ever": {time.Time{}, 10, 5}, "in the year 1": {time.Time{}.Add(time.Hour), 10, 5}, "before Christ": {time.Time{}.AddDate(-3, 0, 0), 10, 5},
		"the first": {at(0), 10, 5}, "the second": {at(1), 9, 4}, "within a millisecond": {at(1).Add(999 * time.Microsecond), 9, 4},
		"elsewhere": {at(8).In(time.FixedZone("", 7200)), 2, 1}, "the last": {at(9), 1, 0}, "later": {at(10), 0, 0},
	} {
		for _, limit := range []int{1, 2, 9, 10, 100} {
			for x, want := range map[*task.Target][]string{nil: all[:c.all], &board: boards[:c.boards]} {
				q := of("ada", x, limit, "")
				q.Since = c.since
				if got := list(t, h.Store, q); !slices.Equal(got, want) {
					t.Errorf("since %s, limit %d, %v: %v, want %v", name, limit, x, got, want)
				}
			}
		}
	}
	_, cursor, err := h.Store.List(t.Context(), of("ada", nil, 5, ""))
	if err != nil {
		t.Fatal(err)
	}
	for since, want := range map[int][]string{3: all[5:7], 4: all[5:6], 5: nil, 9: nil} {
		q := of("ada", nil, 100, cursor)
		q.Since = at(since)
		if got := list(t, h.Store, q); !slices.Equal(got, want) {
			t.Errorf("the next page since %d: %v, want %v", since, got, want)
		}
	}
}

// testListCursor uses cursors that List did not return for the list: none shows another
// list.
func testListCursor(t *testing.T, h Harness) {
	cursors := map[task.Query]string{}
	for _, o := range []string{"ada", "bob"} {
		for _, x := range []*task.Target{&board, &showcase} {
			for range 3 {
				create(t, h.Store, start, owner(o), target(*x))
			}
			cursors[of(o, x, 1, "")] = ""
		}
		cursors[of(o, nil, 1, "")] = ""
	}
	for q := range cursors {
		var err error
		if _, cursors[q], err = h.Store.List(t.Context(), q); err != nil || cursors[q] == "" {
			t.Fatal(cursors[q], err)
		}
	}
	for q := range cursors {
		for from, cursor := range cursors {
			q.Cursor = cursor
			if _, _, err := h.Store.List(t.Context(), q); from == of(q.Owner, q.Target, 1, "") && err != nil || from != of(q.Owner, q.Target, 1, "") && !errors.Is(err, task.ErrCursor) {
				t.Errorf("the cursor of %v for %v: %v", from, q, err)
			}
		}
		for _, forged := range []string{"x", "!", q.Cursor[:len(q.Cursor)-1], q.Cursor + "A", "../..", base64.RawURLEncoding.EncodeToString([]byte("QUOTA#bob")), "\x00"} {
			q.Cursor = forged
			if _, _, err := h.Store.List(t.Context(), q); !errors.Is(err, task.ErrCursor) {
				t.Errorf("cursor %q: %v, want ErrCursor", forged, err)
			}
		}
	}
}

// testListDeleted deletes a task: it is no longer in any list, also not after later
// writes, and the row still knows when it was created.
func testListDeleted(t *testing.T, h Harness) {
	kept, gone := create(t, h.Store, start), create(t, h.Store, start.Add(time.Second))
	gone = update(t, h.Store, gone, deleted)
	for range 2 {
		for _, x := range []*task.Target{&board, nil} {
			if got := list(t, h.Store, of("ada", x, 10, "")); !slices.Equal(got, []string{kept.ID}) {
				t.Errorf("got %v, want only %s", got, kept.ID)
			}
		}
		same(t, "the row", read(t, h.Store, gone.ID), gone)
		gone = update(t, h.Store, gone, func(x *task.Task) error {
			x.Erased(start.Add(time.Hour))
			return nil
		})
	}
	if owner, ok, err := h.Attribute(t.Context(), gone.ID, "owner"); ok || err != nil {
		t.Errorf("after the erase the row has the owner %q, %v", owner, err)
	}
}

// testListRetargeted changes the targets of tasks: each task is only in the list of its
// current target, in the order of creation, and stays in the list of all. The last task
// of a page may leave the list.
func testListRetargeted(t *testing.T, h Harness) {
	to := func(x task.Target) func(*task.Task) error {
		return func(t *task.Task) error { return t.SetTarget(task.Rules{}, x, start.Add(time.Hour)) }
	}
	older := create(t, h.Store, start, target(showcase))
	moved := create(t, h.Store, start.Add(time.Second))
	kept := create(t, h.Store, start.Add(2*time.Second))
	newer := create(t, h.Store, start.Add(3*time.Second), target(showcase))
	none := create(t, h.Store, start.Add(4*time.Second), noTarget)
	_, cursor, err := h.Store.List(t.Context(), of("ada", &board, 1, "")) // it ends with kept
	if err != nil || cursor == "" {
		t.Fatal(cursor, err)
	}

	update(t, h.Store, kept, to(board)) // its own target
	update(t, h.Store, none, to(board))
	moved = update(t, h.Store, moved, to(showcase))
	same(t, "the row", read(t, h.Store, moved.ID), moved)
	for x, want := range map[task.Target][]string{board: {none.ID, kept.ID}, showcase: {newer.ID, moved.ID, older.ID}} {
		if got := list(t, h.Store, of("ada", &x, 1, "")); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", x, got, want)
		}
	}
	if got := list(t, h.Store, of("bob", &showcase, 10, "")); len(got) != 0 {
		t.Errorf("another owner's list has %v", got)
	}

	update(t, h.Store, kept, to(showcase)) // the last of the page
	if ids, next, err := h.Store.List(t.Context(), of("ada", &board, 10, cursor)); len(ids) != 0 || next != "" || err != nil {
		t.Errorf("after the page: %v, %q, %v; want nothing", ids, next, err)
	}
	update(t, h.Store, moved, accepted) // a later write keeps the target
	if got, want := list(t, h.Store, of("ada", &showcase, 10, "")), []string{newer.ID, kept.ID, moved.ID, older.ID}; !slices.Equal(got, want) {
		t.Errorf("at the end: got %v, want %v", got, want)
	}
	if got, want := list(t, h.Store, of("ada", nil, 2, "")), []string{none.ID, newer.ID, kept.ID, moved.ID, older.ID}; !slices.Equal(got, want) {
		t.Errorf("all: got %v, want %v", got, want)
	}
}

// TestLists compares lists with the truth: it creates random tasks of two owners, nine
// tenths of the first, many in one millisecond, moves and deletes some, and then reads
// all lists with the page sizes from first to 100, step apart.
func TestLists(t *testing.T, s task.Store, tasks, first, step int) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := &listed{t: t, s: s, random: rand.New(rand.NewPCG(seed, 0)), now: start}
	for n := range tasks {
		w.create(n)
		w.change()
	}
	for limit := first; limit <= 100; limit += step {
		for o := range w.live {
			w.check(o, limit)
		}
	}
	t.Logf("%d and %d tasks are left of %d", len(w.live[0]), len(w.live[1]), tasks)
}

// listed is what TestLists has written.
type listed struct {
	t      *testing.T
	s      task.Store
	random *rand.Rand
	now    time.Time
	live   [2][]*task.Task // by owner, the oldest first
}

// owner returns a random owner.
func (w *listed) owner() int {
	if w.random.IntN(10) == 0 {
		return 1
	}
	return 0
}

// pick returns a random target, or nil.
func (w *listed) pick() *task.Target {
	return []*task.Target{nil, nil, &board, &showcase}[w.random.IntN(4)]
}

func (w *listed) create(n int) {
	w.t.Helper()
	o := w.owner()
	if w.random.IntN(10) == 0 {
		w.now = w.now.Add([]time.Duration{time.Millisecond, time.Second, time.Hour}[w.random.IntN(3)])
	}
	x := create(w.t, w.s, w.now, key(fmt.Sprint(n)), owner(fmt.Sprint("owner-", o)), func(d *task.Draft) { d.Request.Target = w.pick() })
	w.live[o] = append(w.live[o], x)
}

// change moves, deletes or otherwise changes a random task, every other time.
func (w *listed) change() {
	w.t.Helper()
	o := w.owner()
	if len(w.live[o]) == 0 || w.random.IntN(2) == 0 {
		return
	}
	n := w.random.IntN(len(w.live[o]))
	switch x := w.live[o][n]; w.random.IntN(3) {
	case 0:
		if to := w.pick(); to != nil {
			w.live[o][n] = update(w.t, w.s, x, func(x *task.Task) error { return x.SetTarget(task.Rules{}, *to, w.now) })
		}
	case 1:
		w.live[o][n] = update(w.t, w.s, x, func(x *task.Task) error { x.Refusals++; return nil })
	default:
		update(w.t, w.s, x, deleted)
		w.live[o] = slices.Delete(w.live[o], n, n+1)
	}
}

// check compares an owner's lists, read with this page size, with the truth.
func (w *listed) check(o, limit int) {
	w.t.Helper()
	since := time.Time{}
	if live := w.live[o]; len(live) > 0 {
		since = live[w.random.IntN(len(live))].CreatedAt
	}
	for _, q := range []task.Query{{}, {Target: &board}, {Target: &showcase}, {Since: since}, {Target: &board, Since: since}} {
		q.Owner, q.Limit = fmt.Sprint("owner-", o), limit
		want := map[string]time.Time{}
		for _, x := range w.live[o] {
			if (q.Target == nil || x.Target != nil && *x.Target == *q.Target) && !x.CreatedAt.Before(q.Since) {
				want[x.ID] = x.CreatedAt
			}
		}
		got := list(w.t, w.s, q)
		last := w.now
		for _, id := range got {
			at, ok := want[id]
			if !ok || at.After(last) {
				w.t.Fatalf("page size %d, %+v: %s is wrong, repeated, or in the wrong place", limit, q, id)
			}
			delete(want, id)
			last = at
		}
		if len(want) > 0 {
			w.t.Fatalf("page size %d, %+v: %d of %d tasks are missing", limit, q, len(want), len(want)+len(got))
		}
	}
}
