// Package taskdbtest creates tables for tests as template.yaml defines them.
package taskdbtest

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// NewTable creates an empty table and deletes it when the test ends.
func NewTable(t testing.TB, c aws.Config) (name string) {
	t.Helper()
	client := dynamodb.NewFromConfig(c)
	name = "tasks-" + rand.Text()
	_, err := client.CreateTable(t.Context(), Table(name))
	var exists *types.ResourceInUseException // created by this call, after a lost answer: the name is random
	if err != nil && !errors.As(err, &exists) {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = client.DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: &name})
	})
	return name
}

// Table returns the definition of the table; a test compares template.yaml with it.
func Table(name string) *dynamodb.CreateTableInput {
	return &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			attribute("createdAt"), attribute("due"), attribute("dueAt"), attribute("id"), attribute("list"), attribute("owner"),
		},
		KeySchema:              []types.KeySchemaElement{element("id", types.KeyTypeHash)},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{index("due", "dueAt"), index("list", "createdAt"), index("owner", "createdAt")},
		StreamSpecification: &types.StreamSpecification{
			StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewImage,
		},
	}
}

func attribute(name string) types.AttributeDefinition {
	return types.AttributeDefinition{AttributeName: &name, AttributeType: types.ScalarAttributeTypeS}
}

func element(name string, kind types.KeyType) types.KeySchemaElement {
	return types.KeySchemaElement{AttributeName: &name, KeyType: kind}
}

// index returns an index that is named after its partition key.
func index(hash, sort string) types.GlobalSecondaryIndex {
	return types.GlobalSecondaryIndex{
		IndexName: &hash, Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		KeySchema: []types.KeySchemaElement{element(hash, types.KeyTypeHash), element(sort, types.KeyTypeRange)},
	}
}
