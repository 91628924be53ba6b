// Package taskdb is the DynamoDB Store: the only package that writes the table.
//
// All rows are in one table, by id:
//
//	task         id, and the Task's own attributes
//	             owner      the index of an owner's tasks, sorted by createdAt
//	             list       owner and target: the index of a target's, sorted by createdAt
//	             wasMadeAt  instead of createdAt once the task is deleted
//	             due        while dueAt is set: the index of due tasks, sorted by dueAt
//	QUOTA#…      used       images of an owner on a day
//	UPLOADS#…    used       uploads of an owner on a day
//	PAUSE        until, postsUntil: for reads, for POSTs; holds: task.Holds as text
//	             forgot, forgot#…: the salt, and until when a hashed owner's orders are refused
//	TIMINGS      kind#slot  seconds that a task of the kind took
//	BALANCE      credits, asOf, level, spend: the result of the last check
//
// expiresAt is DynamoDB's time to live: it deletes counts of a day after 8 days and
// failed tasks after 400. Nothing here reads it.
//
// See docs/decisions/versioned-puts.md, quota.md and due-index.md.
package taskdb

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/preset/nanobanana-functions/shared/aws/env"
	"github.com/preset/nanobanana-functions/shared/task"
)

// requestTimeout is the limit of one request to DynamoDB.
const requestTimeout = 5 * time.Second

// Store is a task.Store. It is safe for concurrent use.
type Store struct {
	client *dynamodb.Client
	table  *string
}

var _ task.Store = (*Store)(nil)

// Open returns the Store in a table, which template.yaml defines.
func Open(table string) *Store { return New(env.Config(requestTimeout), table) }

// New returns the Store in a table, used by a client of this configuration.
func New(c aws.Config, table string) *Store {
	return &Store{client: dynamodb.NewFromConfig(c), table: &table}
}

// Prepare opens the connection that the first request uses: it reads the pauses. So the
// SDK too has done what it does once. It returns soon after ctx ends.
func (s *Store) Prepare(ctx context.Context) error {
	_, err := s.Paused(ctx)
	return err
}

type item = map[string]types.AttributeValue

// Task implements task.Store.
func (s *Store) Task(ctx context.Context, id string) (*task.Task, error) {
	row, err := s.read(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case row == nil:
		return nil, task.ErrNotFound
	}
	return fromItem(row)
}

// read reads a row consistently. It returns nil if there is none.
func (s *Store) read(ctx context.Context, id string) (item, error) {
	got, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: s.table, Key: key(id), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, translate("read", err)
	}
	return got.Item, nil
}

// batchTries is how many times a batch is requested until all of it is read.
const batchTries = 5

// Tasks implements task.Store.
func (s *Store) Tasks(ctx context.Context, ids []string) ([]*task.Task, error) {
	var keys []item
	for i, id := range ids {
		if !slices.Contains(ids[:i], id) {
			keys = append(keys, key(id))
		}
	}
	found := map[string]*task.Task{}
	for try := 1; len(keys) > 0; try++ {
		if try > batchTries {
			return nil, translate("read tasks", errThrottled)
		}
		if err := backOff(ctx, try-1); err != nil {
			return nil, err
		}
		got, err := s.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
			RequestItems: map[string]types.KeysAndAttributes{*s.table: {Keys: keys, ConsistentRead: aws.Bool(true)}},
		})
		if err != nil {
			return nil, translate("read tasks", err)
		}
		for _, row := range got.Responses[*s.table] {
			t, err := fromItem(row)
			if err != nil {
				return nil, err
			}
			found[t.ID] = t
		}
		keys = got.UnprocessedKeys[*s.table].Keys
	}
	var tasks []*task.Task
	for _, id := range ids {
		if t := found[id]; t != nil {
			tasks = append(tasks, t)
			delete(found, id)
		}
	}
	return tasks, nil
}

// List implements task.Store. An index of lists is named after its partition key, and
// each list is a partition.
func (s *Store) List(ctx context.Context, q task.Query) (ids []string, next string, err error) {
	index, list := indexOwner, q.Owner
	if q.Target != nil {
		index, list = indexList, listKey(q.Owner, *q.Target)
	}
	since := formatTime(q.Since)
	var after item
	if q.Cursor != "" {
		if after, err = readCursor(index, list, q.Cursor); err != nil {
			return nil, "", err
		}
		if textOf(after, attrCreatedAt) < since {
			return nil, "", nil // DynamoDB refuses to start outside of the range
		}
	}
	page, err := s.client.Query(ctx, &dynamodb.QueryInput{
		TableName: s.table, IndexName: &index,
		KeyConditionExpression:    aws.String("#list = :list AND #createdAt >= :since"),
		ExpressionAttributeNames:  map[string]string{"#list": index, "#createdAt": attrCreatedAt},
		ExpressionAttributeValues: item{":list": text(list), ":since": text(since)},
		ScanIndexForward:          aws.Bool(false),
		Limit:                     aws.Int32(int32(max(q.Limit, 1))),
		ExclusiveStartKey:         after,
	})
	if err != nil {
		return nil, "", translate("list", err)
	}
	for _, row := range page.Items {
		ids = append(ids, textOf(row, attrID))
	}
	if len(page.LastEvaluatedKey) > 0 {
		next = newCursor(list, page.LastEvaluatedKey)
	}
	return ids, next, nil
}

// duePageSize is how many ids one query returns.
const duePageSize = 100

// Due implements task.Store.
func (s *Store) Due(ctx context.Context, now time.Time) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		seen := map[string]bool{} // a row that is written in between may be due again
		for after := item(nil); ; {
			page, err := s.duePage(ctx, now, after, duePageSize)
			if err != nil {
				yield("", err)
				return
			}
			for _, row := range page.Items {
				id := textOf(row, attrID)
				if !seen[id] && !yield(id, nil) {
					return
				}
				seen[id] = true
			}
			if after = page.LastEvaluatedKey; len(after) == 0 {
				return
			}
		}
	}
}

// DuePage implements task.Store.
func (s *Store) DuePage(ctx context.Context, after task.DueEntry, limit int) ([]task.DueEntry, error) {
	var start item
	if after != (task.DueEntry{}) {
		start = item{attrDue: text(isDue), attrDueAt: text(formatTime(after.At)), attrID: text(after.ID)}
	}
	page, err := s.duePage(ctx, endOfTime, start, limit)
	if err != nil {
		return nil, err
	}
	var entries []task.DueEntry
	for _, row := range page.Items {
		at, err := time.Parse(timeLayout, textOf(row, attrDueAt))
		if err != nil {
			return nil, fmt.Errorf("taskdb: the index of due tasks: %w", err)
		}
		entries = append(entries, task.DueEntry{At: at, ID: textOf(row, attrID)})
	}
	return entries, nil
}

// endOfTime is later than all times that are stored.
var endOfTime = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// duePage reads a page of the index of due tasks, of times that are not after now.
func (s *Store) duePage(ctx context.Context, now time.Time, after item, limit int) (*dynamodb.QueryOutput, error) {
	page, err := s.client.Query(ctx, &dynamodb.QueryInput{
		TableName: s.table, IndexName: aws.String(indexDue),
		KeyConditionExpression:    aws.String("#due = :due AND #dueAt <= :now"),
		ExpressionAttributeNames:  map[string]string{"#due": attrDue, "#dueAt": attrDueAt},
		ExpressionAttributeValues: item{":due": text(isDue), ":now": text(formatTime(now))},
		Limit:                     aws.Int32(int32(limit)),
		ExclusiveStartKey:         after,
	})
	return page, translate("read due tasks", err)
}

// UsedImages implements task.Store.
func (s *Store) UsedImages(ctx context.Context, owner, day string) (int, error) {
	used, err := s.readNumber(ctx, quotaID(owner, day), attrUsed)
	return max(0, int(used)), err
}

// CountUpload implements task.Store.
func (s *Store) CountUpload(ctx context.Context, owner, day string, limit int) error {
	u := s.addUsed(uploadsID(owner, day), day, 1, limit)
	_, err := s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: u.TableName, Key: u.Key, UpdateExpression: u.UpdateExpression, ConditionExpression: u.ConditionExpression,
		ExpressionAttributeNames: u.ExpressionAttributeNames, ExpressionAttributeValues: u.ExpressionAttributeValues,
	})
	if refused, _ := classify(err); refused != nil {
		return task.ErrQuota
	}
	return translate("count an upload", err)
}

// readNumber reads one number of a row. It returns 0 if there is none.
func (s *Store) readNumber(ctx context.Context, id, name string) (int64, error) {
	row, err := s.read(ctx, id)
	n := numberOf(row, name)
	if err != nil || n == "" {
		return 0, err
	}
	return strconv.ParseInt(n, 10, 64)
}

// errThrottled reports a batch that was not read completely.
var errThrottled = errors.New("throttled")
