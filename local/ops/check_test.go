package ops

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	schedulertypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/preset/nanobanana-functions/functions/callback"
	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/functions/images"
	"github.com/preset/nanobanana-functions/local/ops/opstest"
	"github.com/preset/nanobanana-functions/local/ops/vault"
	"github.com/preset/nanobanana-functions/shared/auth/authtest"
	"github.com/preset/nanobanana-functions/shared/aws/env/envtest"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// checkWorld is a stack on the stand-in of AWS, with all that check calls.
type checkWorld struct {
	*Env
	t        *testing.T
	sim      *nanobananatest.Server
	site     *http.ServeMux   // PUBLIC_URL, the issuer and the receiver
	replaced http.HandlerFunc // answers instead, if it is set
	noticed  string           // the last notice
	accepts  int              // how the receiver answers
}

func newCheckWorld(t *testing.T) *checkWorld {
	t.Helper()
	c := envtest.Config(t)
	w := &checkWorld{t: t, sim: nanobananatest.NewServer(), site: http.NewServeMux(), accepts: http.StatusNoContent}
	t.Cleanup(w.sim.Close)
	w.sim.SetKeys("key-of-tests")
	site := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.replaced != nil {
			w.replaced(rw, r)
			return
		}
		w.site.ServeHTTP(rw, r)
	}))
	t.Cleanup(site.Close)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	mint, err := authtest.NewMint(key, site.URL)
	if err != nil {
		t.Fatal(err)
	}
	w.site.Handle(authtest.Path, mint)
	w.site.HandleFunc("POST /hook", func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.noticed = string(b)
		rw.WriteHeader(w.accepts)
	})
	s := opstest.Deploy(t, c, secretOfTests, map[string]string{
		"AUTH_ISSUER": site.URL, "PUBLIC_URL": site.URL, "NOTIFY_URL": site.URL + "/hook", "NANOBANANA_BASE_URL": w.sim.URL,
	})
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	if w.Env, err = OpenStack(t.Context(), c, s.Name, log); err != nil {
		t.Fatal(err)
	}
	callback.Register(w.site.Handle, callback.Function{Secrets: w.Secrets, Service: w.Service, Log: log})
	images.Register(w.site.Handle, images.Function{Secrets: w.Secrets, Log: log})
	credits.Register(w.site.Handle, credits.Function{Log: log})
	return w
}

// see runs check and returns the line of a probe, such as "ok: ...".
func (w *checkWorld) see(name string) string {
	w.t.Helper()
	r, err := check(w.t.Context(), w.Env)
	if err != nil {
		w.t.Fatal(err)
	}
	problems := false
	line := ""
	for _, f := range r.Report.(checked).Findings {
		problems = problems || f.State == problem
		if (f.State == problem) != (f.Do != "") {
			w.t.Errorf("a problem has a next step, and nothing else has: %+v", f)
		}
		if f.Name == name {
			line = string(f.State) + ": " + f.Text
		}
	}
	if problems != (r.Exit == NeedsYou) {
		w.t.Errorf("problems: %v, exit %d", problems, r.Exit)
	}
	return line
}

func (w *checkWorld) want(name, line string) {
	w.t.Helper()
	if got := w.see(name); !strings.HasPrefix(got, line) {
		w.t.Errorf("%s is %q, want %q", name, got, line)
	}
}

// What the functions and their surroundings do is looked at as it is.
func TestCheckCalls(t *testing.T) {
	w := newCheckWorld(t)
	for name, line := range map[string]string{
		"secret": "ok", "provider": "ok: the key is accepted; 1000 credits", "sign-in": "ok: the issuer publishes 1 key", "notices": "ok", "API": "ok", "callbacks": "ok", "pictures": "ok",
	} {
		w.want(name, line)
	}
	httpapitest.Load(t).CheckJSON(t, "TestNotice", []byte(w.noticed))
	if n := w.sim.Posts(); n != 0 {
		t.Errorf("%d POSTs to the provider", n)
	}
	w.sim.SetBalance(3)
	w.want("provider", "problem: the key is accepted; 3 credits are left, below LOW_CREDITS")
	w.sim.SetKeys("another")
	w.want("provider", "problem: the provider refuses the API key")
	w.sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Credit = nanobananatest.Fault{Kind: nanobananatest.FaultHTML} })
	w.want("provider", "problem: the balance cannot be read")
	w.accepts = http.StatusUnauthorized
	w.want("notices", "problem: a test notice was not accepted")

	w.replaced = func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(rw, `{"message":"Not Found"}`)
	}
	w.want("callbacks", "problem: something else answered with 404")
	w.want("pictures", "problem: something else answered with 404")
	w.want("API", "problem: the answer has status 404")
	w.want("sign-in", "problem: the issuer's keys cannot be read")
	w.replaced = func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, `{"keys":[]}`) }
	w.want("sign-in", "problem: the issuer publishes no key that can be used")
	w.want("callbacks", "problem: the answer has status 200, want 404")

	w.Settings.AuthIssuer = noIssuer
	w.want("sign-in", "problem: no issuer is set")
	w.Settings.NotifyURL = ""
	w.want("notices", "off")
	if err := vault.Change(t.Context(), w.Secret, func(_ vault.Version, d *vault.Document) error { d.SetAPIKey(""); return nil }); err != nil {
		t.Fatal(err)
	}
	w.want("provider", "problem: no API key is set")
	if r, err := check(t.Context(), w.Env); err != nil || r.Next != "key set" {
		t.Errorf("next is %q, %v", r.Next, err)
	}
	w.Secret = brokenSecret{w.Secret}
	w.want("secret", "problem: the secret: callbackKeys is missing")
}

// brokenSecret is a secret that somebody has edited by hand.
type brokenSecret struct{ vault.Secret }

func (s brokenSecret) Read(ctx context.Context) (vault.Version, error) {
	v, err := s.Secret.Read(ctx)
	v.Value = []byte(`{"imageKeys":[]}`)
	return v, err
}

// What the stand-in does not show is never ok.
func TestCheckStack(t *testing.T) {
	w := newCheckWorld(t)
	table := dynamodb.NewFromConfig(w.Stack.AWS)
	w.want("table", "ok: the table, its stream and its 3 indexes are active")
	w.want("expiry", "problem: rows that have expired are not deleted")
	w.want("backups", "problem: point-in-time recovery is off")
	w.want("alarms", "problem: alarms reach nobody")
	w.want("concurrency", "unseen")
	w.want("release", "unseen")
	w.want("schedules", "unseen")
	w.want("streams", "unseen")

	if _, err := table.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{TableName: &w.Settings.Table, TimeToLiveSpecification: &dynamodbtypes.TimeToLiveSpecification{AttributeName: aws.String("expiresAt"), Enabled: aws.Bool(true)}}); err != nil {
		t.Fatal(err)
	}
	w.want("expiry", "ok")
	if _, err := table.UpdateContinuousBackups(t.Context(), &dynamodb.UpdateContinuousBackupsInput{TableName: &w.Settings.Table, PointInTimeRecoverySpecification: &dynamodbtypes.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)}}); err != nil {
		t.Fatal(err)
	}
	w.want("backups", "ok")
	if _, err := table.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{TableName: &w.Settings.Table, GlobalSecondaryIndexUpdates: []dynamodbtypes.GlobalSecondaryIndexUpdate{{Delete: &dynamodbtypes.DeleteGlobalSecondaryIndexAction{IndexName: aws.String("owner")}}}}); err != nil {
		t.Fatal(err)
	}
	w.want("table", "problem: the table has no index owner")
	w.Settings.Table = "no-such-table"
	w.want("table", "problem: does not exist")
}

func (w *checkWorld) resource(id, kind, physical string) {
	w.Stack.Resources[id] = Resource{ID: physical, Type: kind}
}

func TestCheckAlarms(t *testing.T) {
	w := newCheckWorld(t)
	client := sns.NewFromConfig(w.Stack.AWS)
	topic, err := client.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("alarms-" + rand.Text()[:8])})
	if err != nil {
		t.Fatal(err)
	}
	w.resource("AlarmMail", "AWS::SNS::Topic", *topic.TopicArn)
	w.want("alarms", "problem: AlarmMail has no subscription")
	if _, err := client.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: topic.TopicArn, Protocol: aws.String("email"), Endpoint: aws.String("you@example.com")}); err != nil {
		t.Fatal(err)
	}
	w.want("alarms", "ok: somebody is subscribed")
	// The stand-in confirms by itself; AWS answers so until the link in the e-mail is clicked.
	w.answer("ListSubscriptionsByTopic", `<ListSubscriptionsByTopicResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><ListSubscriptionsByTopicResult><Subscriptions><member><SubscriptionArn>PendingConfirmation</SubscriptionArn><Protocol>email</Protocol></member></Subscriptions></ListSubscriptionsByTopicResult></ListSubscriptionsByTopicResponse>`)
	w.want("alarms", "problem: AlarmMail has nobody who has confirmed")
}

// answer makes AWS answer one action with a text.
func (w *checkWorld) answer(action, text string) {
	w.t.Helper()
	engine, err := url.Parse(*w.Stack.AWS.BaseEndpoint)
	if err != nil {
		w.t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(engine)
	site := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if bytes.Contains(body, []byte("Action="+action)) {
			_, _ = io.WriteString(rw, text)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		forward.ServeHTTP(rw, r)
	}))
	w.t.Cleanup(site.Close)
	w.Stack.AWS = w.Stack.AWS.Copy()
	w.Stack.AWS.BaseEndpoint = &site.URL
}

func TestCheckSchedules(t *testing.T) {
	w := newCheckWorld(t)
	client, name := scheduler.NewFromConfig(w.Stack.AWS), "due-"+rand.Text()[:8]
	target := &schedulertypes.Target{Arn: aws.String("arn:aws:lambda:eu-central-1:123456789012:function:sweep"), RoleArn: aws.String("arn:aws:iam::123456789012:role/r")}
	window := &schedulertypes.FlexibleTimeWindow{Mode: schedulertypes.FlexibleTimeWindowModeOff}
	if _, err := client.CreateSchedule(t.Context(), &scheduler.CreateScheduleInput{Name: &name, ScheduleExpression: aws.String("rate(1 minute)"), FlexibleTimeWindow: window, Target: target}); err != nil {
		t.Fatal(err)
	}
	w.resource("SweepDue", "AWS::Scheduler::Schedule", name)
	w.want("schedules", "ok: 1 schedule, all enabled")
	if _, err := client.UpdateSchedule(t.Context(), &scheduler.UpdateScheduleInput{Name: &name, ScheduleExpression: aws.String("rate(1 minute)"), FlexibleTimeWindow: window, Target: target, State: schedulertypes.ScheduleStateDisabled}); err != nil {
		t.Fatal(err)
	}
	w.resource("CreditsCheck", "AWS::Scheduler::Schedule", "gone")
	w.want("schedules", "problem: CreditsCheck does not exist; SweepDue is disabled")
}

func TestCheckStreams(t *testing.T) {
	w := newCheckWorld(t)
	got, err := dynamodb.NewFromConfig(w.Stack.AWS).DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &w.Settings.Table})
	if err != nil {
		t.Fatal(err)
	}
	client := lambda.NewFromConfig(w.Stack.AWS)
	sweep := w.Stack.Functions()["Sweep"]
	made, err := client.CreateEventSourceMapping(t.Context(), &lambda.CreateEventSourceMappingInput{FunctionName: &sweep, EventSourceArn: got.Table.LatestStreamArn, StartingPosition: lambdatypes.EventSourcePositionTrimHorizon})
	if err != nil {
		t.Fatal(err)
	}
	w.resource("Work", "AWS::Lambda::EventSourceMapping", *made.UUID)
	w.want("streams", "ok: 1 reader")
	if _, err := client.UpdateEventSourceMapping(t.Context(), &lambda.UpdateEventSourceMappingInput{UUID: made.UUID, Enabled: aws.Bool(false)}); err != nil {
		t.Fatal(err)
	}
	w.want("streams", "problem: Work is disabled")
}

func TestCheckRelease(t *testing.T) {
	w := newCheckWorld(t)
	client := lambda.NewFromConfig(w.Stack.AWS)
	var last *string
	for _, name := range w.Stack.Functions() {
		v, err := client.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: &name})
		if err != nil {
			t.Fatal(err)
		}
		w.resource("Alias"+name, "AWS::Lambda::Alias", name)
		last = &name
		if name == w.Stack.Functions()["Images"] {
			continue // deployed without an alias
		}
		if _, err := client.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: &name, Name: aws.String(liveAlias), FunctionVersion: v.Version}); err != nil {
			t.Fatal(err)
		}
	}
	w.want("release", "problem: Images has no alias live")
	images := w.Stack.Functions()["Images"]
	if _, err := client.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: &images, Name: aws.String(liveAlias), FunctionVersion: aws.String("1")}); err != nil {
		t.Fatal(err)
	}
	w.want("release", "ok: all 3 functions run what was deployed last")
	var code bytes.Buffer
	z := zip.NewWriter(&code)
	f, err := z.Create("bootstrap")
	if err == nil {
		_, err = io.WriteString(f, "another release")
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: last, ZipFile: code.Bytes()}); err != nil {
		t.Fatal(err)
	}
	if got := w.see("release"); !strings.HasSuffix(got, "runs older code than was deployed last") {
		t.Errorf("release is %q", got)
	}
}

// What the next release was given is not what runs.
func TestSettingsAreThoseOfTheLiveVersion(t *testing.T) {
	w := newCheckWorld(t)
	client := lambda.NewFromConfig(w.Stack.AWS)
	for _, name := range w.Stack.Functions() {
		v, err := client.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: &name})
		if err == nil {
			_, err = client.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: &name, Name: aws.String(liveAlias), FunctionVersion: v.Version})
		}
		next := map[string]string{"NANOBANANA_BASE_URL": "https://next.example.com"}
		if err == nil {
			_, err = client.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: &name, Environment: &lambdatypes.Environment{Variables: next}})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	e, err := OpenStack(t.Context(), w.Stack.AWS, w.Stack.Name, slog.New(slog.DiscardHandler))
	if err != nil || e.Settings.BaseURL != w.Settings.BaseURL || e.Settings.Table != w.Settings.Table {
		t.Errorf("%v, settings %+v; want those of the live version", err, e)
	}
}

// The account's limit is not in the stand-in.
func TestCheckConcurrency(t *testing.T) {
	for name, test := range map[string]struct {
		settings string
		wait     time.Duration
		want     string
	}{
		"a new account":                {`{"AccountLimit":{"ConcurrentExecutions":10,"UnreservedConcurrentExecutions":10}}`, 20 * time.Second, "problem: the account may run 10"},
		"a new account, without waits": {`{"AccountLimit":{"ConcurrentExecutions":10,"UnreservedConcurrentExecutions":10}}`, 0, "ok: the account may run 10"},
		"enough":                       {`{"AccountLimit":{"ConcurrentExecutions":1000,"UnreservedConcurrentExecutions":1000}}`, 20 * time.Second, "ok: 1000 runs"},
	} {
		t.Run(name, func(t *testing.T) {
			site := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, test.settings) }))
			t.Cleanup(site.Close)
			c := &checker{Env: &Env{Stack: &Stack{AWS: aws.Config{Region: "eu-central-1", BaseEndpoint: &site.URL, Credentials: aws.AnonymousCredentials{}}}}}
			c.Settings.WaitMax = test.wait
			c.stack = func() (deployed, error) { return deployed{}, nil }
			got := c.concurrencySuffices(t.Context())
			if line := string(got.State) + ": " + got.Text; !strings.HasPrefix(line, test.want) {
				t.Errorf("got %q", line)
			}
		})
	}
	c := &checker{Env: &Env{Stack: &Stack{AWS: aws.Config{}}}}
	if got := c.cannotSee(io.ErrUnexpectedEOF, "x"); got.State != unseen || strings.Contains(got.Text, "nil") {
		t.Errorf("%+v", got)
	}
}
