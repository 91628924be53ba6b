package ops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/preset/nanobanana-functions/local/ops/vault"
	"github.com/preset/nanobanana-functions/shared/aws/secret"
	"github.com/preset/nanobanana-functions/shared/aws/taskdb"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

// Stack is a deployed stack.
type Stack struct {
	Name      string
	AWS       aws.Config
	Resources map[string]Resource // by logical id

	// Environment is what the stack's functions are given, all of them together.
	Environment map[string]string
}

// Resource is a resource of a stack.
type Resource struct{ ID, Type string } // the physical id, and CloudFormation's type

const (
	awsTimeout = 20 * time.Second // of one request
	stackLogs  = "Logs"           // the logical id of the functions' log group
)

// baseRights are the actions of IAM that every command needs on a stack.
var baseRights = []string{
	"cloudformation:ListStackResources", "lambda:GetFunctionConfiguration",
	"dynamodb:GetItem", "dynamodb:BatchGetItem",
}

// openStack returns the Env of a stack, as the shell's AWS credentials and region
// reach it.
func openStack(ctx context.Context, name string, o Options) (*Env, error) {
	c, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(awsTimeout)), awsconfig.WithLogger(logging.Nop{}))
	if err != nil {
		return nil, fmt.Errorf("the AWS configuration of this shell cannot be read: %w. Look at AWS_PROFILE and ~/.aws/config", err)
	}
	if c.Region == "" {
		return nil, errors.New("no AWS region is set: export AWS_REGION=eu-central-1, or where your stack is")
	}
	return OpenStack(ctx, c, name, slog.New(slog.NewTextHandler(o.Err, &slog.HandlerOptions{Level: slog.LevelWarn})))
}

// OpenStack returns the Env of a stack. Its names come from CloudFormation, its settings
// from the environments of its functions. log gets what goes wrong besides.
func OpenStack(ctx context.Context, c aws.Config, name string, log *slog.Logger) (*Env, error) {
	s := &Stack{Name: name, AWS: c}
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	getenv := func(name string) string {
		if name == "AWS_SAM_LOCAL" && onStandIn(c) {
			return "true" // a stand-in of AWS has stand-ins of the provider and of pages
		}
		return s.Environment[name]
	}
	settings, err := config.Load(getenv, config.Lambda, config.NeedTable, config.NeedBucket, config.NeedSecretARN)
	if err != nil {
		return nil, fmt.Errorf("the settings of stack %s: %w", name, err)
	}
	store, client := taskdb.New(c, settings.Table), outbound.NewClient()
	secrets := secret.New(c, settings.SecretARN, log)
	return &Env{
		Store: store, Settings: settings, Secrets: secrets, Service: lifecycle.New(settings, store, secrets, client, log),
		Secret: vault.NewManager(c, settings.SecretARN), Logs: newStackLogs(c, s.Resources[stackLogs].ID), Stack: s,
		Name: "stack " + name, Prefix: "STACK=" + name + " ", Now: outbound.WallClock,
	}, nil
}

// onStandIn reports whether the SDK calls a stand-in of AWS on this machine.
func onStandIn(c aws.Config) bool {
	u, err := url.Parse(aws.ToString(c.BaseEndpoint))
	return err == nil && u.Host != "" && outbound.OnLoopback(u.Host)
}

// load reads what the stack consists of.
func (s *Stack) load(ctx context.Context) error {
	s.Resources = map[string]Resource{}
	pages := cloudformation.NewListStackResourcesPaginator(cloudformation.NewFromConfig(s.AWS), &cloudformation.ListStackResourcesInput{StackName: &s.Name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return s.explain(err)
		}
		for _, r := range page.StackResourceSummaries {
			s.Resources[aws.ToString(r.LogicalResourceId)] = Resource{ID: aws.ToString(r.PhysicalResourceId), Type: aws.ToString(r.ResourceType)}
		}
	}
	if s.Resources[stackLogs].ID == "" || s.Resources["Table"].ID == "" {
		return fmt.Errorf("%s is not a stack of these functions: it has no Table and no Logs", s.Name)
	}
	return s.readEnvironment(ctx)
}

// explain makes an error of CloudFormation readable for people.
func (s *Stack) explain(err error) error {
	if api, ok := errors.AsType[smithy.APIError](err); ok && strings.Contains(api.ErrorMessage(), "does not exist") {
		return fmt.Errorf("there is no stack %s in region %s of this account: look at STACK, AWS_REGION and AWS_PROFILE", s.Name, s.AWS.Region)
	}
	return fmt.Errorf("the stack %s cannot be read: %w", s.Name, err)
}

// advice returns what to do about an error of AWS that every command can meet; empty for
// others.
func advice(err error) string {
	if strings.Contains(err.Error(), "get credentials") {
		return "This shell has no AWS credentials: export AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or sign in again"
	}
	if _, unsent := errors.AsType[*smithyhttp.RequestSendError](err); unsent {
		return "AWS does not answer: look at the network here, and at AWS_REGION"
	}
	api, ok := errors.AsType[smithy.APIError](err)
	switch {
	case !ok:
		return ""
	case strings.Contains(api.ErrorCode(), "AccessDenied"):
		return "Your AWS credentials lack a right: bin/ops COMMAND -h and docs/ops.md list what is needed"
	case strings.Contains(api.ErrorCode(), "Expired"), strings.Contains(api.ErrorCode(), "UnrecognizedClient"), strings.Contains(api.ErrorCode(), "InvalidClientToken"):
		return "AWS does not accept this shell's credentials: sign in again, or look at AWS_PROFILE"
	}
	return ""
}

// Functions returns the physical names of the stack's functions, by logical id.
func (s *Stack) Functions() map[string]string {
	names := map[string]string{}
	for id, r := range s.Resources {
		if r.Type == "AWS::Lambda::Function" {
			names[id] = r.ID
		}
	}
	return names
}

// readEnvironment reads what all functions are given. A name that several have has one
// value; some have it empty.
func (s *Stack) readEnvironment(ctx context.Context) error {
	client := lambda.NewFromConfig(s.AWS)
	var (
		wait sync.WaitGroup
		mu   sync.Mutex // guards what follows
		errs []error
	)
	s.Environment = map[string]string{}
	for _, name := range s.Functions() {
		wait.Go(func() {
			got, err := liveConfiguration(ctx, client, name)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("the settings of function %s cannot be read: %w", name, err))
				return
			}
			if got.Environment == nil {
				return
			}
			for k, v := range got.Environment.Variables {
				if s.Environment[k] == "" {
					s.Environment[k] = v
				}
			}
		})
	}
	wait.Wait()
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// liveConfiguration returns the configuration of the version of a function that is called:
// after a rollback the latest one has other settings. A stack of a release before aliases
// has only the latest.
func liveConfiguration(ctx context.Context, client *lambda.Client, name string) (*lambda.GetFunctionConfigurationOutput, error) {
	got, err := client.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &name, Qualifier: aws.String(liveAlias)})
	if _, missing := errors.AsType[*lambdatypes.ResourceNotFoundException](err); missing {
		return client.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &name})
	}
	return got, err
}
