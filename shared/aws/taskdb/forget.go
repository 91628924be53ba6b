package taskdb

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/preset/nanobanana-functions/shared/task"
)

// maxRemoved is how many owners whose time is over one write drops: an expression has a
// limit, and the next write goes on.
const maxRemoved = 50

// Forget implements task.Store. The first write makes the salt if there is none, and so
// returns the row, of which the second one changes single attributes.
func (s *Store) Forget(ctx context.Context, owner string, now time.Time) error {
	row, err := s.changePauses(ctx, &dynamodb.UpdateItemInput{
		UpdateExpression:          aws.String("SET #salt = if_not_exists(#salt, :salt)"),
		ExpressionAttributeNames:  map[string]string{"#salt": attrForgot},
		ExpressionAttributeValues: item{":salt": text(task.NewSalt())},
		ReturnValues:              types.ReturnValueAllNew,
	})
	if err != nil {
		return err
	}
	f, err := forgotten(row)
	if err != nil {
		return err
	}
	hash, over, err := f.Add(owner, now)
	if err != nil {
		return err
	}
	change := &dynamodb.UpdateItemInput{
		ExpressionAttributeNames:  map[string]string{"#owner": forgotAttr(hash)},
		ExpressionAttributeValues: item{":until": number(f.Until[hash].UnixMilli())},
	}
	var remove []string
	for i, h := range over[:min(len(over), maxRemoved)] {
		name := fmt.Sprint("#over", i)
		remove, change.ExpressionAttributeNames[name] = append(remove, name), forgotAttr(h)
	}
	expression := "SET #owner = :until"
	if len(remove) > 0 {
		expression += " REMOVE " + strings.Join(remove, ", ")
	}
	change.UpdateExpression = &expression
	_, err = s.changePauses(ctx, change)
	return err
}

// changePauses changes attributes of the row of the pauses.
func (s *Store) changePauses(ctx context.Context, change *dynamodb.UpdateItemInput) (item, error) {
	change.TableName, change.Key = s.table, key(pauseID)
	done, err := s.client.UpdateItem(ctx, change)
	if err != nil {
		return nil, translate("forget an owner", err)
	}
	return done.Attributes, nil
}

func forgotAttr(hash string) string { return attrForgot + "#" + hash }

// forgotten returns the forgotten owners that the row of the pauses holds.
func forgotten(row item) (task.Forgotten, error) {
	f := task.Forgotten{Salt: textOf(row, attrForgot)}
	for name := range row {
		hash, ok := strings.CutPrefix(name, forgotAttr(""))
		if !ok {
			continue
		}
		until, err := strconv.ParseInt(numberOf(row, name), 10, 64)
		if err != nil {
			return task.Forgotten{}, fmt.Errorf("taskdb: row %s: %w", pauseID, err)
		}
		if f.Until == nil {
			f.Until = map[string]time.Time{}
		}
		f.Until[hash] = time.UnixMilli(until).UTC()
	}
	return f, nil
}
