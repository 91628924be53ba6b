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
		quota = s.addUsed(quotaID(t.Owner, t.Quota.Day), t.Quota.Day, t.Quota.Images, limit)
	}
	refused, err := s.write(ctx, t, put, besides(quota))
	switch {
	case err != nil:
		return nil, err
	case refused == nil:
		return t.Clone(), nil
	case refused.beside:
		return nil, task.ErrQuota
	}
	return created(refused, t)
}

// created returns the row that refused the creation of t: with task.ErrExists, unless an
// earlier try, whose answer was lost, has written it.
func created(refused *refusal, t *task.Task) (*task.Task, error) {
	current, err := fromItem(refused.row)
	switch {
	case err != nil:
		return nil, err
	case current.Writer != t.Writer:
		return current, task.ErrExists
	}
	return current, nil
}

// Rescue implements task.Store.
func (s *Store) Rescue(ctx context.Context, t, origin *task.Task) (*task.Task, error) {
	put := types.Put{ConditionExpression: aws.String("attribute_not_exists(id)")}
	refused, err := s.write(ctx, t, put, &types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
		TableName: s.table, Key: key(origin.ID),
		ConditionExpression:                 aws.String("#version = :version AND attribute_not_exists(#deletedAt)"),
		ExpressionAttributeNames:            map[string]string{"#version": attrVersion, "#deletedAt": attrDeletedAt},
		ExpressionAttributeValues:           item{":version": number(origin.Version)},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}})
	switch {
	case err != nil:
		return nil, err
	case refused == nil:
		return t.Clone(), nil
	case refused.beside && len(refused.row) == 0:
		return nil, task.ErrNotFound
	case refused.beside && refused.row[attrDeletedAt] != nil:
		return nil, task.ErrDeleted
	case refused.beside:
		return nil, task.ErrConflict
	}
	return created(refused, t)
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
		quota = s.changeUsed(quotaID(t.Owner, t.Quota.Day), t.Quota.Day, -t.Refund)
	}
	refused, err := s.write(ctx, t, put, besides(quota))
	switch {
	case err != nil:
		return nil, err
	case refused == nil:
		return t.Clone(), nil
	case len(refused.row) == 0:
		return nil, task.ErrNotFound
	}
	current, err := fromItem(refused.row)
	switch {
	case err != nil:
		return nil, err
	case current.Version != t.Version || current.Writer != t.Writer:
		return current, task.ErrConflict
	}
	return current, nil // written by an earlier try, whose answer was lost
}

// addUsed adds n to the count of a day in a row, if that stays within limit; 0 is no limit.
func (s *Store) addUsed(id, day string, n, limit int) *types.Update {
	u := s.changeUsed(id, day, n)
	if limit > 0 {
		room := limit - n
		u.ExpressionAttributeValues[":room"] = number(int64(room))
		u.ConditionExpression = aws.String("#used <= :room")
		if room >= 0 {
			u.ConditionExpression = aws.String("attribute_not_exists(#used) OR #used <= :room")
		}
	}
	return u
}

// changeUsed adds n, which may be negative, to the count of a day in a row.
func (s *Store) changeUsed(id, day string, n int) *types.Update {
	at, _ := time.Parse(time.DateOnly, day)
	return &types.Update{
		TableName:                s.table,
		Key:                      key(id),
		UpdateExpression:         aws.String("ADD #used :n SET #expires = :expires"),
		ExpressionAttributeNames: map[string]string{"#used": attrUsed, "#expires": attrExpires},
		ExpressionAttributeValues: item{
			":n": number(int64(n)), ":expires": number(at.Add(countTTL).Unix()),
		},
	}
}

// besides returns what a transaction does besides writing a row: it changes the quota, if
// there is one.
func besides(quota *types.Update) *types.TransactWriteItem {
	if quota == nil {
		return nil
	}
	return &types.TransactWriteItem{Update: quota}
}

// refusal reports a condition that did not hold.
type refusal struct {
	row    item // the current row of the condition; nil if there is none
	beside bool // the condition besides that of the row failed
}

// writeTries is how many times a write that conflicts with a transaction is tried.
const writeTries = 8

// write puts a task's row on put's condition and, in the same transaction, does what is
// beside, unless that is nil. If a condition does not hold, neither is done and write
// returns the refusal.
func (s *Store) write(ctx context.Context, t *task.Task, put types.Put, beside *types.TransactWriteItem) (*refusal, error) {
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
		if beside == nil {
			err = s.put(ctx, put)
		} else {
			err = s.transact(ctx, put, *beside)
		}
		refused, conflict := classify(err)
		switch {
		case refused != nil:
			return refused, nil
		case !conflict || try == writeTries:
			return nil, translate("write", err)
		}
		if err := backOff(ctx, try); err != nil {
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

func (s *Store) transact(ctx context.Context, put types.Put, beside types.TransactWriteItem) error {
	_, err := s.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{
		TransactItems: []types.TransactWriteItem{{Put: &put}, beside},
	})
	return err
}

const conditionFailed = "ConditionalCheckFailed"

// classify separates refused conditions and conflicts with other writes from other
// errors. In a cancelled transaction the row's reason decides before the other: if the
// row's condition was not evaluated, nothing is known about the row.
func classify(err error) (refused *refusal, conflict bool) {
	var condition *types.ConditionalCheckFailedException
	var canceled *types.TransactionCanceledException
	var conflicting *types.TransactionConflictException
	var inProgress *types.TransactionInProgressException
	switch {
	case errors.As(err, &condition):
		return &refusal{row: condition.Item}, false
	case errors.As(err, &conflicting) || errors.As(err, &inProgress):
		return nil, true
	case !errors.As(err, &canceled):
		return nil, false
	}
	for i, reason := range canceled.CancellationReasons {
		switch code := aws.ToString(reason.Code); code {
		case conditionFailed:
			return &refusal{row: reason.Item, beside: i > 0}, false
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
	minBackoff = 25 * time.Millisecond
	maxBackoff = time.Second
)

// backOff waits after the given number of tries, with full jitter; not after 0.
func backOff(ctx context.Context, tries int) error {
	if tries == 0 {
		return nil
	}
	timer := time.NewTimer(rand.N(min(maxBackoff, minBackoff<<tries)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return translate("wait", ctx.Err())
	case <-timer.C:
		return nil
	}
}

// translate turns an error of the SDK into one that task.Store names. It is the
// only place where this package does so.
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
