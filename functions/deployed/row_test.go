package deployed_test

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/preset/nanobanana-functions/functions/deployed/lambdatest"
	"github.com/preset/nanobanana-functions/shared/aws/taskdb"
	"github.com/preset/nanobanana-functions/shared/task"
)

// stored is a task as its row has it.
func (w *world) stored(id string) *task.Task {
	w.t.Helper()
	t, err := taskdb.New(w.aws, w.table).Task(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return t
}

// age has time pass for a task: every time in its row is so much earlier. The
// functions' clocks are the machine's, and no test waits for two hours.
func (w *world) age(id string, d time.Duration) {
	w.t.Helper()
	client := dynamodb.NewFromConfig(w.aws)
	key := map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: id}}
	got, err := client.GetItem(w.t.Context(), &dynamodb.GetItemInput{TableName: &w.table, Key: key, ConsistentRead: aws.Bool(true)})
	if err != nil || got.Item == nil {
		w.t.Fatalf("task %s: %v", id, err)
	}
	for name, v := range got.Item {
		text, ok := v.(*types.AttributeValueMemberS)
		if !ok {
			continue
		}
		if at, err := time.Parse(time.RFC3339, text.Value); err == nil {
			got.Item[name] = &types.AttributeValueMemberS{Value: at.Add(-d).Format("2006-01-02T15:04:05.000Z")}
		}
	}
	_, err = client.PutItem(w.t.Context(), &dynamodb.PutItemInput{
		TableName: &w.table, Item: got.Item,
		ConditionExpression:       aws.String("#version = :read"), // else somebody has written meanwhile
		ExpressionAttributeNames:  map[string]string{"#version": "version"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":read": got.Item["version"]},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// stream connects the table with those that get its records, as template.yaml does.
func (w *world) stream(filters map[string]string) {
	w.t.Helper()
	described, err := dynamodb.NewFromConfig(w.aws).DescribeTable(w.t.Context(), &dynamodb.DescribeTableInput{TableName: &w.table})
	if err != nil {
		w.t.Fatal(err)
	}
	w.source = map[string]*lambdatest.Stream{}
	for name, filter := range filters {
		source, err := lambdatest.NewStream(w.aws, *described.Table.LatestStreamArn, filter, w.function[name])
		if err != nil {
			w.t.Fatal(err)
		}
		w.source[name] = source
		w.t.Cleanup(func() {
			if err := source.Close(); err != nil {
				w.t.Error(err)
			}
		})
	}
	for _, p := range w.proxy {
		p.OnWrite(w.written)
	}
}

// written tells those who read the table's stream that there is more.
func (w *world) written() {
	for _, s := range w.source {
		s.Wake()
	}
}
