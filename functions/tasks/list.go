package tasks

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

const (
	maxIDs = 50

	// maxPage limits the body of a page with more than maxIDs tasks, which can
	// reach 5 MB. Lambda returns at most 6 MiB, and encodes the body as a JSON
	// string, which can double its size.
	maxPage = 3 << 20

	// maxEmpty is how many pages without a task one request passes over. Only
	// tasks that an older release deleted, or that are deleted right now, make
	// a page empty.
	maxEmpty = 20
)

// taskPage is the body of GET /v1/tasks.
type taskPage struct {
	Tasks  []httpapi.Task `json:"tasks"`
	Cursor string         `json:"cursor,omitempty"`
}

// pageParameters select a page of the caller's tasks. They do not go with ids.
var pageParameters = []string{"target", "since", "limit", "cursor"}

func (f Function) list(r *http.Request, owner string) (httpapi.Answer, error) {
	q, err := httpapi.Query(r, append(pageParameters, "ids", "wait")...)
	if err != nil {
		return httpapi.Answer{}, err
	}
	wait, err := httpapi.QueryInt(q, "wait", 0, 1, maxWait)
	if err != nil {
		return httpapi.Answer{}, err
	}
	if q.Has("ids") {
		ids, err := parseIDs(q)
		if err != nil {
			return httpapi.Answer{}, err
		}
		return f.watch(r, wait, func(ctx context.Context) (snapshot, error) { return f.listIDs(ctx, owner, ids, "") })
	}
	if wait > 0 {
		return httpapi.Answer{}, badQuery("wait", "Waiting needs ids.")
	}
	page, err := f.parsePage(q, owner)
	if err != nil {
		return httpapi.Answer{}, err
	}
	return f.watch(r, 0, func(ctx context.Context) (snapshot, error) { return f.listPage(ctx, page) })
}

func parseIDs(q url.Values) ([]string, error) {
	for _, name := range pageParameters {
		if q.Has(name) {
			return nil, badQuery(name, fmt.Sprintf("ids already names the tasks: leave out %s, or ids.", name))
		}
	}
	ids := strings.Split(q.Get("ids"), ",")
	if len(ids) > maxIDs {
		return nil, badQuery("ids", fmt.Sprintf("At most %d ids at a time.", maxIDs))
	}
	return ids, nil
}

func (f Function) parsePage(q url.Values, owner string) (task.Query, error) {
	limit, err := httpapi.QueryInt(q, "limit", 50, 1, 100)
	if err != nil {
		return task.Query{}, err
	}
	page := task.Query{Owner: owner, Limit: limit, Cursor: q.Get("cursor")}
	if q.Has("target") {
		target, ok := task.ParseTarget(q.Get("target"))
		if !ok {
			return task.Query{}, badQuery("target", "Give target=KIND:ID, such as moodboard:42.")
		}
		page.Target = &target
	}
	if q.Has("since") {
		if page.Since, err = parseTime(q.Get("since")); err != nil {
			return task.Query{}, badQuery("since", "Give a time with its zone, such as 2026-11-29T08:30:00Z.")
		}
		if page.Since.After(f.Now()) {
			return task.Query{}, badQuery("since", "This time is in the future: give one that has passed.")
		}
	}
	return page, nil
}

// parseTime reads an RFC 3339 time. Its zone may lack the colon, as the clients of
// openapi-generator send it, and its + may be a space, if it was not escaped.
func parseTime(text string) (time.Time, error) {
	text = strings.Replace(text, " ", "+", 1)
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t, err = time.Parse("2006-01-02T15:04:05Z0700", text)
	}
	return t, err
}

// badQuery returns the error of a parameter of the query.
func badQuery(name, message string) error {
	return task.Malformed(task.Field{Pointer: "/" + name, Code: "invalid", Message: message})
}

// listPage reads a page of an owner's tasks. If the page would be too long for Lambda,
// it halves the limit and reads again.
func (f Function) listPage(ctx context.Context, q task.Query) (snapshot, error) {
	for empty := 0; ; {
		ids, next, err := f.Store.List(ctx, q)
		if err != nil {
			return snapshot{}, storeError(err)
		}
		s, err := f.listIDs(ctx, q.Owner, ids, next)
		if err != nil {
			return snapshot{}, err
		}
		if len(s.rows) == 0 && next != "" && empty < maxEmpty {
			empty++
			q.Cursor = next
			continue
		}
		if q.Limit <= maxIDs {
			return s, nil
		}
		if body, err := httpapi.Encode(s.body()); err != nil || len(body) <= maxPage {
			return s, err
		}
		q.Limit /= 2
	}
}

// listIDs reads the tasks among ids that belong to owner.
func (f Function) listIDs(ctx context.Context, owner string, ids []string, cursor string) (snapshot, error) {
	valid := make([]string, 0, len(ids))
	for _, id := range ids {
		if task.ValidID(id) {
			valid = append(valid, id)
		}
	}
	found, err := f.Store.Tasks(ctx, valid)
	if err != nil {
		return snapshot{}, storeError(err)
	}
	page := taskPage{Tasks: []httpapi.Task{}, Cursor: cursor}
	rows := found[:0]
	for _, t := range found {
		if t.Owner != owner || t.Deleted() {
			continue
		}
		shown, err := f.View.ListItem(ctx, t)
		if err != nil {
			return snapshot{}, err
		}
		rows = append(rows, t)
		page.Tasks = append(page.Tasks, shown)
	}
	return snapshot{page: page, rows: rows}, nil
}
