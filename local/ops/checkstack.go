package ops

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	schedulertypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/smithy-go"
)

// checkRights are the actions of IAM that check needs.
var checkRights = []string{
	"cloudformation:DescribeStacks", "secretsmanager:GetSecretValue", "sns:ListSubscriptionsByTopic", "lambda:GetAccountSettings",
	"lambda:GetEventSourceMapping", "lambda:GetAlias", "scheduler:GetSchedule",
	"dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive", "dynamodb:DescribeContinuousBackups",
}

// stackProbes look at what only a stack has.
var stackProbes = []probe{
	{"release", (*checker).releaseIsLive},
	{"schedules", (*checker).schedulesRun},
	{"streams", (*checker).streamsRun},
	{"table", (*checker).tableIsWhole},
	{"expiry", (*checker).rowsExpire},
	{"backups", (*checker).tableIsBackedUp},
	{"alarms", (*checker).alarmsReachSomebody},
	{"concurrency", (*checker).concurrencySuffices},
}

// deployed is what CloudFormation says of the stack as a whole.
type deployed struct {
	parameters, outputs map[string]string
}

func (e *Env) deployed(ctx context.Context) (deployed, error) {
	d := deployed{map[string]string{}, map[string]string{}}
	got, err := cloudformation.NewFromConfig(e.Stack.AWS).DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &e.Stack.Name})
	if err != nil || len(got.Stacks) != 1 {
		return d, err
	}
	for _, p := range got.Stacks[0].Parameters {
		d.parameters[aws.ToString(p.ParameterKey)] = aws.ToString(p.ParameterValue)
	}
	for _, o := range got.Stacks[0].Outputs {
		d.outputs[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	return d, nil
}

// of returns the physical ids of the stack's resources of a type, by logical id.
func (s *Stack) of(kind string) map[string]string {
	ids := map[string]string{}
	for id, r := range s.Resources {
		if r.Type == kind {
			ids[id] = r.ID
		}
	}
	return ids
}

// each calls look for every resource at once, and returns the findings that are not
// good, by logical id, or everything's if all are good.
func each(ids map[string]string, all finding, look func(id string) finding) finding {
	var wait sync.WaitGroup
	names := slices.Sorted(maps.Keys(ids))
	found := make([]finding, len(names))
	for i, name := range names {
		wait.Go(func() { found[i] = look(ids[name]) })
	}
	wait.Wait()
	for _, s := range []state{problem, unseen} {
		var texts []string
		for i, f := range found {
			if f.State == s && !slices.Contains(texts, f.Text) {
				if s == problem {
					f.Text = names[i] + " " + f.Text
				}
				texts, all = append(texts, f.Text), finding{State: s, Do: f.Do}
			}
		}
		if len(texts) > 0 {
			all.Text = strings.Join(texts, "; ")
			return all
		}
	}
	return all
}

func (c *checker) schedulesRun(ctx context.Context) finding {
	ids := c.Stack.of("AWS::Scheduler::Schedule")
	if len(ids) == 0 {
		return c.missing("schedule")
	}
	client := scheduler.NewFromConfig(c.Stack.AWS)
	return each(ids, ok("%s, all enabled", Count(len(ids), "schedule")), func(id string) finding {
		group, name, has := strings.Cut(id, "|") // as CloudFormation names one in a group of its own
		in := &scheduler.GetScheduleInput{Name: &id}
		if has {
			in = &scheduler.GetScheduleInput{GroupName: &group, Name: &name}
		}
		got, err := client.GetSchedule(ctx, in)
		switch {
		case err != nil:
			return c.cannotSee(err, "scheduler:GetSchedule")
		case got.State != schedulertypes.ScheduleStateEnabled:
			return bad("Enable it: aws scheduler update-schedule, or deploy again.", "is %s", strings.ToLower(string(got.State)))
		}
		return ok("")
	})
}

// missing is the finding for a resource that template.yaml has and the stack has not.
func (c *checker) missing(what string) finding {
	if onStandIn(c.Stack.AWS) {
		return hidden("the stand-in of AWS has no %s", what)
	}
	return bad("Deploy the stack again: make deploy.", "the stack has no %s", what)
}

func (c *checker) streamsRun(ctx context.Context) finding {
	ids := c.Stack.of("AWS::Lambda::EventSourceMapping")
	if len(ids) == 0 {
		return c.missing("event source mapping")
	}
	client := lambda.NewFromConfig(c.Stack.AWS)
	return each(ids, ok("%s of the table's stream, all enabled", Count(len(ids), "reader")), func(id string) finding {
		got, err := client.GetEventSourceMapping(ctx, &lambda.GetEventSourceMappingInput{UUID: &id})
		switch {
		case err != nil:
			return c.cannotSee(err, "lambda:GetEventSourceMapping")
		case aws.ToString(got.State) != "Enabled":
			return bad("Enable it: aws lambda update-event-source-mapping --enabled, or deploy again.", "is %s", strings.ToLower(aws.ToString(got.State)))
		case strings.HasPrefix(aws.ToString(got.LastProcessingResult), "PROBLEM"):
			return bad("Look at the function's log and rights.", "cannot read the stream")
		}
		return ok("")
	})
}

// indexes are the table's indexes.
var indexes = []string{"due", "list", "owner"}

func (c *checker) tableIsWhole(ctx context.Context) finding {
	got, err := dynamodb.NewFromConfig(c.Stack.AWS).DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &c.Settings.Table})
	if err != nil {
		return c.cannotSee(err, "dynamodb:DescribeTable")
	}
	t := got.Table
	status := map[string]types.IndexStatus{}
	for _, x := range t.GlobalSecondaryIndexes {
		status[aws.ToString(x.IndexName)] = x.IndexStatus
	}
	for _, name := range indexes {
		switch s := status[name]; {
		case s == "":
			return bad("Deploy the stack again: make deploy.", "the table has no index %s", name)
		case s != types.IndexStatusActive:
			return bad("Wait: DynamoDB fills it. Run this again in some minutes.", "the index %s is %s", name, strings.ToLower(string(s)))
		}
	}
	switch stream := t.StreamSpecification; {
	case t.TableStatus != types.TableStatusActive:
		return bad("Wait, and run this again.", "the table is %s", strings.ToLower(string(t.TableStatus)))
	case stream == nil || !aws.ToBool(stream.StreamEnabled) || stream.StreamViewType != types.StreamViewTypeNewImage:
		return bad("Deploy the stack again: make deploy.", "the table has no stream of new images: pictures are stored by the sweep alone, late")
	}
	return ok("the table, its stream and its %d indexes are active", len(indexes))
}

func (c *checker) rowsExpire(ctx context.Context) finding {
	got, err := dynamodb.NewFromConfig(c.Stack.AWS).DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &c.Settings.Table})
	if err != nil {
		return c.cannotSee(err, "dynamodb:DescribeTimeToLive")
	}
	d := got.TimeToLiveDescription
	if d == nil || d.TimeToLiveStatus != types.TimeToLiveStatusEnabled && d.TimeToLiveStatus != types.TimeToLiveStatusEnabling || aws.ToString(d.AttributeName) != "expiresAt" {
		return bad("Deploy the stack again: make deploy.", "rows that have expired are not deleted")
	}
	return ok("counters of days that are over are deleted")
}

func (c *checker) tableIsBackedUp(ctx context.Context) finding {
	got, err := dynamodb.NewFromConfig(c.Stack.AWS).DescribeContinuousBackups(ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: &c.Settings.Table})
	if err != nil {
		return c.cannotSee(err, "dynamodb:DescribeContinuousBackups")
	}
	d := got.ContinuousBackupsDescription
	if d == nil || d.PointInTimeRecoveryDescription == nil || d.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus != types.PointInTimeRecoveryStatusEnabled {
		return bad("Deploy the stack again: make deploy.", "point-in-time recovery is off")
	}
	return ok("the table can be restored to any second of the last days")
}

// alarmsReachSomebody looks for a confirmed subscription of each topic that alarms go to.
func (c *checker) alarmsReachSomebody(ctx context.Context) finding {
	d, err := c.stack()
	if err != nil {
		return c.cannotSee(err, "cloudformation:DescribeStacks")
	}
	topics := c.Stack.of("AWS::SNS::Topic")
	if topic := d.parameters["AlarmTopic"]; topic != "" {
		topics["AlarmTopic"] = topic
	}
	if len(topics) == 0 {
		return bad("Deploy with AlarmEmail=you@example.com, or with AlarmTopic.", "alarms reach nobody: the stack has neither a topic nor an e-mail address for them")
	}
	client := sns.NewFromConfig(c.Stack.AWS)
	return each(topics, ok("somebody is subscribed to the alarms"), func(topic string) finding {
		waiting := 0
		pages := sns.NewListSubscriptionsByTopicPaginator(client, &sns.ListSubscriptionsByTopicInput{TopicArn: &topic})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return c.cannotSee(err, "sns:ListSubscriptionsByTopic")
			}
			for _, s := range page.Subscriptions {
				if strings.HasPrefix(aws.ToString(s.SubscriptionArn), "arn:") {
					return ok("")
				}
				waiting++
			}
		}
		if waiting > 0 {
			return bad("Click the link in the e-mail from AWS Notifications; it is valid for three days.", "has nobody who has confirmed the subscription")
		}
		return bad("Subscribe somebody: aws sns subscribe.", "has no subscription, so its alarms reach nobody")
	})
}

const (
	newAccount = 10  // runs at once that AWS allows a new account
	freeRuns   = 100 // that AWS leaves unreserved
)

func (c *checker) concurrencySuffices(ctx context.Context) finding {
	got, err := lambda.NewFromConfig(c.Stack.AWS).GetAccountSettings(ctx, &lambda.GetAccountSettingsInput{})
	if err != nil {
		return c.cannotSee(err, "lambda:GetAccountSettings")
	}
	if got.AccountLimit == nil {
		return hidden("AWS does not show the account's limit")
	}
	limit, free := got.AccountLimit.ConcurrentExecutions, aws.ToInt32(got.AccountLimit.UnreservedConcurrentExecutions)
	d, err := c.stack()
	if err != nil {
		return c.cannotSee(err, "cloudformation:DescribeStacks")
	}
	reserved := d.parameters["ReserveConcurrency"] == "yes"
	switch {
	case limit <= newAccount && c.Settings.WaitMax > 0:
		return bad("Deploy with WaitMax=0, and ask AWS for more: docs/deploy.md#concurrency.", "the account may run %d functions at once, and pages that wait use them up", limit)
	case !reserved && limit >= 312:
		return ok("%d runs at once; ReserveConcurrency=yes would keep some for paid work", limit)
	case reserved && free < freeRuns:
		return bad("Ask AWS for more: docs/deploy.md#concurrency.", "only %d runs at once are not reserved", free)
	}
	return ok("the account may run %d functions at once", limit)
}

// liveAlias is the alias by which functions are called.
const liveAlias = "live"

// releaseIsLive looks at whether what is called is what was deployed last: code and
// settings.
func (c *checker) releaseIsLive(ctx context.Context) finding {
	functions := c.Stack.Functions()
	if len(c.Stack.of("AWS::Lambda::Alias")) == 0 {
		return c.missing("alias " + liveAlias)
	}
	client := lambda.NewFromConfig(c.Stack.AWS)
	return each(functions, ok("all %d functions run what was deployed last", len(functions)), func(name string) finding {
		return c.isLive(ctx, client, name)
	})
}

func (c *checker) isLive(ctx context.Context, client *lambda.Client, name string) finding {
	const again = "Run make deploy again."
	last, err := client.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &name})
	if err != nil {
		return c.cannotSee(err, "lambda:GetFunctionConfiguration")
	}
	live, err := client.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &name, Qualifier: aws.String(liveAlias)})
	if api, is := errors.AsType[smithy.APIError](err); is && api.ErrorCode() == "ResourceNotFoundException" {
		return bad(again, "has no alias %s", liveAlias)
	}
	if err != nil {
		return c.cannotSee(err, "lambda:GetFunctionConfiguration")
	}
	alias, err := client.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: &name, Name: aws.String(liveAlias)})
	if err != nil {
		return c.cannotSee(err, "lambda:GetAlias")
	}
	switch {
	case alias.RoutingConfig != nil && len(alias.RoutingConfig.AdditionalVersionWeights) > 0:
		return bad("A deployment is under way: wait for its end, and run this again.", "runs two versions")
	case aws.ToString(last.CodeSha256) != aws.ToString(live.CodeSha256):
		return bad(again, "runs older code than was deployed last")
	case fmt.Sprint(environment(last.Environment)) != fmt.Sprint(environment(live.Environment)):
		return bad(again, "runs with older settings than were deployed last")
	case string(live.State) == "Failed":
		return bad("Look at the function in the console.", "cannot start: %s", live.StateReasonCode)
	}
	return ok("")
}

// environment returns the variables of a function.
func environment(e *lambdatypes.EnvironmentResponse) map[string]string {
	if e == nil {
		return nil
	}
	return e.Variables
}
