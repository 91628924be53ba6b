package taskdb

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/preset/nanobanana-functions/shared/aws/env/envtest"
	"github.com/preset/nanobanana-functions/shared/aws/taskdb/taskdbtest"
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

// TestLists compares lists with the truth. LISTS=full, as in make proof, writes 10,000
// tasks; those of several owners, because the stand-in reads the whole table for each
// page.
func TestLists(t *testing.T) {
	tasks := 200
	if os.Getenv("LISTS") == "full" {
		tasks = 10_000
	}
	tasktest.TestLists(t, open(t), tasks, 20)
}
