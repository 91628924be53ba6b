// Package template_test checks template.yaml as CloudFormation gets it, the
// events in events/, and the scripts in local/aws that an operator runs against
// a stack.
package template_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/preset/nanobanana-functions/functions/callback"
	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/functions/images"
	"github.com/preset/nanobanana-functions/functions/mcp"
	"github.com/preset/nanobanana-functions/functions/mcp/oauthproxy"
	"github.com/preset/nanobanana-functions/functions/submit"
	"github.com/preset/nanobanana-functions/functions/tasks"
	"github.com/preset/nanobanana-functions/functions/uploads"
	"github.com/preset/nanobanana-functions/shared/config"
)

// stack is template.yaml as CloudFormation gets it, from local/aws/transform.py.
type stack struct {
	Parameters map[string]parameter
	Conditions map[string]any
	Mappings   map[string]map[string]map[string]any
	Resources  map[string]resource
	Outputs    map[string]struct{ Value any }
}

type parameter struct {
	Type               string
	Default            any
	AllowedPattern     *string
	AllowedValues      []string
	MaxLength          int
	MinValue, MaxValue *float64
}

type resource struct {
	Condition                                 string
	Type, DeletionPolicy, UpdateReplacePolicy string
	Metadata, Properties, UpdatePolicy        map[string]any
}

// needPython returns a Python with the packages of requirements.txt. Without
// one the test is skipped; with AWS_TESTS=required, as in CI, it fails.
func needPython(t testing.TB) string {
	t.Helper()
	name, err := findPython()
	switch {
	case err != nil && os.Getenv("AWS_TESTS") == "required":
		t.Fatalf("%s: run this by make test-aws: %v", name, err)
	case err != nil:
		t.Skip("needs aws-sam-translator and cfn-lint, which make test-aws installs")
	}
	return name
}

var findPython = sync.OnceValues(func() (string, error) {
	name := cmp.Or(os.Getenv("AWS_PYTHON"), "python3")
	_, err := runAtRoot(name, "-c", "import samtranslator, cfnlint")
	return name, err
})

// runAtRoot runs a program at the module's root. Its error contains the
// program's output.
func runAtRoot(name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%s: %w\n%s%s", name, err, out, exit.Stderr)
	}
	return out, err
}

// template transforms the template once for all tests.
func template(t testing.TB) *stack {
	t.Helper()
	needPython(t)
	s, err := transformOnce()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var transformOnce = sync.OnceValues(func() (*stack, error) { return transform("template.yaml") })

// transform returns a template as CloudFormation gets it with these values of
// parameters, each NAME=VALUE.
func transform(file string, values ...string) (*stack, error) {
	name, err := findPython()
	if err != nil {
		return nil, err
	}
	out, err := runAtRoot(name, append([]string{"local/aws/transform.py", file}, values...)...)
	if err != nil {
		return nil, err
	}
	var s stack
	return &s, json.Unmarshal(out, &s)
}

// ofType returns the resources of a type.
func (s *stack) ofType(kind string) map[string]resource {
	found := maps.Clone(s.Resources)
	maps.DeleteFunc(found, func(_ string, r resource) bool { return r.Type != kind })
	return found
}

// functionResource returns the function whose folder is name.
func (s *stack) functionResource(t testing.TB, name string) resource {
	t.Helper()
	r, ok := s.Resources[logicalID(name)]
	if !ok || r.Type != "AWS::Lambda::Function" {
		t.Fatalf("the template has no function %s", logicalID(name))
	}
	return r
}

func logicalID(folder string) string { return strings.ToUpper(folder[:1]) + folder[1:] }

// dig returns what is at a path of names and indexes in a JSON value, or nil.
func dig(v any, path ...string) any {
	for _, step := range path {
		switch x := v.(type) {
		case map[string]any:
			v = x[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

// checkJSON compares a JSON value with another, given as text.
func checkJSON(t testing.TB, what string, got any, want string) {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(want), &v); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if g, w := encode(got), encode(v); g != w {
		t.Errorf("%s is %s, want %s", what, g, w)
	}
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestLint(t *testing.T) {
	if _, err := runAtRoot(needPython(t), "-c", "import sys, cfnlint.runner; sys.exit(cfnlint.runner.main())", "template.yaml"); err != nil {
		t.Fatal(err)
	}
}

// functionNames returns the functions that exist.
func functionNames(t testing.TB) (names []string) {
	t.Helper()
	mains, err := filepath.Glob("../*/bootstrap/main.go")
	if err != nil || len(mains) == 0 {
		t.Fatalf("no function: %v", err)
	}
	for _, main := range mains {
		names = append(names, filepath.Base(filepath.Dir(filepath.Dir(main))))
	}
	return names
}

// registeredRoutes returns the routes that a function registers, in order.
func registeredRoutes(function string) (routes []string) {
	collect := func(pattern string, _ http.Handler) { routes = append(routes, pattern) }
	switch function {
	case "submit":
		submit.Register(collect, submit.Function{})
	case "tasks":
		tasks.Register(collect, tasks.Function{})
	case "images":
		images.Register(collect, images.Function{})
	case "uploads":
		uploads.Register(collect, uploads.Function{})
	case "credits":
		credits.Register(collect, credits.Function{})
	case "callback":
		callback.Register(collect, callback.Function{})
	case "mcp":
		mcp.Register(collect, mcp.Function{})
		oauthproxy.Register(collect, oauthproxy.Function{Settings: config.Settings{OAuthProxy: true}})
	}
	slices.Sort(routes)
	return routes
}

// routes returns the logical id of each route's function.
func (s *stack) routes(t testing.TB) map[string]string {
	t.Helper()
	found := map[string]string{}
	paths, _ := dig(s.Resources["Api"].Properties, "Body", "paths").(map[string]any)
	for path, methods := range paths {
		for method, operation := range methods.(map[string]any) {
			integration := dig(operation, "x-amazon-apigateway-integration")
			uri, _ := dig(integration, "uri", "Fn::Sub").(string)
			m := integrationURI.FindStringSubmatch(uri)
			if m == nil || dig(integration, "payloadFormatVersion") != "2.0" {
				t.Fatalf("%s %s leads to %s", method, path, encode(integration))
			}
			found[strings.ToUpper(method)+" "+path] = m[1]
		}
	}
	return found
}

var integrationURI = regexp.MustCompile(`/functions/\$\{(\w+)Aliaslive\}/invocations$`)

// Routes are written in three places: the functions, the template and the
// contract. The local run takes them from the functions.
func TestRoutes(t *testing.T) {
	routes := template(t).routes(t)
	got := slices.Sorted(maps.Keys(routes))

	doc, err := openapi3.NewLoader().LoadFromFile("../../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var contract []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			contract = append(contract, method+" "+path)
		}
	}
	slices.Sort(contract)
	if !slices.Equal(got, contract) {
		t.Errorf("the template has %q, openapi.yaml %q", got, contract)
	}
	local, err := os.ReadFile("../../local/serve/server.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range functionNames(t) {
		var led []string
		for _, route := range got {
			if routes[route] == logicalID(name) {
				led = append(led, route)
			}
		}
		routes := registeredRoutes(name)
		if !slices.Equal(led, routes) {
			t.Errorf("the template leads %q to %s, which registers %q", led, name, routes)
		}
		if len(routes) > 0 && !strings.Contains(string(local), "\t"+name+".Register(") {
			t.Errorf("local/serve/server.go does not register %s", name)
		}
	}
}

func TestAPI(t *testing.T) {
	s := template(t)
	checkCORS(t, dig(s.Resources["Api"].Properties, "Body", "x-amazon-apigateway-cors"))

	stage := s.Resources["ApiApiGatewayDefaultStage"].Properties
	routes := s.routes(t)
	throttles := map[string]any{"by default": stage["DefaultRouteSettings"]}
	for route, settings := range stage["RouteSettings"].(map[string]any) {
		if throttles[route] = settings; routes[route] == "" {
			t.Errorf("%s has a throttle but is no route", route)
		}
	}
	for route, settings := range throttles {
		rate, _ := dig(settings, "ThrottlingRateLimit").(float64)
		burst, _ := dig(settings, "ThrottlingBurstLimit").(float64)
		if rate <= 0 || burst < rate {
			t.Errorf("%s is throttled at %v", route, settings)
		}
	}
	checkAccessLog(t, stage)
}

// checkCORS checks that browsers get the same from the gateway as from the
// local run.
func checkCORS(t *testing.T, configured any) {
	t.Helper()
	checkJSON(t, "CORS", configured, `{"Fn::If": ["HasCors", {
		"allowOrigins": {"Fn::Split": [",", "*"]}, "allowMethods": ["GET", "POST", "PUT", "DELETE"], "maxAge": 600,
		"allowHeaders": ["Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "MCP-Protocol-Version", "Mcp-Session-Id", "Mcp-Method", "Mcp-Name"],
		"exposeHeaders": ["Location", "ETag", "Retry-After", "Idempotency-Replayed", "X-Request-Id", "WWW-Authenticate", "Mcp-Session-Id"]}, {"Ref": "AWS::NoValue"}]}`)
	local, err := os.ReadFile("../../local/serve/cors.go")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(encode(configured)+string(local), "On-Behalf-Of") {
		t.Error("a browser may send a service token's On-Behalf-Of")
	}
	for _, member := range []string{"allowMethods", "allowHeaders", "exposeHeaders"} {
		var names []string
		for _, name := range list(dig(configured, "Fn::If", "1", member)) {
			names = append(names, name.(string))
		}
		if !strings.Contains(string(local), `"`+strings.Join(names, ", ")+`"`) {
			t.Errorf("local/serve/cors.go has other %s", member)
		}
	}
}

// checkAccessLog checks that the log has neither paths nor queries, because
// paths contain tokens.
func checkAccessLog(t *testing.T, stage map[string]any) {
	t.Helper()
	checkJSON(t, "the access log", dig(stage, "AccessLogSettings", "DestinationArn"), `{"Fn::GetAtt": ["AccessLogs", "Arn"]}`)
	format, _ := dig(stage, "AccessLogSettings", "Format").(string)
	if !json.Valid([]byte(format)) || strings.Contains(format, "\n") {
		t.Errorf("the access log's lines are not JSON: %s", format)
	}
	harmless := []string{"requestTime", "requestId", "routeKey", "status", "responseLength", "responseLatency", "integrationLatency", "error.responseType"}
	variables := regexp.MustCompile(`\$context\.([\w.]+)`).FindAllStringSubmatch(format, -1)
	if len(variables) != strings.Count(format, "$") || len(variables) < 4 {
		t.Errorf("the access log has %s", format)
	}
	for _, v := range variables {
		if !slices.Contains(harmless, v[1]) {
			t.Errorf("the access log has %s", v[0])
		}
	}
}
