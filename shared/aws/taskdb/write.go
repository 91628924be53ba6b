package taskdb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/preset/nanobanana-functions/shared/task"
)

// Create implements task.Store.
func (s *Store) Create(ctx context.Context, t *task.Task, limit int) (*task.Task, error) {
	put := types.Put{ConditionExpression: aws.String("attribute_not_exists(id)")}
	var quota *types.Update
	if t.Quota != nil {
		quota = s.raise(t, limit)
	}
	refused, err := s.write(ctx, t, put, quota)
	switch {
	case err != nil:
		return nil, err
	case refused == nil:
		return t.Clone(), nil
	case refused.quota:
		return nil, task.ErrQuota
	}
	stands, err := fromItem(refused.row)
	switch {
	case err != nil:
		return nil, err
	case stands.Writer != t.Writer:
		return stands, task.ErrExists
	}
	return stands, nil // our own, whose answer was lost
}

// Put implements task.Store.
func (s *Store) Put(ctx context.Context, t *task.Task) (*task.Task, error) {
	put := types.Put{
		ConditionExpression:       aws.String("#version = :read"),
		ExpressionAttributeNames:  map[string]string{"#version": attrVersion},
		ExpressionAttributeValues: item{":read": number(t.Version - 1)},
	}
	var quota *types.Update
	if t.Quota != nil && t.Refund > 0 {
		quota = s.change(t, -t.Refund)
	}
	refused, err := s.write(ctx, t, put, quota)
	switch {
	case err != nil:
		return nil, err
	case refused == nil:
		return t.Clone(), nil
	case len(refused.row) == 0:
		return nil, task.ErrNotFound
	}
	stands, err := fromItem(refused.row)
	switch {
	case err != nil:
		return nil, err
	case stands.Version != t.Version || stands.Writer != t.Writer:
		return stands, task.ErrConflict
	}
	return stands, nil // our own, whose answer was lost
}

// raise adds the task's images to its owner's day, up to limit; 0 is none.
func (s *Store) raise(t *task.Task, limit int) *types.Update {
	u := s.change(t, t.Quota.Images)
	if limit > 0 {
		room := limit - t.Quota.Images
		u.ExpressionAttributeValues[":room"] = number(int64(room))
		u.ConditionExpression = aws.String("#used <= :room")
		if room >= 0 {
			u.ConditionExpression = aws.String("attribute_not_exists(#used) OR #used <= :room")
		}
	}
	return u
}

// change adds images to the owner's day of a task.
func (s *Store) change(t *task.Task, images int) *types.Update {
	day, _ := time.Parse(time.DateOnly, t.Quota.Day)
	return &types.Update{
		TableName:                s.table,
		Key:                      key(quotaID(t.Owner, t.Quota.Day)),
		UpdateExpression:         aws.String("ADD #used :images SET #expires = :expires"),
		ExpressionAttributeNames: map[string]string{"#used": attrUsed, "#expires": attrExpires},
		ExpressionAttributeValues: item{
			":images": number(int64(images)), ":expires": number(day.Add(quotaLife).Unix()),
		},
	}
}

// refusal is a condition that did not hold.
type refusal struct {
	row   item // that stands; nil: none
	quota bool // the row's condition held, the quota's did not
}

// writeTries is how often a write that met another's transaction is made.
const writeTries = 8

// write puts a task's row on put's condition, and changes the quota in the
// same transaction, if there is one. Neither is done where a condition is
// refused, and then it says which.
func (s *Store) write(ctx context.Context, t *task.Task, put types.Put, quota *types.Update) (*refusal, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	row, err := toItem(t)
	if err != nil {
		return nil, err
	}
	put.TableName, put.Item = s.table, row
	put.ReturnValuesOnConditionCheckFailure = types.ReturnValuesOnConditionCheckFailureAllOld
	for try := 1; ; try++ {
		if quota == nil {
			err = s.put(ctx, put)
		} else {
			err = s.transact(ctx, put, quota)
		}
		refused, contended := judge(err)
		switch {
		case refused != nil:
			return refused, nil
		case !contended || try == writeTries:
			return nil, translate("write", err)
		}
		if err := pause(ctx, try); err != nil {
			return nil, err
		}
	}
}

func (s *Store) put(ctx context.Context, put types.Put) error {
	_, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: put.TableName, Item: put.Item, ConditionExpression: put.ConditionExpression,
		ExpressionAttributeNames: put.ExpressionAttributeNames, ExpressionAttributeValues: put.ExpressionAttributeValues,
		ReturnValuesOnConditionCheckFailure: put.ReturnValuesOnConditionCheckFailure,
	})
	return err
}

func (s *Store) transact(ctx context.Context, put types.Put, quota *types.Update) error {
	_, err := s.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{
		TransactItems: []types.TransactWriteItem{{Put: &put}, {Update: quota}},
	})
	return err
}

const conditionFailed = "ConditionalCheckFailed"

// judge tells a refused condition, and a write that only met another's, from
// other errors. Of a cancelled transaction the row's own reason comes first:
// nothing is known of a row while that is unknown.
func judge(err error) (refused *refusal, contended bool) {
	var condition *types.ConditionalCheckFailedException
	var canceled *types.TransactionCanceledException
	var conflict *types.TransactionConflictException
	var progress *types.TransactionInProgressException
	switch {
	case errors.As(err, &condition):
		return &refusal{row: condition.Item}, false
	case errors.As(err, &conflict) || errors.As(err, &progress):
		return nil, true
	case !errors.As(err, &canceled):
		return nil, false
	}
	for i, reason := range canceled.CancellationReasons {
		switch code := aws.ToString(reason.Code); code {
		case conditionFailed:
			return &refusal{row: reason.Item, quota: i > 0}, false
		case "", "None":
		case "ValidationError", "ItemCollectionSizeLimitExceeded":
			return nil, false
		default: // TransactionConflict, ThrottlingError, ProvisionedThroughputExceeded
			return nil, true
		}
	}
	return nil, false
}

const (
	leastPause = 25 * time.Millisecond
	mostPause  = time.Second
)

// pause waits before the try after try, with full jitter; not before the first.
func pause(ctx context.Context, try int) error {
	if try == 0 {
		return nil
	}
	timer := time.NewTimer(rand.N(min(mostPause, leastPause<<try)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return translate("wait", ctx.Err())
	case <-timer.C:
		return nil
	}
}

// translate puts an error of the SDK in task's terms. It is the only place
// where one becomes an error of this package.
func translate(what string, err error) error {
	if err == nil {
		return nil
	}
	var api smithy.APIError
	var status interface{ HTTPStatusCode() int }
	busy := errors.Is(err, errThrottled)
	if errors.As(err, &api) {
		switch api.ErrorCode() {
		case "ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded",
			"TransactionConflictException", "TransactionInProgressException", "TransactionCanceledException":
			busy = true
		}
	}
	if errors.As(err, &status) && status.HTTPStatusCode() >= 500 {
		busy = true
	}
	if busy {
		return fmt.Errorf("taskdb: %s: %w: %w", what, task.ErrBusy, err)
	}
	return fmt.Errorf("taskdb: %s: %w", what, err)
}
