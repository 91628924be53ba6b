package taskdb

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/preset/nanobanana-functions/shared/task"
)

const pauseID = "PAUSE"

// pauseAttrs are the attributes of the pauses.
var pauseAttrs = map[task.Calls]string{task.Reads: attrUntil, task.Posts: attrPostsUntil}

// Pause implements task.Store.
func (s *Store) Pause(ctx context.Context, kind task.Calls, until time.Time) error {
	_, err := s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: s.table, Key: key(pauseID),
		UpdateExpression:          aws.String("SET #until = :until"),
		ExpressionAttributeNames:  map[string]string{"#until": pauseAttrs[kind]},
		ExpressionAttributeValues: item{":until": number(until.UnixMilli())},
	})
	return translate("pause", err)
}

// Hold implements task.Store.
func (s *Store) Hold(ctx context.Context, by task.Holder, x task.Hold) error {
	return s.ChangeHolds(ctx, func(h *task.Holds) { h.Put(by, x) })
}

// Release implements task.Store.
func (s *Store) Release(ctx context.Context, by task.Holder, at time.Time) error {
	return s.ChangeHolds(ctx, func(h *task.Holds) { h.Drop(by, at) })
}

// holdsTries is how many times a change of the holds starts again, because somebody else
// has changed them meanwhile.
const holdsTries = 16

// ChangeHolds implements task.Store. It writes the changed holds if they are still those
// that were read. A change made twice is made once, so a write whose answer was lost may
// be repeated.
func (s *Store) ChangeHolds(ctx context.Context, change func(*task.Holds)) error {
	for try := range holdsTries {
		if err := backOff(ctx, try); err != nil {
			return err
		}
		row, err := s.read(ctx, pauseID)
		if err != nil {
			return err
		}
		was := textOf(row, attrHolds)
		h, err := task.DecodeHolds(was)
		if err != nil {
			return fmt.Errorf("taskdb: row %s: %w", pauseID, err)
		}
		change(&h)
		is, err := h.Encode()
		if err != nil || is == was {
			return err
		}
		_, err = s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: s.table, Key: key(pauseID),
			UpdateExpression:          aws.String("SET #holds = :is"),
			ConditionExpression:       aws.String("attribute_not_exists(#holds) OR #holds = :was"),
			ExpressionAttributeNames:  map[string]string{"#holds": attrHolds},
			ExpressionAttributeValues: item{":is": text(is), ":was": text(was)},
		})
		if refused, _ := classify(err); refused == nil {
			return translate("change the holds", err)
		}
	}
	return fmt.Errorf("%w: the holds changed %d times in a row", task.ErrBusy, holdsTries)
}

// Paused implements task.Store.
func (s *Store) Paused(ctx context.Context) (p task.Pauses, err error) {
	row, err := s.read(ctx, pauseID)
	if err != nil {
		return task.Pauses{}, err
	}
	for kind, name := range pauseAttrs {
		n := numberOf(row, name)
		if n == "" {
			continue
		}
		until, err := strconv.ParseInt(n, 10, 64)
		if err != nil {
			return task.Pauses{}, fmt.Errorf("taskdb: row %s: %w", pauseID, err)
		}
		*p.Of(kind) = time.UnixMilli(until).UTC()
	}
	if p.Holds, err = task.DecodeHolds(textOf(row, attrHolds)); err != nil {
		return task.Pauses{}, fmt.Errorf("taskdb: row %s: %w", pauseID, err)
	}
	p.Forgotten, err = forgotten(row)
	return p, err
}
