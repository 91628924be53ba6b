package taskdb

import (
	"context"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/preset/nanobanana-functions/shared/aws/env/envtest"
	"github.com/preset/nanobanana-functions/shared/aws/taskdb/taskdbtest"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/task/tasktest"
)

func open(t testing.TB) *Store {
	t.Helper()
	c := envtest.Config(t)
	return New(c, taskdbtest.NewTable(t, c))
}

func TestStore(t *testing.T) {
	tasktest.TestStore(t, func(t *testing.T) tasktest.Harness {
		s := open(t)
		return tasktest.Harness{Store: s, SetAttribute: s.setAttribute, Attribute: s.attribute}
	})
}

// setAttribute writes an attribute into the row as a newer release would.
func (s *Store) setAttribute(ctx context.Context, id, name string, v any) error {
	u := &dynamodb.UpdateItemInput{
		TableName: s.table, Key: key(id), UpdateExpression: aws.String("REMOVE #name"),
		ExpressionAttributeNames: map[string]string{"#name": name},
	}
	if v != nil {
		b, err := json.Marshal(map[string]any{"v": v})
		if err != nil {
			return err
		}
		row, err := attributes(b)
		if err != nil {
			return err
		}
		u.UpdateExpression, u.ExpressionAttributeValues = aws.String("SET #name = :v"), item{":v": row["v"]}
	}
	_, err := s.client.UpdateItem(ctx, u)
	return err
}

func (s *Store) attribute(ctx context.Context, id, name string) (v any, ok bool, err error) {
	row, err := s.read(ctx, id)
	if err != nil || row[name] == nil {
		return nil, false, err
	}
	v, err = fromValue(row[name])
	return v, true, err
}

// TestLists compares lists with the truth. LISTS=full, as in make test-aws, writes 10,000
// tasks. It spreads them and the page sizes over several tables, because the stand-in
// reads the whole table for each page.
func TestLists(t *testing.T) {
	tables, tasks, step := 1, 100, 7
	if os.Getenv("LISTS") == "full" {
		tables, tasks, step = 20, 500, 20
	}
	for n := range tables {
		tasktest.TestLists(t, open(t), tasks, 1+n, step)
	}
}

// DynamoDB refuses to start a query outside of its range, which the stand-in does not: a
// page that would begin there is empty, without a query.
func TestListAfterItsRange(t *testing.T) {
	s, w := openFaulty(t, nil)
	for range 2 {
		if _, err := s.Create(t.Context(), draft(false), 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, target := range []*task.Target{nil, draft(false).Target} {
		q := task.Query{Owner: "ada", Target: target, Limit: 1}
		var err error
		if _, q.Cursor, err = s.List(t.Context(), q); err != nil || q.Cursor == "" {
			t.Fatal(q.Cursor, err)
		}
		before := w.counts["Query"]
		q.Since = start.Add(time.Millisecond)
		if ids, next, err := s.List(t.Context(), q); len(ids) > 0 || next != "" || err != nil || w.counts["Query"] != before {
			t.Errorf("%v, %q, %v after %d queries, want nothing after none", ids, next, err, w.counts["Query"]-before)
		}
		q.Since = start
		if ids, _, err := s.List(t.Context(), q); len(ids) != 1 || err != nil {
			t.Errorf("at the range's beginning: %v, %v", ids, err)
		}
	}
}
