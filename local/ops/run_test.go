package ops

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/preset/nanobanana-functions/shared/aws/env/envtest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// try runs the program and returns what it printed.
func try(t *testing.T, env map[string]string, in string, words ...string) (exit Exit, out, err string) {
	t.Helper()
	var o, e bytes.Buffer
	exit = Main(t.Context(), words, Options{
		Getenv: func(name string) string { return env[name] }, In: strings.NewReader(in), Out: &o, Err: &e,
		OpenData: func(folder string, write bool) (*Env, func() error, error) {
			if folder == "missing" {
				return nil, nil, errors.New("no such folder")
			}
			return localEnv(t), func() error { return nil }, nil
		},
	})
	return exit, o.String(), e.String()
}

func TestProgram(t *testing.T) {
	id := samples[0].id()
	for name, c := range map[string]struct {
		words string
		env   map[string]string
		exit  Exit
		out   string // a part of what it prints, on standard output if it is fine
	}{
		"without words it lists the commands": {"", nil, Fine, "  inspect TASK "},
		"-h does, too":                        {"-h", nil, Fine, "Exit status: 0 fine"},
		"help about a command":                {"stuck -h", nil, Fine, "-after CURSOR"},
		"flags after arguments":               {"inspect " + id + " -data d", nil, Fine, id},
		"flags before arguments":              {"inspect -data d " + id, nil, Fine, id},
		"flags around arguments":              {"inspect -data d " + id + " -json", nil, Fine, `"task": "` + id + `"`},
		"after -- nothing is a flag":          {"inspect -data d -- -json", nil, Usage, `"-json" is no task's id`},
		"an unknown command":                  {"inspecc", nil, Usage, `no command "inspecc"`},
		"an unknown flag":                     {"stuck -data d -x", nil, Usage, "bin/ops stuck -h lists the flags"},
		"an argument too many":                {"stuck -data d x", nil, Usage, `"x" is too much`},
		"an argument is missing":              {"inspect -data d", nil, Usage, "TASK is missing. Usage: bin/ops inspect TASK"},
		"two runs":                            {"stuck -data d -addr a", nil, Usage, "name one of them"},
		"a stack and a local run":             {"stuck -data d", map[string]string{"STACK": "s"}, Usage, "STACK=s is set"},
		"the folder cannot be opened":         {"stuck -data missing", nil, Failed, "no such folder"},
		"no run answers":                      {"stuck -addr 127.0.0.1:1", nil, Failed, "no local run answers at 127.0.0.1:1"},
		"another machine":                     {"stuck -addr 192.0.2.1:8787", nil, Usage, "not on this machine"},
		"a limit that is too large":           {"stuck -data d -limit 81", nil, Usage, "-limit is from 1 to 80"},
		"a cursor that is none":               {"stuck -data d -after x", nil, Usage, "is no cursor"},
		"a task that is not there":            {"inspect -data d " + task.NewID("x", "y"), nil, Failed, "has no task"},
		"a notice that was not given up":      {"redrive -data d " + id, nil, Failed, "no notice of task"},
		"a notice that is being sent":         {"redrive -data d " + sample{name: "done"}.id(), nil, Failed, "still being sent"},
		"one and all":                         {"redrive -data d -all " + id, nil, Usage, "not both"},
	} {
		t.Run(name, func(t *testing.T) {
			exit, out, err := try(t, c.env, "", strings.Fields(c.words)...)
			if exit != c.exit {
				t.Errorf("exit %d, want %d: %s%s", exit, c.exit, out, err)
			}
			if exit == Fine && (!strings.Contains(out, c.out) || err != "") || exit != Fine && (!strings.Contains(err, c.out) || out != "") {
				t.Errorf("it prints %q and %q, want %q", out, err, c.out)
			}
		})
	}
}

// asked reports what it is given.
type asked struct{ Input, Answer string }

func (a asked) Print(p *Page) { p.Line("input %q, answer %q", a.Input, a.Answer) }

// withCommand adds a command to the table for one test.
func withCommand(t *testing.T, c Command) {
	t.Helper()
	before := commands
	commands = append(slices.Clone(commands), c)
	t.Cleanup(func() { commands = before })
}

// question is a command that reads its input and asks once.
var question = Command{
	Name: "test ask", Short: "ask", Input: true,
	Setup: func(*flag.FlagSet) Run {
		return func(_ context.Context, e *Env, _ []string) (Result, error) {
			var in bytes.Buffer
			if _, err := in.ReadFrom(e.In); err != nil {
				return Result{}, err
			}
			r := Result{Report: asked{in.String(), e.Answer}}
			if e.Answer == "" {
				r.Ask = "Sure?"
			}
			return r, nil
		}
	},
}

func TestAsk(t *testing.T) {
	c := question
	c.Input = false
	withCommand(t, c)
	exit, out, _ := try(t, nil, "yes\n", "test", "ask", "-data", "d")
	if exit != Fine || !strings.Contains(out, `answer ""`) || !strings.Contains(out, "Sure? ") || !strings.Contains(out, `answer "yes"`) {
		t.Errorf("exit %d: %s", exit, out)
	}
	if exit, out, err := try(t, nil, "yes\n", "test", "ask", "-data", "d", "-json"); exit != Fine || !json.Valid([]byte(out)) || !strings.Contains(err, "Sure? ") {
		t.Errorf("-json printed more than one object: exit %d: %s", exit, out)
	}
	exit, out, err := try(t, nil, "", "test", "ask", "-data", "d")
	if exit != Failed || strings.Contains(out, `answer "yes"`) || !strings.Contains(err, "nothing was done") {
		t.Errorf("without an answer: exit %d: %s%s", exit, out, err)
	}
}

// TestRemote sends a command to a local run, with its input.
func TestRemote(t *testing.T) {
	withCommand(t, question)
	e := localEnv(t)
	e.Answer = "from before" // each command has its own
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == RemotePath {
			Handler(e).ServeHTTP(w, r)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	addr := strings.TrimPrefix(server.URL, "http://")
	exit, out, err := try(t, nil, "the input", "test", "ask", "-addr", addr)
	if exit != Failed || !strings.Contains(out, `input "the input", answer ""`) || !strings.Contains(err, "nothing was done") {
		t.Errorf("exit %d: %s%s", exit, out, err)
	}
	id := samples[0].id()
	if exit, out, _ := try(t, nil, "", "inspect", id, "-addr", addr, "-json"); exit != Fine || !strings.Contains(out, id) {
		t.Errorf("exit %d: %s", exit, out)
	}
	if exit, _, err := try(t, nil, "", "inspect", task.NewID("x", "y"), "-addr", addr); exit != Failed || !strings.Contains(err, "has no task") {
		t.Errorf("exit %d: %s", exit, err)
	}
	for name, send := range map[string]func() (*http.Response, error){
		"a form's type": func() (*http.Response, error) {
			return http.Post(server.URL+RemotePath, "text/plain", strings.NewReader(`{"words":["stuck"]}`))
		},
		"no JSON": func() (*http.Response, error) {
			return http.Post(server.URL+RemotePath, "application/json", strings.NewReader(`stuck`))
		},
		"too much": func() (*http.Response, error) {
			return http.Post(server.URL+RemotePath, "application/json", strings.NewReader(`{"words":["`+strings.Repeat("x", 2*maxInput)+`"]}`))
		},
	} {
		resp, err := send()
		if err != nil {
			t.Fatal(err)
		}
		if _ = resp.Body.Close(); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: status %d", name, resp.StatusCode)
		}
	}
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	if exit, _, err := try(t, nil, "", "stuck", "-addr", strings.TrimPrefix(other.URL, "http://")); exit != Failed || !strings.Contains(err, "restart bin/local") {
		t.Errorf("an older release: exit %d: %s", exit, err)
	}
}

// TestTable holds the table of commands: what the help shows fits, and every right has
// the form of an action.
func TestTable(t *testing.T) {
	for i, c := range commands {
		if n := len([]rune(c.Short)); n > 54 || c.Short == "" {
			t.Errorf("%s: Short has %d characters", c.Name, n)
		}
		if len(strings.Fields(c.Name)) > 2 {
			t.Errorf("%s has more than two words", c.Name)
		}
		if slices.ContainsFunc(commands[:i], func(o Command) bool { return o.Name == c.Name }) {
			t.Errorf("%s is in the table twice", c.Name)
		}
		for _, right := range c.Rights {
			if service, action, ok := strings.Cut(right, ":"); !ok || service == "" || action == "" || strings.Contains(right, "*") {
				t.Errorf("%s: %q is no action of IAM", c.Name, right)
			}
		}
		_, help, err := parse(append(strings.Fields(c.Name), "-h"))
		if !errors.Is(err, flag.ErrHelp) {
			t.Errorf("%s -h: %v", c.Name, err)
		}
		for line := range strings.Lines(overview() + help) {
			if len([]rune(strings.TrimRight(line, "\n"))) > width {
				t.Errorf("the help is wider than a page: %s", line)
			}
		}
	}
}

// TestAdvice shows what a person reads when AWS refuses.
func TestAdvice(t *testing.T) {
	api := func(code string) error {
		return fmt.Errorf("sending: %w", &smithy.GenericAPIError{Code: code, Message: "no"})
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("operation error CloudFormation: get identity: get credentials: none"), "has no AWS credentials"},
		{api("AccessDeniedException"), "lack a right"},
		{api("AccessDenied"), "lack a right"},
		{api("ExpiredToken"), "sign in again"},
		{fmt.Errorf("sending: %w", &smithyhttp.RequestSendError{Err: errors.New("no route")}), "AWS does not answer"},
		{api("UnrecognizedClientException"), "does not accept"},
		{api("ThrottlingException"), "sending: api error ThrottlingException"},
		{task.ErrBusy, task.ErrBusy.Error()},
	} {
		if got := failure(c.err); !strings.Contains(got.Err, c.want) || !strings.Contains(got.Err, c.err.Error()) || got.Exit != Failed {
			t.Errorf("%v reads %q", c.err, got.Err)
		}
	}
}

// TestOpenStack opens what is no stack of these functions.
func TestOpenStack(t *testing.T) {
	c := envtest.Config(t)
	log := slog.New(slog.DiscardHandler)
	if _, err := OpenStack(t.Context(), c, "no-such-stack", log); err == nil || !strings.Contains(err.Error(), "there is no stack no-such-stack in region") {
		t.Errorf("a stack that is not there: %v", err)
	}
	name, body := "other-"+strings.ToLower(rand.Text()[:8]), `{"Resources":{"Logs":{"Type":"AWS::Logs::LogGroup"}}}`
	client := cloudformation.NewFromConfig(c)
	if _, err := client.CreateStack(t.Context(), &cloudformation.CreateStackInput{StackName: &name, TemplateBody: &body}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = client.DeleteStack(context.Background(), &cloudformation.DeleteStackInput{StackName: &name})
	})
	if _, err := OpenStack(t.Context(), c, name, log); err == nil || !strings.Contains(err.Error(), "is not a stack of these functions") {
		t.Errorf("another stack: %v", err)
	}
}

// What "next:" prints can be copied into a shell.
func TestQuote(t *testing.T) {
	for _, word := range []string{".local", "/tmp/a b", "it's", "$(id)", "a;b", "~x", "", "漢字", "#a", `back\slash`} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+Quote(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q is typed as %s, and read as %q, %v", word, Quote(word), out, err)
		}
	}
}
