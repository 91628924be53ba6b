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

// binaries are built once for all tests, each when it is first asked for.
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

func bootstrap(t testing.TB, name string) string {
	t.Helper()
	binariesLock.Lock() // one at a time: they are built of the same packages
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

// world is the whole bundle as it is deployed, on loopback: the real binaries
// behind a gateway, with their table, stream, bucket and secret, the simulated
// provider, and who signs users in. Only the schedule is the test's to run.
type world struct {
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
	source   map[string]*lambdatest.Stream // the table's, by who gets its records
	client   *http.Client

	mu     sync.Mutex // guards hidden
	hidden []string   // what no log may hold
}

const (
	callbackKey = "callback-key-that-nobody-may-see"
	imageKey    = "image-key-that-nobody-may-ever-see"
	notifyKey   = "notify+key+that+nobody+may+ever+see+that/are+not/us/" // base64, as it is generated
)

// keys is the secret's value.
func keys(apiKey string, callbackKeys ...string) string {
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

// newWorld gives a world whose functions have these settings beside their own.
func newWorld(t testing.TB, env map[string]string, knobs ...func(*nanobananatest.Knobs)) *world {
	t.Helper()
	w := &world{
		t: t, aws: envtest.Config(t), function: map[string]*lambdatest.Function{}, proxy: map[string]*envtest.Proxy{},
		hidden: []string{nanobananatest.DefaultKey, callbackKey, imageKey, notifyKey, "X-Amz-Signature", "Bearer "},
	}
	w.sim = nanobananatest.NewServer(append([]func(*nanobananatest.Knobs){func(k *nanobananatest.Knobs) { k.PictureSide = 64 }}, knobs...)...)
	t.Cleanup(w.sim.Close)
	gateway := lambdatest.NewGateway()
	site := httptest.NewServer(gateway)
	t.Cleanup(site.Close)
	w.url = site.URL
	w.table = taskdbtest.NewTable(t, w.aws)
	w.makeBucket()
	w.makeSecret(keys(nanobananatest.DefaultKey, callbackKey))
	w.makeMint()

	w.env = map[string]string{
		"TABLE": w.table, "BUCKET": w.bucket, "SECRET_ARN": w.secret, "AUTH_ISSUER": w.issuer, "PUBLIC_URL": w.url, "LOG_LEVEL": "debug",
		"NANOBANANA_BASE_URL": w.sim.URL, "RESULT_HOSTS": strings.TrimPrefix(w.sim.URL, "http://"),
	}
	maps.Copy(w.env, env)
	bundle := deployed(t)
	for name, f := range bundle.functions {
		w.deploy(gateway, name, f)
	}
	w.stream(bundle.filters)
	w.client = &http.Client{
		Timeout: 40 * time.Second, Transport: httpapitest.Load(t).Transport(t, &http.Transport{}),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(w.checkLogs)
	return w
}

func (w *world) makeBucket() {
	w.t.Helper()
	w.bucket = "pictures-" + strings.ToLower(rand.Text())
	client := s3.NewFromConfig(w.aws, func(o *s3.Options) { o.UsePathStyle = true })
	_, err := client.CreateBucket(w.t.Context(), &s3.CreateBucketInput{
		Bucket:                    &w.bucket,
		CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(w.aws.Region)},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) makeSecret(value string) {
	w.t.Helper()
	name := "nanobanana-" + rand.Text()
	made, err := secretsmanager.NewFromConfig(w.aws).CreateSecret(w.t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value})
	if err != nil {
		w.t.Fatal(err)
	}
	w.secret = *made.ARN
}

// setSecret is what the operator does who rotates a key.
func (w *world) setSecret(value string) {
	w.t.Helper()
	_, err := secretsmanager.NewFromConfig(w.aws).PutSecretValue(w.t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &w.secret, SecretString: &value})
	if err != nil {
		w.t.Fatal(err)
	}
}

// makeMint starts the identity provider.
func (w *world) makeMint() {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	mux := http.NewServeMux()
	site := httptest.NewServer(mux)
	w.t.Cleanup(site.Close)
	if w.mint, err = authtest.NewMint(key, site.URL); err != nil {
		w.t.Fatal(err)
	}
	mux.Handle(authtest.Path, w.mint)
	w.issuer = site.URL
}

// deploy sets up a function as template.yaml has it, behind its routes: it sees
// the variables that stand there, and what makes stand-ins of AWS and the
// provider reachable.
func (w *world) deploy(gateway *lambdatest.Gateway, name string, d function) {
	w.t.Helper()
	p := envtest.NewProxy(w.t, w.aws)
	env := map[string]string{
		"AWS_ENDPOINT_URL": p.URL, "AWS_SAM_LOCAL": "true", "AWS_REGION": w.aws.Region,
		"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
	}
	for _, name := range append(d.variables, "NANOBANANA_BASE_URL", "RESULT_HOSTS", "POLL_EVERY") {
		if w.env[name] != "" {
			env[name] = w.env[name]
		}
	}
	f := lambdatest.NewFunction(lambdatest.Config{Name: name, Path: bootstrap(w.t, name), Env: env, Timeout: d.timeout})
	w.t.Cleanup(f.Close)
	for _, route := range d.routes {
		gateway.Handle(route, f)
	}
	w.function[name], w.proxy[name] = f, p
}

// answer is what the API said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// into reads the body of an answer with this status.
func (a answer) into(t testing.TB, status int, v any) {
	t.Helper()
	if a.status != status {
		t.Fatalf("answered %d, want %d: %s", a.status, status, a.body)
	}
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
}

// call calls the API as owner, or as anybody if that is empty.
func (w *world) call(owner, method, path string, body any, header ...string) answer {
	w.t.Helper()
	a, err := w.try(w.client, owner, method, path, body, header...)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) try(client *http.Client, owner, method, path string, body any, header ...string) (a answer, err error) {
	var content io.Reader
	if body != nil {
		b, _ := json.Marshal(body)
		content = bytes.NewReader(b)
	}
	if strings.HasPrefix(path, "/") {
		path = w.url + path
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, path, content)
	if err != nil {
		return a, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if owner != "" {
		r.Header.Set("Authorization", "Bearer "+w.token(owner))
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

func (w *world) token(owner string) string {
	token, err := w.mint.Token(owner, time.Hour)
	if err != nil {
		panic(err)
	}
	w.hide(token)
	return token
}

// hide says that no log may hold this.
func (w *world) hide(secret string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hidden = append(w.hidden, secret)
}

func (w *world) submit(owner string, order map[string]any, key string) (t httpapi.Task) {
	w.t.Helper()
	w.call(owner, http.MethodPost, "/v1/tasks", order, "Idempotency-Key", key).into(w.t, http.StatusAccepted, &t)
	return t
}

// ended waits until the task has ended.
func (w *world) ended(owner, id string) (t httpapi.Task) {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); !t.Done; {
		if time.Now().After(end) {
			w.t.Fatalf("task %s is still %s\n%s", id, t.Status, w.logs())
		}
		w.call(owner, http.MethodGet, "/v1/tasks/"+id+"?wait=5", nil).into(w.t, http.StatusOK, &t)
	}
	return t
}

// sweep runs the schedule's function once.
func (w *world) sweep() (swept lifecycle.Swept) {
	w.t.Helper()
	body, err := w.function["sweep"].Invoke(w.t.Context(), []byte(`{"version":"0","source":"aws.scheduler"}`))
	if err == nil {
		err = json.Unmarshal(body, &swept)
	}
	if err != nil || swept.Failed > 0 {
		w.t.Fatalf("sweep: %+v, %v\n%s", swept, err, w.function["sweep"].Log())
	}
	return swept
}

// checkCredits runs the function that the other schedule calls, once.
func (w *world) checkCredits() (found credits.Checked) {
	w.t.Helper()
	body, err := w.function["credits"].Invoke(w.t.Context(), []byte(`{"check":"credits"}`))
	if err == nil {
		err = json.Unmarshal(body, &found)
	}
	if err != nil {
		w.t.Fatalf("the check of credits: %v\n%s", err, w.function["credits"].Log())
	}
	return found
}

func (w *world) logs() string {
	var all strings.Builder
	for name, f := range w.function {
		fmt.Fprintf(&all, "--- %s, %d cold starts\n%s", name, f.Starts(), f.Log())
	}
	return all.String()
}

// checkLogs holds every line that any function has printed against what no log
// may hold: keys, the users' tokens, the callbacks' own, signed links.
func (w *world) checkLogs() {
	for _, made := range w.sim.Tasks() {
		w.hidden = append(w.hidden, made.CallbackURL[strings.LastIndexByte(made.CallbackURL, '/')+1:])
	}
	logs := w.logs()
	for _, secret := range w.hidden {
		if strings.Contains(logs, secret) {
			w.t.Errorf("a log holds %q", secret)
		}
	}
}

// eventually waits until it has come.
func eventually(t testing.TB, otherwise string, come func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !come(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in vain: %s", otherwise)
		}
	}
}
