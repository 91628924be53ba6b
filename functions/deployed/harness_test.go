// Package deployed_test runs the functions' real binaries on loopback, as
// template.yaml deploys them, against stand-ins of AWS and the provider.
package deployed_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/functions/deployed/lambdatest"
	"github.com/preset/nanobanana-functions/shared/auth/authtest"
	"github.com/preset/nanobanana-functions/shared/aws/env/envtest"
	"github.com/preset/nanobanana-functions/shared/aws/taskdb/taskdbtest"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// binaries are built once for all tests, when first needed.
var (
	binariesDir  string // of TestMain
	binariesLock sync.Mutex
	binaries     = map[string]string{}
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "bootstrap-*")
	if err != nil {
		panic(err)
	}
	binariesDir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func buildBootstrap(t testing.TB, name string) string {
	t.Helper()
	binariesLock.Lock() // one build at a time: the binaries share most packages
	defer binariesLock.Unlock()
	if path, ok := binaries[name]; ok {
		return path
	}
	path, err := lambdatest.Build(context.Background(), filepath.Join(binariesDir, name), "../"+name+"/bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	binaries[name] = path
	return path
}

// harness is everything that is deployed, on loopback: the real binaries behind
// a gateway, with their table, stream, bucket and secret, the simulated
// provider, and an identity provider. Only the schedules are run by the tests.
type harness struct {
	t        testing.TB
	aws      aws.Config
	sim      *nanobananatest.Server
	url      string // of the gateway
	table    string
	bucket   string
	secret   string // its ARN
	mint     *authtest.Mint
	issuer   string
	env      map[string]string
	function map[string]*lambdatest.Function
	proxy    map[string]*envtest.Proxy
	source   map[string]*lambdatest.Stream // of the table, by the function that gets its records
	client   *http.Client

	mu     sync.Mutex // guards hidden
	hidden []string   // what no log may contain
}

const (
	callbackKey = "callback-key-that-nobody-may-see"
	imageKey    = "image-key-that-nobody-may-ever-see"
	notifyKey   = "notify+key+that+nobody+may+ever+see+that/are+not/us/" // base64, as it is generated
)

// secretValue returns the secret's JSON.
func secretValue(apiKey string, callbackKeys ...string) string {
	list := make([]map[string]string, len(callbackKeys))
	for i, k := range callbackKeys {
		list[i] = map[string]string{"id": fmt.Sprint("c", len(callbackKeys)-i), "key": k}
	}
	b, _ := json.Marshal(map[string]any{
		"apiKey": apiKey, "callbackKeys": list, "imageKeys": []map[string]string{{"id": "i1", "key": imageKey}},
		"notifyKeys": []map[string]string{{"id": "n1", "key": notifyKey}},
	})
	return string(b)
}

// newHarness returns a harness whose functions have env besides their own
// settings.
func newHarness(t testing.TB, env map[string]string, knobs ...func(*nanobananatest.Knobs)) *harness {
	t.Helper()
	h := &harness{
		t: t, aws: envtest.Config(t), function: map[string]*lambdatest.Function{}, proxy: map[string]*envtest.Proxy{},
		hidden: []string{nanobananatest.DefaultKey, callbackKey, imageKey, notifyKey, "X-Amz-Signature", "Bearer "},
	}
	h.sim = nanobananatest.NewServer(append([]func(*nanobananatest.Knobs){func(k *nanobananatest.Knobs) { k.PictureSide = 64 }}, knobs...)...)
	t.Cleanup(h.sim.Close)
	gateway := lambdatest.NewGateway()
	site := httptest.NewServer(gateway)
	t.Cleanup(site.Close)
	h.url = site.URL
	h.table = taskdbtest.NewTable(t, h.aws)
	h.createBucket()
	h.createSecret(secretValue(nanobananatest.DefaultKey, callbackKey))
	h.startIdentityProvider()

	h.env = map[string]string{
		"TABLE": h.table, "BUCKET": h.bucket, "SECRET_ARN": h.secret, "AUTH_ISSUER": h.issuer, "PUBLIC_URL": h.url, "LOG_LEVEL": "debug",
		"NANOBANANA_BASE_URL": h.sim.URL, "RESULT_HOSTS": strings.TrimPrefix(h.sim.URL, "http://"),
	}
	maps.Copy(h.env, env)
	bundle := readTemplate(t)
	for name, f := range bundle.functions {
		h.deploy(gateway, name, f)
	}
	h.connectStream(bundle.filters)
	h.client = &http.Client{
		Timeout: 40 * time.Second, Transport: httpapitest.Load(t).Transport(t, &http.Transport{}),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(h.checkLogs)
	return h
}

func (h *harness) createBucket() {
	h.t.Helper()
	h.bucket = "pictures-" + strings.ToLower(rand.Text())
	client := s3.NewFromConfig(h.aws, func(o *s3.Options) { o.UsePathStyle = true })
	_, err := client.CreateBucket(h.t.Context(), &s3.CreateBucketInput{
		Bucket:                    &h.bucket,
		CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(h.aws.Region)},
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) createSecret(value string) {
	h.t.Helper()
	name := "nanobanana-" + rand.Text()
	made, err := secretsmanager.NewFromConfig(h.aws).CreateSecret(h.t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value})
	if err != nil {
		h.t.Fatal(err)
	}
	h.secret = *made.ARN
}

// setSecret stores a new secret, as an operator does who rotates a key.
func (h *harness) setSecret(value string) {
	h.t.Helper()
	_, err := secretsmanager.NewFromConfig(h.aws).PutSecretValue(h.t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &h.secret, SecretString: &value})
	if err != nil {
		h.t.Fatal(err)
	}
}

// startIdentityProvider starts the identity provider.
func (h *harness) startIdentityProvider() {
	h.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	mux := http.NewServeMux()
	site := httptest.NewServer(mux)
	h.t.Cleanup(site.Close)
	if h.mint, err = authtest.NewMint(key, site.URL); err != nil {
		h.t.Fatal(err)
	}
	mux.Handle(authtest.Path, h.mint)
	h.issuer = site.URL
}

// deploy sets up a function behind its routes as template.yaml does. It sees
// the variables named there, and those that lead to the stand-ins of AWS and
// the provider.
func (h *harness) deploy(gateway *lambdatest.Gateway, name string, d function) {
	h.t.Helper()
	p := envtest.NewProxy(h.t, h.aws)
	env := map[string]string{
		"AWS_ENDPOINT_URL": p.URL, "AWS_SAM_LOCAL": "true", "AWS_REGION": h.aws.Region,
		"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
	}
	for _, name := range append(d.variables, "NANOBANANA_BASE_URL", "RESULT_HOSTS", "POLL_EVERY") {
		if h.env[name] != "" {
			env[name] = h.env[name]
		}
	}
	f := lambdatest.NewFunction(lambdatest.Config{Name: name, Path: buildBootstrap(h.t, name), Env: env, Timeout: d.timeout})
	h.t.Cleanup(f.Close)
	for _, route := range d.routes {
		gateway.Handle(route, f)
	}
	h.function[name], h.proxy[name] = f, p
}

// answer is an answer of the API.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// decode decodes the body of an answer with this status.
func (a answer) decode(t testing.TB, status int, v any) {
	t.Helper()
	if a.status != status {
		t.Fatalf("answered %d, want %d: %s", a.status, status, a.body)
	}
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
}

// call calls the API as owner, or without a token if owner is empty.
func (h *harness) call(owner, method, path string, body any, header ...string) answer {
	h.t.Helper()
	a, err := h.send(h.client, owner, method, path, body, header...)
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

func (h *harness) send(client *http.Client, owner, method, path string, body any, header ...string) (a answer, err error) {
	var content io.Reader
	if body != nil {
		b, _ := json.Marshal(body)
		content = bytes.NewReader(b)
	}
	if strings.HasPrefix(path, "/") {
		path = h.url + path
	}
	r, err := http.NewRequestWithContext(h.t.Context(), method, path, content)
	if err != nil {
		return a, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if owner != "" {
		r.Header.Set("Authorization", "Bearer "+h.token(owner))
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(r)
	if err != nil {
		return a, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, b}, err
}

func (h *harness) token(owner string) string {
	token, err := h.mint.Token(owner, time.Hour)
	if err != nil {
		panic(err)
	}
	h.hide(token)
	return token
}

// hide adds a secret that no log may contain.
func (h *harness) hide(secret string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hidden = append(h.hidden, secret)
}

func (h *harness) submit(owner string, order map[string]any, key string) (t httpapi.Task) {
	h.t.Helper()
	h.call(owner, http.MethodPost, "/v1/tasks", order, "Idempotency-Key", key).decode(h.t, http.StatusAccepted, &t)
	return t
}

// awaitEnd waits until the task has ended.
func (h *harness) awaitEnd(owner, id string) (t httpapi.Task) {
	h.t.Helper()
	for end := time.Now().Add(time.Minute); !t.Done; {
		if time.Now().After(end) {
			h.t.Fatalf("task %s is still %s\n%s", id, t.Status, h.logs())
		}
		h.call(owner, http.MethodGet, "/v1/tasks/"+id+"?wait=5", nil).decode(h.t, http.StatusOK, &t)
	}
	return t
}

// sweep runs the sweep once.
func (h *harness) sweep() (swept lifecycle.Swept) {
	h.t.Helper()
	body, err := h.function["sweep"].Invoke(h.t.Context(), []byte(`{"version":"0","source":"aws.scheduler"}`))
	if err == nil {
		err = json.Unmarshal(body, &swept)
	}
	if err != nil || swept.Failed > 0 {
		h.t.Fatalf("sweep: %+v, %v\n%s", swept, err, h.function["sweep"].Log())
	}
	return swept
}

// checkCredits runs the scheduled check of the credits once.
func (h *harness) checkCredits() (found credits.Checked) {
	h.t.Helper()
	body, err := h.function["credits"].Invoke(h.t.Context(), []byte(`{"check":"credits"}`))
	if err == nil {
		err = json.Unmarshal(body, &found)
	}
	if err != nil {
		h.t.Fatalf("the check of credits: %v\n%s", err, h.function["credits"].Log())
	}
	return found
}

func (h *harness) logs() string {
	var all strings.Builder
	for name, f := range h.function {
		fmt.Fprintf(&all, "--- %s, %d cold starts\n%s", name, f.Starts(), f.Log())
	}
	return all.String()
}

// checkLogs checks that no line of any function's log contains a key, a user's
// or callback's token, or a signed link.
func (h *harness) checkLogs() {
	for _, made := range h.sim.Tasks() {
		h.hidden = append(h.hidden, made.CallbackURL[strings.LastIndexByte(made.CallbackURL, '/')+1:])
	}
	logs := h.logs()
	for _, secret := range h.hidden {
		if strings.Contains(logs, secret) {
			h.t.Errorf("a log contains %q", secret)
		}
	}
}

// eventually waits until done reports true. After a minute it fails the test with
// the problem.
func eventually(t testing.TB, problem string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after a minute: %s", problem)
		}
	}
}
