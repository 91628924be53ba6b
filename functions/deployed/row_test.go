package deployed_test

import (
	"errors"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/preset/nanobanana-functions/functions/deployed/lambdatest"
	"github.com/preset/nanobanana-functions/shared/aws/taskdb"
	"github.com/preset/nanobanana-functions/shared/task"
)

// row returns a task's row as stored.
func (h *harness) row(id string) *task.Task {
	h.t.Helper()
	t, err := taskdb.New(h.aws, h.table).Task(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return t
}

// age moves every time in a task's row back by d, as if that much time had
// passed. The functions use the machine's clock, and no test can wait for two
// hours.
func (h *harness) age(id string, d time.Duration) {
	h.t.Helper()
	eventually(h.t, "the row is written all the time", func() bool { return h.ageOnce(id, d) })
}

// ageOnce reports false if the row was written meanwhile.
func (h *harness) ageOnce(id string, d time.Duration) bool {
	h.t.Helper()
	client := dynamodb.NewFromConfig(h.aws)
	key := map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: id}}
	got, err := client.GetItem(h.t.Context(), &dynamodb.GetItemInput{TableName: &h.table, Key: key, ConsistentRead: aws.Bool(true)})
	if err != nil || got.Item == nil {
		h.t.Fatalf("task %s: %v", id, err)
	}
	shift(got.Item, -d)
	_, err = client.PutItem(h.t.Context(), &dynamodb.PutItemInput{
		TableName: &h.table, Item: got.Item,
		ConditionExpression:       aws.String("#version = :read"),
		ExpressionAttributeNames:  map[string]string{"#version": "version"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":read": got.Item["version"]},
	})
	if _, written := errors.AsType[*types.ConditionalCheckFailedException](err); written {
		return false
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return true
}

// shift moves all times of a row.
func shift(members map[string]types.AttributeValue, d time.Duration) {
	for name, v := range members {
		switch v := v.(type) {
		case *types.AttributeValueMemberM:
			shift(v.Value, d)
		case *types.AttributeValueMemberS:
			if at, err := time.Parse(time.RFC3339, v.Value); err == nil {
				members[name] = &types.AttributeValueMemberS{Value: at.Add(d).Format("2006-01-02T15:04:05.000Z")}
			}
		case *types.AttributeValueMemberN: // milliseconds since 1970, as of pauses; no other number is as large
			if at, err := strconv.ParseInt(v.Value, 10, 64); err == nil && at > 1e12 {
				members[name] = &types.AttributeValueMemberN{Value: strconv.FormatInt(at+d.Milliseconds(), 10)}
			}
		}
	}
}

// connectStream connects the table's stream with its functions as template.yaml
// does.
func (h *harness) connectStream(filters map[string]string) {
	h.t.Helper()
	described, err := dynamodb.NewFromConfig(h.aws).DescribeTable(h.t.Context(), &dynamodb.DescribeTableInput{TableName: &h.table})
	if err != nil {
		h.t.Fatal(err)
	}
	h.source = map[string]*lambdatest.Stream{}
	for name, filter := range filters {
		source, err := lambdatest.NewStream(h.aws, *described.Table.LatestStreamArn, filter, h.function[name])
		if err != nil {
			h.t.Fatal(err)
		}
		h.source[name] = source
		h.t.Cleanup(func() {
			if err := source.Close(); err != nil {
				h.t.Error(err)
			}
		})
	}
	for _, p := range h.proxy {
		p.OnWrite(h.wakeStreams)
	}
}

// wakeStreams makes the streams read the table's new records.
func (h *harness) wakeStreams() {
	for _, s := range h.source {
		s.Wake()
	}
}
