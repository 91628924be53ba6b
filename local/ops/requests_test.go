package ops

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"

	"github.com/preset/nanobanana-functions/local/ops/opstest"
	"github.com/preset/nanobanana-functions/shared/aws/env/envtest"
	"github.com/preset/nanobanana-functions/shared/aws/taskdb"
	"github.com/preset/nanobanana-functions/shared/task"
)

// A typed is a command as it is typed in TestRequests and TestRowsRead.
type typed struct {
	words  string // after bin/ops; {NAME} is the id of that sample
	input  string // standard input
	answer string // to its question
	fails  bool   // it is refused, whatever is typed on the samples
	more   int    // requests to DynamoDB besides those for pages: of writes
}

// typedCommands are ways to type each command. A new command is added here; see doc.go.
// They run one after the other, on the samples of world_test.go.
var typedCommands = map[string][]typed{
	"stuck":   {{words: "stuck"}, {words: "stuck -limit 2"}},
	"inspect": {{words: "inspect {silent}"}, {words: "inspect -logs {done}"}},
	"ends":    {{words: "ends"}, {words: "ends -since 30d"}},
	"forget":  {{words: "forget nobody"}, {words: "forget nobody", answer: "nobody", more: 4}, {words: "forget nobody", answer: "nobody"}},
	"redrive": {{words: "redrive"}, {words: "redrive {untold}"}, {words: "redrive -all"}},

	"rescue": {{words: "rescue {silent}", fails: true}, {words: "rescue {lost}", more: 2}, {words: "rescue {lost}", fails: true}},

	"pause":  {{words: "pause -reason maintenance"}},
	"resume": {{words: "resume"}},

	"check":        {{words: "check"}},
	"reconcile":    {{words: "reconcile -since 72h"}},
	"key set":      {{words: "key set", input: "another-key-of-the-provider\n"}},
	"key list":     {{words: "key list"}},
	"key rotate":   {{words: "key rotate callback"}},
	"key remove":   {{words: "key remove image i1", fails: true}},
	"token add":    {{words: "token add service"}},
	"token list":   {{words: "token list"}},
	"token revoke": {{words: "token revoke preset"}},
}

func (x typed) parse(t testing.TB) request {
	t.Helper()
	words := x.words
	for _, s := range samples {
		words = strings.ReplaceAll(words, "{"+s.name+"}", s.id())
	}
	r, _, err := parse(strings.Fields(words))
	if err != nil {
		t.Fatalf("%s: %v", x.words, err)
	}
	return r
}

// eachTyped runs every command of the table and calls check after each.
func eachTyped(t *testing.T, e *Env, check func(t *testing.T, c Command, x typed, out output)) {
	for _, c := range commands {
		ways := typedCommands[c.Name]
		if len(ways) == 0 {
			t.Errorf("typedCommands has no way to type %s", c.Name)
		}
		for _, x := range ways {
			t.Run(x.words, func(t *testing.T) {
				r := x.parse(t)
				if r.command.Stack && e.Stack == nil {
					t.Skip("needs a stack")
				}
				out, err := r.on(e)(t.Context(), []byte(x.input), x.answer)
				if refused := out.Exit == Failed; err != nil || refused != x.fails || out.Exit == Usage {
					t.Fatalf("exit %d: %s %v", out.Exit, out.Err, err)
				}
				check(t, c, x, out)
			})
		}
	}
}

// counter counts the requests that an AWS configuration sends, with the SDK's repetitions.
type counter struct {
	mu   sync.Mutex // guards sent
	sent []string   // IAM's names: "dynamodb:Query"
}

func (x *counter) count(c aws.Config) aws.Config {
	c.APIOptions = append(slices.Clone(c.APIOptions), func(stack *middleware.Stack) error {
		return stack.Finalize.Add(middleware.FinalizeMiddlewareFunc("count", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
			service := strings.ToLower(strings.ReplaceAll(awsmiddleware.GetServiceID(ctx), " ", ""))
			service = strings.Replace(service, "cloudwatchlogs", "logs", 1)
			x.mu.Lock()
			x.sent = append(x.sent, service+":"+awsmiddleware.GetOperationName(ctx))
			x.mu.Unlock()
			return next.HandleFinalize(ctx, in)
		}), middleware.After)
	})
	return c
}

func (x *counter) take() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	sent := x.sent
	x.sent = nil
	return sent
}

// transactRights are what a transaction needs, which has no action of its own: a row is
// written, and a count changed or another row looked at.
var transactRights = [][]string{{"dynamodb:PutItem", "dynamodb:UpdateItem"}, {"dynamodb:PutItem", "dynamodb:ConditionCheckItem"}}

// stackEnv deploys a stack with the samples and opens it.
func stackEnv(t *testing.T) (*Env, *counter) {
	t.Helper()
	c, x := envtest.Config(t), &counter{}
	s := opstest.Deploy(t, c, secretOfTests, map[string]string{"AUTH_ISSUER": "http://127.0.0.1:1", "PUBLIC_URL": "http://127.0.0.1:1", "NANOBANANA_BASE_URL": "http://127.0.0.1:1"})
	fill(t, taskdb.New(c, s.Table))
	s.Log(logLines(t)...)
	e, err := OpenStack(t.Context(), x.count(c), s.Name, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	e.Now = func() time.Time { return night }
	e.Service.Now, e.Wait = e.Now, noWait
	e.Service.Provider.BaseURL = provider(t).URL
	if opened := x.take(); len(opened) == 0 || slices.ContainsFunc(opened, func(r string) bool { return !slices.Contains(baseRights, r) }) {
		t.Errorf("opening the stack sent %v, and baseRights allow %v", opened, baseRights)
	}
	if e.Settings.Bucket != "pictures" || e.Settings.PublicURL != "http://127.0.0.1:1" || e.Settings.Table != s.Table {
		t.Errorf("the settings are %+v", e.Settings)
	}
	return e, x
}

// maxRequests is how many requests to DynamoDB a command may send for a page.
const maxRequests = 4

func TestRequests(t *testing.T) {
	e, x := stackEnv(t)
	local := localEnv(t)
	eachTyped(t, e, func(t *testing.T, c Command, typed typed, out output) {
		table := -typed.more
		for _, r := range x.take() {
			if strings.HasPrefix(r, "dynamodb:") {
				table++
			}
			if r == "dynamodb:Scan" || strings.HasPrefix(r, "dynamodb:Execute") {
				t.Errorf("it sent %s", r)
			}
			allowed := slices.Contains(baseRights, r) || slices.Contains(c.Rights, r)
			if r == "dynamodb:TransactWriteItems" {
				allowed = slices.ContainsFunc(transactRights, func(all []string) bool {
					return !slices.ContainsFunc(all, func(r string) bool { return !slices.Contains(c.Rights, r) })
				})
			}
			if !allowed {
				t.Errorf("it sent %s, which Rights does not name", r)
			}
		}
		if table > maxRequests {
			t.Errorf("it sent %d requests to DynamoDB, at most %d are allowed", table, maxRequests)
		}
		checkPrivate(t, out)
	})
	// A stack and a local run say the same about the same tasks.
	for _, words := range []string{"stuck", "inspect {busy}", "ends -since 7d"} {
		r := typed{words: words}.parse(t)
		there, _ := r.on(e)(t.Context(), nil, "")
		here, _ := r.on(local)(t.Context(), nil, "")
		_, a, _ := strings.Cut(strings.ReplaceAll(there.Text, "STACK="+e.Stack.Name+" ", ""), "\n")
		_, b, _ := strings.Cut(strings.ReplaceAll(here.Text, " -data .local", ""), "\n")
		if words == "stuck" { // the redrive above has changed one task there
			a, b = firstGroup(a), firstGroup(b)
		}
		if words != "stuck" && words[:4] == "ends" { // the log group is as old as the test
			_, a, _ = strings.Cut(a, "tasks ended")
			_, b, _ = strings.Cut(b, "tasks ended")
		}
		if a != b {
			t.Errorf("%s on a stack:\n%s\nin a local run:\n%s", words, a, b)
		}
	}
}

// TestProgramOnStack opens a stack as the program does: with the environment of the shell.
func TestProgramOnStack(t *testing.T) {
	c := envtest.Config(t)
	s := opstest.Deploy(t, c, secretOfTests, map[string]string{"AUTH_ISSUER": "https://id.example.com", "NANOBANANA_BASE_URL": "http://127.0.0.1:1"})
	fill(t, taskdb.New(c, s.Table))
	exit, out, err := try(t, map[string]string{"STACK": s.Name}, "", "inspect", samples[0].id())
	if exit != Fine || err != "" || !strings.HasPrefix(out, "stack "+s.Name+", ") || !strings.Contains(out, "next: STACK="+s.Name+" bin/ops inspect ") {
		t.Errorf("exit %d: %s%s", exit, out, err)
	}
}

// firstGroup returns the first group of what stuck prints.
func firstGroup(text string) string {
	_, groups, _ := strings.Cut(text, "\n1: ")
	first, _, _ := strings.Cut(groups, "\n\n")
	return first
}

// checkPrivate reports what an output shows of people and of keys.
func checkPrivate(t *testing.T, out output) {
	t.Helper()
	all := out.Text + out.Err + out.Ask
	for _, hidden := range []string{promptOfTests, ownerOfTests, linkOfTests, "no-operator-may-see", "key-of-tests", "0123456789abcdef0123456789abcdef"} {
		if strings.Contains(all, hidden) {
			t.Errorf("it shows %q:\n%s", hidden, all)
		}
	}
}

// rows counts the rows and entries of the index that a command reads.
type rows struct {
	task.Store
	mu   sync.Mutex // guards read
	read int
}

func (s *rows) add(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read += n
}

func (s *rows) Task(ctx context.Context, id string) (*task.Task, error) {
	s.add(1)
	return s.Store.Task(ctx, id)
}

func (s *rows) Tasks(ctx context.Context, ids []string) ([]*task.Task, error) {
	s.add(len(ids))
	return s.Store.Tasks(ctx, ids)
}

func (s *rows) DuePage(ctx context.Context, after task.DueEntry, limit int) ([]task.DueEntry, error) {
	page, err := s.Store.DuePage(ctx, after, limit)
	s.add(len(page))
	return page, err
}

func (s *rows) Due(ctx context.Context, now time.Time) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for id, err := range s.Store.Due(ctx, now) {
			if s.add(1); !yield(id, err) {
				return
			}
		}
	}
}

func (s *rows) List(ctx context.Context, q task.Query) ([]string, string, error) {
	ids, next, err := s.Store.List(ctx, q)
	s.add(len(ids))
	return ids, next, err
}

// TestRowsRead runs every command on a store of 2,000 tasks: none reads more than a few
// pages of them, so none takes longer in a store of 100,000. BenchmarkCommands in
// local/ops/bootstrap measures that.
func TestRowsRead(t *testing.T) {
	e := localEnv(t)
	many(t, e.Store, 2000)
	counted := &rows{Store: e.Store}
	e.Store, e.Service.Store = counted, counted
	eachTyped(t, e, func(t *testing.T, _ Command, _ typed, out output) {
		if counted.read > 2*stuckLimit+redriveBatch {
			t.Errorf("it read %d rows", counted.read)
		}
		counted.read = 0
		checkPrivate(t, out)
	})
}

// many puts n unfinished tasks into a store.
func many(t testing.TB, s task.Store, n int) {
	t.Helper()
	var wait sync.WaitGroup
	ids := make(chan int)
	for range 64 {
		wait.Go(func() {
			for i := range ids {
				x := task.New(task.Draft{Owner: ownerOfTests, Request: task.Request{Prompt: promptOfTests, Model: task.DefaultModel, NumImages: 1}}, night.Add(-time.Duration(i)*time.Millisecond))
				if _, err := s.Create(t.Context(), x, 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range n {
		ids <- i
	}
	close(ids)
	wait.Wait()
}

// TestJSON reads what every command prints with -json.
func TestJSON(t *testing.T) {
	e := localEnv(t)
	for _, c := range commands {
		for _, x := range typedCommands[c.Name] {
			r := x.parse(t)
			if r.json = true; r.command.Stack || x.fails {
				continue
			}
			out, err := r.on(e)(t.Context(), []byte(x.input), x.answer)
			if err != nil {
				t.Fatal(err)
			}
			d := json.NewDecoder(strings.NewReader(out.Text))
			d.DisallowUnknownFields()
			var got struct {
				Run, Now, Next string
				Report         map[string]any
			}
			if err := d.Decode(&got); err != nil || got.Run != e.Name || got.Now == "" {
				t.Errorf("%s: %v: %s", x.words, err, out.Text)
			}
			if _, err := d.Token(); err != io.EOF {
				t.Errorf("%s prints more than one value", x.words)
			}
			checkPrivate(t, out)
		}
	}
}
