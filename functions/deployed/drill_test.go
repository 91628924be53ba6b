package deployed_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/preset/nanobanana-functions/local/drilltest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// deployedWorld is a drilltest.World of the binaries as deployed. It makes time pass by
// moving all times of the table back, and the metrics' times forward.
type deployedWorld struct {
	*harness
	preset *drilltest.Preset
	shell  *httptest.Server // AWS, as the operator's shell reaches it
	read   map[string]int   // bytes of each function's log that lines has
	lines  strings.Builder

	mu       sync.Mutex // guards what follows
	skew     time.Duration
	killed   time.Duration // the skew when the processes were last ended
	sweepOff bool
	metrics  []drilltest.Datum
}

func newDeployedWorld(t *testing.T) *deployedWorld {
	preset := &drilltest.Preset{}
	receiver := httptest.NewServer(preset)
	t.Cleanup(receiver.Close)
	w := &deployedWorld{preset: preset, read: map[string]int{}}
	w.harness = newHarness(t, map[string]string{"NOTIFY_URL": receiver.URL, "METRICS_NAMESPACE": "nanobanana/" + drilltest.StackName}, func(k *nanobananatest.Knobs) {
		k.PictureSide, k.Delay, k.CallbackRetries = 32, nanobananatest.Duration(50*time.Millisecond), nil
	})
	w.shell = w.stack(w.Logs)
	return w
}

func (w *deployedWorld) Provider() *nanobananatest.Server { return w.sim }
func (w *deployedWorld) Preset() *drilltest.Preset        { return w.preset }
func (w *deployedWorld) Row(id string) *task.Task         { return w.row(id) }
func (w *deployedWorld) Logs() string                     { return w.lines.String() }

func (w *deployedWorld) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.skew)
}

func (w *deployedWorld) count(metric string, v float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.metrics = append(w.metrics, drilltest.Datum{Metric: metric, Value: v, At: time.Now().Add(w.skew)})
}

func (w *deployedWorld) Call(method, path string, body any, key string) (int, []byte) {
	a := w.call("ada", method, path, body, "Idempotency-Key", key)
	if a.status >= 500 {
		w.count("AWS/ApiGateway 5xx ApiId=Api", 1)
	}
	return a.status, a.body
}

func (w *deployedWorld) Get(link string) []byte {
	for range 3 {
		a := w.call("", http.MethodGet, link, nil)
		if link = a.header.Get("Location"); link == "" {
			return a.body
		}
	}
	w.t.Fatal("too many redirects")
	return nil
}

// Steps of time: while metrics count, each of their periods must have a sweep.
const (
	shortStep = 4 * time.Minute
	longStep  = 30 * time.Minute
	coldAfter = 5 * time.Minute // what processes keep in memory is older then
)

func (w *deployedWorld) Step(waited time.Duration) time.Duration {
	if waited > 3*time.Hour {
		return longStep
	}
	return shortStep
}

// Wait makes time pass in steps, with the schedules once in each.
func (w *deployedWorld) Wait(d time.Duration) {
	step := shortStep
	if d >= longStep {
		step = longStep
	}
	for ; d > 0; d -= step {
		w.settle()
		w.pass(min(d, step))
		if w.skew-w.killed >= coldAfter {
			w.killed = w.skew
			for _, f := range w.function {
				f.Kill()
			}
		}
		if !w.sweepOff {
			w.run("Sweep", `{"version":"0","source":"aws.scheduler"}`)
		}
		w.run("Credits", `{"check":"credits"}`)
		w.settle()
	}
}

// run invokes a scheduled function, which Lambda counts.
func (w *deployedWorld) run(id, event string) {
	w.count("AWS/Lambda Invocations FunctionName="+id, 1)
	if _, err := w.function[strings.ToLower(id)].Invoke(w.t.Context(), []byte(event)); err != nil {
		w.count("AWS/Lambda Errors FunctionName="+id, 1)
	}
}

// settle waits until nothing is under way: the provider has made and reported its
// pictures, and the streams are read. It keeps what was logged meanwhile.
func (w *deployedWorld) settle() {
	w.t.Helper()
	eventually(w.t, "the provider is not done", func() bool {
		for _, made := range w.sim.Tasks() {
			if !made.CallbacksDone {
				return false
			}
		}
		return true
	})
	// A picture's last write makes a notice.
	for _, name := range []string{"ingest", "notify"} {
		ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Minute)
		w.source[name].Drain(ctx)
		if ctx.Err() != nil {
			w.t.Fatalf("%s does not end", name)
		}
		cancel()
	}
	for name, f := range w.function {
		log := f.Log()
		w.keep(log[w.read[name]:])
		w.read[name] = len(log)
	}
}

// keep keeps lines and their metrics, at the time in this world.
func (w *deployedWorld) keep(log string) {
	w.t.Helper()
	found, err := drilltest.Emitted(log)
	if err != nil {
		w.t.Fatal(err)
	}
	w.lines.WriteString(log)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range found {
		d.At = d.At.Add(w.skew)
		w.metrics = append(w.metrics, d)
	}
}

func (w *deployedWorld) Metrics() []drilltest.Datum {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.metrics
}

// pass moves each time in the table back.
func (w *deployedWorld) pass(d time.Duration) {
	w.t.Helper()
	client := dynamodb.NewFromConfig(w.aws)
	all, err := client.Scan(w.t.Context(), &dynamodb.ScanInput{TableName: &w.table, ConsistentRead: aws.Bool(true)})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, item := range all.Items {
		shift(item, -d)
		put := dynamodb.PutItemInput{TableName: &w.table, Item: item}
		if version, ok := item["version"]; ok {
			put.ConditionExpression = aws.String("#version = :read") // fails if the row was written meanwhile
			put.ExpressionAttributeNames = map[string]string{"#version": "version"}
			put.ExpressionAttributeValues = map[string]types.AttributeValue{":read": version}
		}
		if _, err := client.PutItem(w.t.Context(), &put); err != nil {
			w.t.Fatal(err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.skew += d
}

func (w *deployedWorld) Break(f drilltest.Fault, is bool) {
	switch f {
	case drilltest.BucketRefuses:
		w.proxy["ingest"].Fail(func(call string) int {
			if is && call == http.MethodPut {
				return http.StatusForbidden
			}
			return 0
		}, nil)
	case drilltest.TableThrottled:
		for _, p := range w.proxy {
			p.Throttle(nil)
			if is {
				p.Throttle(func() { w.count("AWS/DynamoDB WriteThrottleEvents TableName=Table", 1) })
			}
		}
	case drilltest.SweepOff:
		w.sweepOff = is
	}
}

// Ops runs the command as on a stack. What it changes shows at once.
func (w *deployedWorld) Ops(input string, words ...string) (string, int) {
	w.settle()
	return w.ops(w.shell, input, words...)
}

// The faults of the drill over the binaries as deployed; local/drilltest has the hours.
func TestDrill(t *testing.T) {
	drilltest.All(t, "the binaries as deployed", func(t *testing.T, play func(*testing.T, drilltest.World)) { play(t, newDeployedWorld(t)) })
}
