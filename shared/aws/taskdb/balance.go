package taskdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/preset/nanobanana-functions/shared/task"
)

const balanceID = "BALANCE"

// SetBalance implements task.Store.
func (s *Store) SetBalance(ctx context.Context, b task.Balance) error {
	spend, err := json.Marshal(b.Spend)
	if err != nil {
		return fmt.Errorf("taskdb: row %s: %w", balanceID, err)
	}
	row := key(balanceID)
	row[attrSpend] = text(string(spend))
	row[attrCredits] = &types.AttributeValueMemberN{Value: strconv.FormatFloat(b.Credits, 'f', -1, 64)}
	row[attrAsOf] = number(b.AsOf.UnixMilli())
	row[attrLevel] = text(string(b.Level))
	if !b.Since.IsZero() {
		row[attrSince] = number(b.Since.UnixMilli())
	}
	if b.Unsure {
		row[attrUnsure] = &types.AttributeValueMemberBOOL{Value: true}
	}
	_, err = s.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: s.table, Item: row,
		ConditionExpression:       aws.String("attribute_not_exists(id) OR #asOf < :asOf"),
		ExpressionAttributeNames:  map[string]string{"#asOf": attrAsOf},
		ExpressionAttributeValues: item{":asOf": row[attrAsOf]},
	})
	var newer *types.ConditionalCheckFailedException
	if errors.As(err, &newer) { // or this very write, after a lost answer
		return nil
	}
	return translate("write the balance", err)
}

// Balance implements task.Store.
func (s *Store) Balance(ctx context.Context) (task.Balance, error) {
	row, err := s.read(ctx, balanceID)
	if err != nil || row == nil {
		return task.Balance{}, err
	}
	credits, creditsErr := strconv.ParseFloat(numberOf(row, attrCredits), 64)
	asOf, asOfErr := strconv.ParseInt(numberOf(row, attrAsOf), 10, 64)
	b := task.Balance{Credits: credits, AsOf: time.UnixMilli(asOf).UTC(), Level: task.Level(textOf(row, attrLevel))}
	var sinceErr error
	if since := numberOf(row, attrSince); since != "" {
		var n int64
		n, sinceErr = strconv.ParseInt(since, 10, 64)
		b.Since = time.UnixMilli(n).UTC()
	}
	if unsure, ok := row[attrUnsure].(*types.AttributeValueMemberBOOL); ok {
		b.Unsure = unsure.Value
	}
	var spendErr error
	if spend := textOf(row, attrSpend); spend != "" { // else an older release wrote the row
		spendErr = json.Unmarshal([]byte(spend), &b.Spend)
	}
	if err := errors.Join(creditsErr, asOfErr, sinceErr, spendErr); err != nil {
		return task.Balance{}, fmt.Errorf("taskdb: row %s: %w", balanceID, err)
	}
	return b, nil
}

func numberOf(row item, name string) string {
	n, _ := row[name].(*types.AttributeValueMemberN)
	if n == nil {
		return ""
	}
	return n.Value
}
