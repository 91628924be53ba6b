// Package opstest deploys stacks on a stand-in of AWS, as far as bin/ops looks at them.
package opstest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/preset/nanobanana-functions/shared/aws/taskdb/taskdbtest"
)

// Stack is a stack on a stand-in of AWS: the table, the log group and functions with
// their environments, by CloudFormation, and beside them the secret, which the stand-in's
// CloudFormation does not know. Nothing runs in it.
type Stack struct {
	Name      string
	Table     string // physical
	Logs      string // the log group
	SecretARN string

	t   testing.TB
	aws aws.Config
}

// Deploy makes a stack, whose functions have env besides their own settings. It is removed when the test ends.
func Deploy(t testing.TB, c aws.Config, secret string, env map[string]string) *Stack {
	t.Helper()
	s := &Stack{Name: "ops-" + rand.Text()[:12], t: t, aws: c}
	made, err := secretsmanager.NewFromConfig(c).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &s.Name, SecretString: &secret})
	if err != nil {
		t.Fatal(err)
	}
	s.SecretARN = aws.ToString(made.ARN)
	client := cloudformation.NewFromConfig(c)
	body := s.template(env)
	if _, err := client.CreateStack(t.Context(), &cloudformation.CreateStackInput{StackName: &s.Name, TemplateBody: &body}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		_, _ = client.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: &s.Name})
		_, _ = secretsmanager.NewFromConfig(c).DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &s.SecretARN, ForceDeleteWithoutRecovery: aws.Bool(true)})
	})
	got, err := client.DescribeStackResources(t.Context(), &cloudformation.DescribeStackResourcesInput{StackName: &s.Name})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range got.StackResources {
		switch aws.ToString(r.LogicalResourceId) {
		case "Table":
			s.Table = aws.ToString(r.PhysicalResourceId)
		case "Logs":
			s.Logs = aws.ToString(r.PhysicalResourceId)
		}
	}
	return s
}

// template returns a template with what bin/ops reads of template.yaml.
func (s *Stack) template(env map[string]string) string {
	type object = map[string]any
	ref := func(id string) object { return object{"Ref": id} }
	function := func(own object) object {
		all := object{"LOG_LEVEL": "info"}
		for name, value := range env {
			all[name] = value
		}
		maps.Copy(all, own)
		return object{"Type": "AWS::Lambda::Function", "Properties": object{
			"Runtime": "provided.al2023", "Handler": "bootstrap", "Role": object{"Fn::GetAtt": []string{"Role", "Arn"}},
			"Code": object{"ZipFile": "nothing"}, "Environment": object{"Variables": all},
		}}
	}
	table := s.compact(taskdbtest.Table("table"))
	delete(table, "TableName")
	return s.json(object{"Resources": object{
		"Table": object{"Type": "AWS::DynamoDB::Table", "Properties": table},
		"Logs":  object{"Type": "AWS::Logs::LogGroup", "Properties": object{"RetentionInDays": 30}},
		"Role": object{"Type": "AWS::IAM::Role", "Properties": object{"AssumeRolePolicyDocument": object{
			"Version": "2012-10-17", "Statement": []object{{"Effect": "Allow", "Principal": object{"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}},
		}}},
		"Submit": function(object{"TABLE": ref("Table"), "SECRET_ARN": s.SecretARN, "BUCKET": "pictures"}),
		"Images": function(object{"BUCKET": "pictures", "SECRET_ARN": s.SecretARN}),
		"Sweep":  function(object{"TABLE": ref("Table"), "SECRET_ARN": s.SecretARN, "BUCKET": "pictures"}),
	}})
}

// compact returns a value as JSON's objects, without what is null.
func (s *Stack) compact(v any) map[string]any {
	var all map[string]any
	if err := json.Unmarshal([]byte(s.json(v)), &all); err != nil {
		s.t.Fatal(err)
	}
	drop(all)
	return all
}

func drop(v any) {
	switch v := v.(type) {
	case map[string]any:
		maps.DeleteFunc(v, func(_ string, member any) bool { return member == nil })
		for _, member := range v {
			drop(member)
		}
	case []any:
		for _, member := range v {
			drop(member)
		}
	}
}

func (s *Stack) json(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// Log writes log lines as the functions' runtime does. The stand-in takes none of long
// ago, so they are written now, whatever "time" they have.
func (s *Stack) Log(lines ...string) {
	s.t.Helper()
	client, stream := cloudwatchlogs.NewFromConfig(s.aws), rand.Text()
	if _, err := client.CreateLogStream(s.t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &s.Logs, LogStreamName: &stream}); err != nil {
		s.t.Fatal(err)
	}
	now := time.Now().UnixMilli()
	var events []types.InputLogEvent
	for _, l := range lines {
		events = append(events, types.InputLogEvent{Message: &l, Timestamp: &now})
	}
	if _, err := client.PutLogEvents(s.t.Context(), &cloudwatchlogs.PutLogEventsInput{LogGroupName: &s.Logs, LogStreamName: &stream, LogEvents: events}); err != nil {
		s.t.Fatal(err)
	}
}
