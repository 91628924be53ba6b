package verify

import (
	"bytes"
	"context"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/local/client/clienttest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// account is a simulated provider that refuses refusedPrompt.
type account struct {
	*nanobananatest.Server
	onPost  func()            // runs before each POST, unless nil
	rewrite *strings.Replacer // changes records, unless nil
	closed  chan struct{}
}

// fastPace is the pace of tests; the poll interval is in their environment.
var fastPace = pace{TaskTimeout: time.Minute, CallbackTimeout: time.Minute, BalanceTimeout: time.Minute, PollEvery: time.Millisecond}

func newAccount(t *testing.T, adjust func(*nanobananatest.Knobs)) *account {
	t.Helper()
	soon := nanobananatest.Duration(5 * time.Millisecond)
	a := &account{Server: nanobananatest.New(func(k *nanobananatest.Knobs) {
		k.PictureSide, k.CallbackRetries = 64, []nanobananatest.Duration{soon, soon, soon}
		k.RecordPath = "record-info"
		if adjust != nil {
			adjust(k)
		}
	}), closed: make(chan struct{})}
	front := httptest.NewServer(http.HandlerFunc(a.serve))
	a.URL = front.URL
	t.Cleanup(func() {
		close(a.closed)
		a.Close()
		front.Close()
	})
	return a
}

func (a *account) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		if a.onPost != nil {
			a.onPost()
		}
		a.awaitIdle()
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if bytes.Contains(body, []byte(refusedPrompt)) {
			a.SetKnobs(refuseNext)
		}
	}
	if a.rewrite == nil || !strings.Contains(r.URL.Path, "/record") {
		a.ServeHTTP(w, r)
		return
	}
	answer := httptest.NewRecorder()
	a.ServeHTTP(answer, r)
	w.WriteHeader(answer.Code)
	_, _ = io.WriteString(w, a.rewrite.Replace(answer.Body.String()))
}

// awaitIdle waits until all callbacks of earlier tasks have been sent, so that none
// comes after a test has looked.
func (a *account) awaitIdle() {
	for _, task := range a.Tasks() {
		for now := task; !now.CallbacksDone; now, _ = a.Task(task.ID) {
			select {
			case <-a.closed:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}
}

// refuseNext makes the next task fail by the content policy, unless the test sets
// another outcome.
func refuseNext(k *nanobananatest.Knobs) {
	if k.Outcome.ErrorCode == 0 {
		k.Outcome = nanobananatest.Outcome{ErrorCode: 400, Times: 1}
	}
}

// options returns the options that verify this account, with callbacks.
func (a *account) options(t *testing.T, env map[string]string) Options {
	addr := clienttest.FreeAddress(t)
	all := map[string]string{
		"NANOBANANA_BASE_URL": a.URL, "NANOBANANA_API_KEY": nanobananatest.DefaultKey, "POLL_EVERY": "30ms",
		"PUBLIC_URL": "http://" + addr, "RESULT_HOSTS": strings.TrimPrefix(a.URL, "http://"),
	}
	for name, value := range env {
		all[name] = value
	}
	return Options{
		Addr: addr, Origin: "http://" + addr, Data: t.TempDir(), Getenv: func(name string) string { return all[name] },
		Yes: true, Refused: refusedPrompt, pace: fastPace,
	}
}

// table holds a verification's findings, by their first column.
type table struct {
	t    *testing.T
	rows map[string]finding
	out  string
	err  error
}

func (a *account) verify(ctx context.Context, t *testing.T, o Options) table {
	t.Helper()
	var out bytes.Buffer
	p, err := newAccountProbe(ctx, o, &out)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	v := p.verification()
	if _, err := v.balance(ctx); err != nil {
		t.Fatal(err)
	}
	err = v.run(ctx, &out)
	t.Log(out.String())
	return newTable(t, p.findings(), out.String(), err)
}

func newTable(t *testing.T, findings []finding, out string, err error) table {
	rows := map[string]finding{}
	for _, f := range findings {
		rows[f.What] = f
	}
	if len(rows) != len(findings) {
		t.Errorf("%d lines have only %d names", len(findings), len(rows))
	}
	return table{t, rows, out, err}
}

// checkRow checks that one line of the table contains these texts.
func (x table) checkRow(what, seen, set string) {
	x.t.Helper()
	f, ok := x.rows[what]
	if !ok {
		x.t.Fatalf("the table has no %q", what)
	}
	if !strings.Contains(f.Seen, seen) || f.Set != set && (set == setNothing || !strings.Contains(f.Set, set)) {
		x.t.Errorf("%s: seen %q, set %q; want %q, %q", what, f.Seen, f.Set, seen, set)
	}
}

func TestVerify(t *testing.T) {
	a := newAccount(t, nil)
	o := a.options(t, map[string]string{"POLL_EVERY": "1500ms"})
	got := a.verify(t.Context(), t, o)
	if got.err != nil {
		t.Error(got.err)
	}
	for what, f := range got.rows {
		if f.Set != setNothing {
			t.Errorf("%s: seen %q, set %q", what, f.Seen, f.Set)
		}
	}
	got.checkRow("submit", "an id of 32 characters", setNothing)
	got.checkRow("record path", "/nanobanana/record-info answers; /nanobanana/record is unknown (HTTP 404)", setNothing)
	got.checkRow("paramJson", "callBackUrl", setNothing)
	got.checkRow("picture", `png 64x48, named ".png", served as "image/png"`, setNothing)
	got.checkRow("several pictures", "2 understood; 2 in data.response.resultImageUrl[]", setNothing)
	got.checkRow("callbacks", "4 of 4 tasks", setNothing)
	got.checkRow("callback's shape", "7 of family A", setNothing)
	got.checkRow("who calls back", "from 127.0.0.1", setNothing)
	got.checkRow("called back again", "4 deliveries, +", setNothing)
	got.checkRow("policy refusal", "callback: code 400", setNothing)
	got.checkRow("price: two pictures", "8 credits, taken with the submit", setNothing)
	got.checkRow("price: a refusal", "4 credits", setNothing)
	got.checkRow("all together", "20 credits: 1000 before, 980 after", setNothing)
	if !strings.Contains(got.out, "21 as guessed, 0 to look at, 0 not seen") {
		t.Errorf("the count below the table is wrong:\n%s", got.out)
	}
	if n := a.Posts(); n != 4 {
		t.Errorf("%d POSTs, want 4", n)
	}
	for _, task := range a.Tasks() {
		for i := 1; i < len(task.Reads); i++ {
			if gap := task.Reads[i].Sub(task.Reads[i-1]); gap < 500*time.Millisecond {
				t.Errorf("two reads of a record are %s apart", gap)
			}
		}
	}
	if b, err := os.ReadFile(filepath.Join(o.Data, "verify.jsonl")); err != nil || !bytes.Contains(b, []byte(`"callback":1`)) || !bytes.Contains(b, []byte("successFlag")) {
		t.Errorf("the transcript lacks a callback or a record, %v\n%s", err, b)
	}
}

// A failed step does not stop the others, and nothing is sent again.
func TestVerifyFailedStep(t *testing.T) {
	a := newAccount(t, func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultReset, Accepted: true, Times: 1}
	})
	o := a.options(t, nil)
	o.pace.CallbackTimeout = 20 * time.Millisecond
	got := a.verify(t.Context(), t, o)
	if got.err == nil || got.err.Error() != "1 of 4 steps failed" {
		t.Errorf("got %v", got.err)
	}
	got.checkRow("edit", "succeeded", setNothing)
	got.checkRow("price: one picture", "not seen", "-")
	got.checkRow("price: two pictures", "8 credits", setNothing)
	got.checkRow("all together", "20 credits", setNothing)
	if n := a.Posts(); n != 4 {
		t.Errorf("%d POSTs, want 4", n)
	}
}

// After an interruption the table shows what was seen until then.
func TestVerifyInterrupted(t *testing.T) {
	a := newAccount(t, nil)
	ctx, interrupt := context.WithCancel(t.Context())
	var posts atomic.Int32
	a.onPost = func() {
		if posts.Add(1) == 2 {
			interrupt()
		}
	}
	got := a.verify(ctx, t, a.options(t, nil))
	if got.err != errInterrupted {
		t.Errorf("got %v", got.err)
	}
	got.checkRow("price: one picture", "4 credits", setNothing)
	got.checkRow("callbacks", "of 1 tasks", setNothing)
	got.checkRow("several pictures", "not seen", "-")
	got.checkRow("edit", "not seen", "-")
	if !strings.Contains(got.out, "the task may exist, and cost credits") {
		t.Errorf("it does not say that the task may exist:\n%s", got.out)
	}
}

// The key is neither printed nor stored, even if the provider returns it.
func TestVerifyHidesKey(t *testing.T) {
	a := newAccount(t, func(k *nanobananatest.Knobs) {
		k.Outcome = nanobananatest.Outcome{ErrorCode: 400, Message: "flagged for " + nanobananatest.DefaultKey}
	})
	o := a.options(t, nil)
	got := a.verify(t.Context(), t, o)
	got.checkRow("policy refusal", "flagged for [hidden]", setNothing)
	transcript, err := os.ReadFile(filepath.Join(o.Data, "verify.jsonl"))
	if err != nil || strings.Contains(got.out+string(transcript), nanobananatest.DefaultKey) {
		t.Errorf("the output or the transcript contains the key, %v", err)
	}
}

// What fails before the first step costs nothing.
func TestVerifySpendsNothing(t *testing.T) {
	a := newAccount(t, nil)
	pipe, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = pipe.Close(), other.Close() }()
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	defer elsewhere.Close()
	for name, test := range map[string]struct {
		env     map[string]string
		credits float64
		noYes   bool
		want    string
	}{
		"no key":                            {map[string]string{"NANOBANANA_API_KEY": ""}, 1000, false, "NANOBANANA_API_KEY"},
		"a wrong key":                       {map[string]string{"NANOBANANA_API_KEY": "wrong"}, 1000, false, "unauthorized"},
		"too few credits":                   {nil, 19, false, "needs about 20 credits and there are 19"},
		"no terminal":                       {nil, 1000, true, "-yes"},
		"a PUBLIC_URL that leads elsewhere": {map[string]string{"PUBLIC_URL": elsewhere.URL}, 1000, false, "PUBLIC_URL does not lead to this program"},
		"a poll interval too short for the real provider": {map[string]string{"NANOBANANA_BASE_URL": "https://api.example.com"}, 1000, false, "POLL_EVERY"},
		"a stack without a token":                         {map[string]string{"STACK": "s"}, 1000, false, "TOKEN"},
	} {
		t.Run(name, func(t *testing.T) {
			a.SetBalance(test.credits)
			o := a.options(t, test.env)
			o.Yes = !test.noYes
			var out bytes.Buffer
			if err := Run(t.Context(), o, pipe, &out); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
	if n := a.Posts(); n != 0 {
		t.Errorf("%d POSTs", n)
	}
}

func TestAnswered(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, " YES \n": true, "y": true, "n\n": false, "\n": false, "": false, "yn\n": false} {
		if err := readYes(t.Context(), strings.NewReader(answer)); (err == nil) != want {
			t.Errorf("%q: %v", answer, err)
		}
	}
	silent, other := io.Pipe()
	defer func() { _ = other.Close() }()
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	if err := readYes(ctx, silent); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("interrupted: %v", err)
	}
}

// Run asks unless -yes is given, and prints each step and the table.
func TestRun(t *testing.T) {
	a := newAccount(t, nil)
	o := a.options(t, nil)
	run := func(out io.Writer, args ...string) error {
		var flags flag.FlagSet
		o.Flags(&flags)
		if err := flags.Parse(args); err != nil {
			t.Fatal(err)
		}
		return Run(t.Context(), o, strings.NewReader(""), out)
	}
	var out bytes.Buffer
	if err := run(&out, "-wait", "3s"); err == nil || a.Posts() != 0 {
		t.Errorf("without an answer: %v, %d POSTs", err, a.Posts())
	}
	if err := run(&out, "-wait", "3s", "-yes"); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
	for _, text := range []string{"is 1000 credits", "1 of 4: one picture, about 4 credits", "guess", "set this", "21 as guessed"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("it does not say %q:\n%s", text, out.String())
		}
	}
}

// The files in which the table says to change something exist.
func TestNamedFilesExist(t *testing.T) {
	sources, err := filepath.Glob("*_findings.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		b, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`\b(?:shared|functions)/[a-z/]+\.go\b`).FindAllString(string(b), -1) {
			if _, err := os.Stat(filepath.Join("../..", name)); err != nil {
				t.Errorf("%s names %v", source, err)
			}
		}
	}
}

func TestWrap(t *testing.T) {
	got := strings.Join(wrap("ab cd efghijk é lmnopqrstu", 6), "|")
	if got != "ab cd|efghij|k é|lmnopq|rstu" {
		t.Errorf("got %q", got)
	}
	for _, line := range wrap(strings.Repeat("é", 20), 6) {
		if n := len([]rune(line)); n > 6 {
			t.Errorf("%d characters in a line of 6", n)
		}
	}
}
