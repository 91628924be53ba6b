package template_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/preset/nanobanana-functions/shared/config"
)

// limits are a function's timeout, memory and environment.
type limits struct {
	timeout, memory float64 // s, MiB
	env             string
}

var functionLimits = map[string]limits{
	"submit":   {28, 256, "ALLOWED_TERMS ALLOW_ANONYMOUS AUTH_AUDIENCE AUTH_ISSUER AUTH_JWKS_URL BUCKET DAILY_QUOTA LOG_LEVEL MAX_GENERATIONS METRICS_NAMESPACE NANOBANANA_BASE_URL NANOBANANA_RECORD_PATH NOTIFY_URL PRICES PUBLIC_URL REFUSED_TERMS RESULT_HOSTS SECRET_ARN TABLE"},
	"tasks":    {25, 256, "ALLOW_ANONYMOUS AUTH_AUDIENCE AUTH_ISSUER AUTH_JWKS_URL LOG_LEVEL MAX_GENERATIONS METRICS_NAMESPACE NANOBANANA_BASE_URL NANOBANANA_RECORD_PATH NOTIFY_URL PUBLIC_URL RESULT_HOSTS SECRET_ARN TABLE WAIT_MAX"},
	"credits":  {10, 256, "ALLOW_ANONYMOUS AUTH_AUDIENCE AUTH_ISSUER AUTH_JWKS_URL DAILY_BUDGET DAILY_QUOTA LOG_LEVEL LOW_CREDITS METRICS_NAMESPACE NANOBANANA_BASE_URL NOTIFY_URL PRICES SECRET_ARN TABLE"},
	"callback": {15, 256, "LOG_LEVEL MAX_GENERATIONS METRICS_NAMESPACE NANOBANANA_BASE_URL NANOBANANA_RECORD_PATH NOTIFY_URL RESULT_HOSTS SECRET_ARN TABLE"},
	"images":   {5, 256, "BUCKET LOG_LEVEL METRICS_NAMESPACE SECRET_ARN"},
	"uploads":  {10, 256, "ALLOW_ANONYMOUS AUTH_AUDIENCE AUTH_ISSUER AUTH_JWKS_URL BUCKET LOG_LEVEL METRICS_NAMESPACE SECRET_ARN TABLE UPLOADS_PER_DAY"},
	"sweep":    {90, 256, "BUCKET LOG_LEVEL MAX_GENERATIONS METRICS_NAMESPACE NANOBANANA_BASE_URL NANOBANANA_RECORD_PATH NOTIFY_URL POST_RATE PUBLIC_URL RESULT_HOSTS SECRET_ARN TABLE"},
	"ingest":   {900, 1024, "BUCKET LOG_LEVEL METRICS_NAMESPACE NOTIFY_URL TABLE"},
	"mcp":      {28, 256, "ALLOWED_TERMS ALLOW_ANONYMOUS AUTH_AUDIENCE AUTH_ISSUER AUTH_JWKS_URL BUCKET CONFIRM_CREDITS CORS_ORIGINS DAILY_QUOTA LOG_LEVEL LOW_CREDITS MAX_GENERATIONS METRICS_NAMESPACE NANOBANANA_BASE_URL NANOBANANA_RECORD_PATH NOTIFY_URL OAUTH_API_KEY OAUTH_PROXY PRICES PUBLIC_URL REFUSED_TERMS RESULT_HOSTS SECRET_ARN TABLE UPLOADS_PER_DAY WAIT_MAX"},
	"notify":   {30, 256, "LOG_LEVEL METRICS_NAMESPACE NOTIFY_URL PUBLIC_URL SECRET_ARN TABLE"},
}

// reservedConcurrency is what ReserveConcurrency keeps for the functions that
// finish paid work, and the most that it leaves to those that wait.
var reservedConcurrency = map[string]string{"callback": "20", "sweep": "2", "ingest": "40", "tasks": `{"Ref": "TasksConcurrency"}`, "mcp": `{"Ref": "McpConcurrency"}`}

func TestFunctions(t *testing.T) {
	s := template(t)
	if got, want := len(s.ofType("AWS::Lambda::Function")), len(functionNames(t)); got != want {
		t.Errorf("%d functions in the template, %d folders", got, want)
	}
	routes := slices.Collect(maps.Values(s.routes(t)))
	for _, name := range functionNames(t) {
		r, want := s.functionResource(t, name), functionLimits[name]
		p := r.Properties
		if p["Timeout"] != want.timeout || p["MemorySize"] != want.memory {
			t.Errorf("%s: timeout %v, memory %v; want %v", name, p["Timeout"], p["MemorySize"], want)
		}
		if slices.Contains(routes, logicalID(name)) && want.timeout >= 30 {
			t.Errorf("%s may take longer than the gateway waits", name)
		}
		variables, _ := dig(p, "Environment", "Variables").(map[string]any)
		if got := strings.Join(slices.Sorted(maps.Keys(variables)), " "); got != want.env {
			t.Errorf("%s has\n%s, want\n%s", name, got, want.env)
		}
		checkJSON(t, name+"'s build", r.Metadata["BuildMethod"], `"go1.x"`)
		checkJSON(t, name+"'s code", dig(p, "Code", "S3Key"), `"functions/`+name+`/bootstrap/"`)
		checkJSON(t, name+"'s handler", p["Handler"], `"bootstrap"`)
		checkJSON(t, name+"'s runtime", p["Runtime"], `"provided.al2023"`)
		checkJSON(t, name+"'s processor", p["Architectures"], `[{"Ref": "Architecture"}]`)
		checkJSON(t, name+"'s tracing", p["TracingConfig"], `{"Mode": "Active"}`)
		checkJSON(t, name+"'s log", p["LoggingConfig"], `{"LogGroup": {"Ref": "Logs"}}`)
		concurrency := "null"
		if n := reservedConcurrency[name]; n != "" {
			concurrency = `{"Fn::If": ["Reserve", ` + n + `, {"Ref": "AWS::NoValue"}]}`
		}
		checkJSON(t, name+"'s concurrency", p["ReservedConcurrentExecutions"], concurrency)
	}
	checkJSON(t, "the default architecture", s.Parameters["Architecture"].Default, `"arm64"`)
	checkJSON(t, "the default of ReserveConcurrency", s.Parameters["ReserveConcurrency"].Default, `"no"`)
}

// cfn-lint accepts a wrong rate. The scheduler invokes asynchronously, so
// Lambda has to be told "no retries", too.
func TestSchedules(t *testing.T) {
	s := template(t)
	target := func(function, role, rest, policy string) string {
		return `{"Arn": {"Ref": "` + function + `Aliaslive"}, "RoleArn": {"Fn::GetAtt": ["` + role + `", "Arn"]}` + rest + `, "RetryPolicy": {"MaximumRetryAttempts": 0` + policy + `}}`
	}
	const young = `, "MaximumEventAgeInSeconds": 60`
	schedules := map[string]string{
		"SweepDue":     `{"ScheduleExpression": "rate(1 minute)", "FlexibleTimeWindow": {"Mode": "OFF"}, "Target": ` + target("Sweep", "SweepDueRole", "", young) + `}`,
		"CreditsCheck": `{"ScheduleExpression": "rate(5 minutes)", "FlexibleTimeWindow": {"Mode": "OFF"}, "Target": ` + target("Credits", "CreditsCheckRole", `, "Input": "{\"check\":\"credits\"}"`, "") + `}`,
	}
	found := s.ofType("AWS::Scheduler::Schedule")
	if len(found) != len(schedules) {
		t.Errorf("%d schedules, want %d", len(found), len(schedules))
	}
	for id, want := range schedules {
		checkJSON(t, id, found[id].Properties, want) // so there is no Name
	}
	for _, id := range []string{"Sweep", "Credits"} {
		checkJSON(t, id+"'s retries", s.Resources[id+"EventInvokeConfig"].Properties["MaximumRetryAttempts"], "0")
	}
	// By default Lambda keeps an event that it cannot start for six hours.
	checkJSON(t, "a sweep's age", s.Resources["SweepEventInvokeConfig"].Properties["MaximumEventAgeInSeconds"], "60")
}

// neededSettings returns the settings that a function's main requires.
func neededSettings(t testing.TB, name string) (found []config.Need) {
	t.Helper()
	source, err := os.ReadFile("../" + name + "/bootstrap/main.go")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]config.Need{"NeedTable": config.NeedTable, "NeedBucket": config.NeedBucket, "NeedSecretARN": config.NeedSecretARN, "NeedAuthIssuer": config.NeedAuthIssuer}
	for _, m := range regexp.MustCompile(`config\.(Need\w+)`).FindAllStringSubmatch(string(source), -1) {
		if known[m[1]] == "" {
			t.Fatalf("%s needs %s, which this test does not know", name, m[1])
		}
		found = append(found, known[m[1]])
	}
	return found
}

// settingResources are the resources behind the settings that are no
// parameters.
var settingResources = map[string]string{"TABLE": "Table", "BUCKET": "Bucket", "SECRET_ARN": "Secret"}

// parameterOf returns the parameter of a setting: LogLevel for LOG_LEVEL.
func parameterOf(variable string) string {
	name := ""
	for word := range strings.SplitSeq(strings.ToLower(variable), "_") {
		name += logicalID(word)
	}
	return name
}

// environmentOf returns a function's environment with these values of
// parameters.
func (s *stack) environmentOf(t testing.TB, name string, values map[string]string) map[string]string {
	t.Helper()
	env := map[string]string{}
	variables, _ := dig(s.functionResource(t, name).Properties, "Environment", "Variables").(map[string]any)
	for variable, value := range variables {
		id := parameterOf(variable)
		if settingResources[variable] != "" {
			id = settingResources[variable]
		}
		if variable == "METRICS_NAMESPACE" {
			checkJSON(t, name+"'s "+variable, value, `{"Fn::Sub": "`+ourNamespace+`"}`)
			env[variable] = ourNamespace
			continue
		}
		checkJSON(t, name+"'s "+variable, value, `{"Ref": "`+id+`"}`)
		p, ok := s.Parameters[id]
		switch given, is := values[id]; {
		case is:
			env[variable] = given
		case ok:
			env[variable] = fmt.Sprint(p.Default)
		default:
			env[variable] = "the-" + id
		}
	}
	return env
}

// allStart returns an error unless every function starts with these values of
// parameters.
func (s *stack) allStart(t testing.TB, values map[string]string) error {
	t.Helper()
	for name := range functionLimits {
		env := s.environmentOf(t, name, values)
		if env["AWS_SAM_LOCAL"] != "" {
			t.Errorf("%s has AWS_SAM_LOCAL", name)
		}
		if _, err := config.Load(func(v string) string { return env[v] }, config.Lambda, neededSettings(t, name)...); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func TestDefaults(t *testing.T) {
	s := template(t)
	for name, p := range s.Parameters {
		if p.Default == nil || !p.allows(fmt.Sprint(p.Default)) {
			t.Errorf("%s has no default, or one that it forbids: %v", name, p.Default)
		}
	}
	if err := s.allStart(t, nil); err != nil {
		t.Error(err)
	}
	// Nobody can own the default issuer's domain.
	if issuer := s.Parameters["AuthIssuer"].Default.(string); !strings.HasPrefix(issuer, "https://not-set.invalid/") {
		t.Errorf("the default issuer is %s", issuer)
	}
}

// patterns returns the expressions that a value must match: a pattern that begins with
// a group to look ahead, which Go does not know, is two.
func (p parameter) patterns() []*regexp.Regexp {
	first, rest, ahead := strings.Cut(strings.TrimPrefix(*p.AllowedPattern, "^(?="), "$)")
	if !ahead || !strings.HasPrefix(*p.AllowedPattern, "^(?=") {
		return []*regexp.Regexp{regexp.MustCompile(*p.AllowedPattern)}
	}
	return []*regexp.Regexp{regexp.MustCompile("^" + first + "$"), regexp.MustCompile("^" + rest)}
}

func (p parameter) allows(value string) bool {
	if p.AllowedPattern != nil && slices.ContainsFunc(p.patterns(), func(r *regexp.Regexp) bool { return !r.MatchString(value) }) {
		return false
	}
	if p.MaxLength > 0 && utf8.RuneCountInString(value) > p.MaxLength {
		return false
	}
	if p.AllowedValues != nil && !slices.Contains(p.AllowedValues, value) {
		return false
	}
	var n float64
	if p.Type == "Number" {
		if _, err := fmt.Sscanf(value, "%g", &n); err != nil || p.MinValue == nil || p.MaxValue == nil {
			return false
		}
		return n >= *p.MinValue && n <= *p.MaxValue
	}
	return true
}

// The functions start with every value that a parameter allows.
func TestParameters(t *testing.T) {
	s := template(t)
	for name, samples := range map[string]struct{ good, bad []string }{
		"AuthIssuer":           {[]string{"https://abcdefghijklmnopqrst.supabase.co/auth/v1", "https://id.example.com"}, []string{"", "http://a.example.com", "https://a.example.com/?x", "https://a.example.com ", "https://localhost/auth", "https://u@a.example.com"}},
		"CorsOrigins":          {[]string{"", "*", "https://app.example.com", "https://a.example.com,http://localhost:3000"}, []string{"*,https://a.example.com", "https://a.example.com/", "https://a.example.com,", "app.example.com"}},
		"PublicUrl":            {[]string{"", "https://img.example.com"}, []string{"https://img.example.com/", "https://img.example.com/v1", "http://img.example.com", "img.example.com"}},
		"NotifyUrl":            {[]string{"", "https://abcdefghijklmnopqrst.supabase.co/functions/v1/ai-images", "https://a.example.com:8443/hook?v=1"}, []string{"http://a.example.com", "https://localhost/hook", "https://u:p@a.example.com", "https://a.example.com/#x", "https://a.example.com/%zz"}},
		"AlarmTopic":           {[]string{"", "arn:aws:sns:eu-central-1:123456789012:ops"}, []string{"ops", "arn:aws:sqs:eu-central-1:123456789012:ops"}},
		"LowCredits":           {[]string{"0", "500"}, []string{"-1", ""}},
		"ConfirmCredits":       {[]string{"0", "18"}, []string{"-1", ""}},
		"DailyQuota":           {[]string{"0", "50"}, []string{"-1", "1000001"}},
		"MaxGenerations":       {[]string{"1", "10"}, []string{"0", "11"}},
		"PostRate":             {[]string{"0", "20/10s", "9999/1s", "1/60s"}, []string{"", "20", "20/10", "0/10s", "1/0s", "20/1h", "20/61s", "10000/10s"}},
		"WaitMax":              {[]string{"0", "20"}, []string{"21"}},
		"Prices":               {[]string{"", "nano-banana=4", "nano-banana=4.5,nano-banana-2/2K=12"}, []string{"nano-banana", "nano-banana=4,", "nano-banana=4, nano-banana-2=5", "=4"}},
		"AuthAudience":         {[]string{"authenticated"}, []string{"", "a b"}},
		"AuthJwksUrl":          {[]string{"", "https://id.example.com/keys?v=1"}, []string{"http://id.example.com/keys"}},
		"OauthProxy":           {[]string{"true", "false"}, []string{"", "on"}},
		"OauthApiKey":          {[]string{"", "sb_publishable_aB-3_x", "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.x"}, []string{"sb_secret_x", "key", "sb_publishable_", "sb_publishable_a b"}}, // {"role":"anon"}
		"NanobananaBaseUrl":    {[]string{"https://api.example.com", "https://api.example.com/x"}, []string{"", "http://api.example.com", "https://api.example.com?x"}},
		"NanobananaRecordPath": {[]string{"/nanobanana/record"}, []string{"", "record", "/a/../b", "/a?x", "/a/"}},
		"ResultHosts":          {[]string{"a.example.com", "a.example.com,b.example.com"}, []string{"", "https://a.example.com", "a.example.com/x", "localhost", "a.example.com,"}},
		"RefusedTerms":         {[]string{"", "acme", "acme, Straße 7,ヌード,rock 'n' roll"}, []string{"a,,b", "a,", " a", "a ", "--", "a\nb", strings.Repeat("a", 61)}},
		"AllowedTerms":         {[]string{"", "nude,bust study"}, []string{"nude,", "nude\n"}},
		"LogLevel":             {[]string{"debug", "info"}, []string{"", "trace", "warn", "error"}}, // the alarms need lines of level info
	} {
		p, ok := s.Parameters[name]
		if !ok {
			t.Errorf("there is no parameter %s", name)
		}
		for _, v := range samples.good {
			if err := s.allStart(t, map[string]string{name: v}); !p.allows(v) || err != nil {
				t.Errorf("%s %q: allowed %v, starts: %v", name, v, p.allows(v), err)
			}
		}
		for _, v := range samples.bad {
			if p.allows(v) {
				t.Errorf("%s allows %q", name, v)
			}
		}
	}
}
