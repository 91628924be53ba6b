package verify

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/local/client/clienttest"
	"github.com/preset/nanobanana-functions/local/serve"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// refusedThere is a prompt that passes our own filter and that the provider
// refuses. Our filter refuses refusedPrompt.
const refusedThere = "what only the provider's policy refuses"

// deployment is a local server in a stack's place.
type deployment struct {
	*serve.Server
	front string // its API, as from outside
	token string
}

// deploy starts a server each of whose answers about credits follows a fresh
// check, as a cold start's would.
func deploy(t *testing.T, env map[string]string) deployment {
	t.Helper()
	data := t.TempDir()
	s, err := serve.Start(serve.Options{Addr: "127.0.0.1:0", Data: data, Log: io.Discard, Getenv: func(name string) string { return env[name] }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.Simulator().SetKnobs(func(k *nanobananatest.Knobs) { k.Delay, k.PictureSide = 0, 64 })
	target, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	mux := http.NewServeMux()
	mux.Handle("/", proxy)
	mux.HandleFunc("POST /v1/tasks", func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		req.Body = io.NopCloser(bytes.NewReader(body))
		if bytes.Contains(body, []byte(refusedThere)) {
			s.Simulator().SetKnobs(refuseNext)
		}
		proxy.ServeHTTP(w, req)
	})
	mux.HandleFunc("GET /v1/credits", func(w http.ResponseWriter, req *http.Request) {
		if err := s.CheckBalance(req.Context()); err != nil {
			t.Error(err)
		}
		proxy.ServeHTTP(w, req)
	})
	front := httptest.NewServer(mux)
	t.Cleanup(front.Close)
	return deployment{s, front.URL, clienttest.SignIn(t, s.URL, data, "ada").Token}
}

// awsSays puts a command named aws first in the path, that says what a stack's
// outputs are and keeps what it was asked.
func awsSays(t *testing.T, says string) (asked func() string) {
	t.Helper()
	folder := t.TempDir()
	script := "#!/bin/sh\necho \"$@\" >>" + filepath.Join(folder, "asked") + "\n" + says + "\n"
	if err := os.WriteFile(filepath.Join(folder, "aws"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder+string(os.PathListSeparator)+os.Getenv("PATH"))
	return func() string {
		b, _ := os.ReadFile(filepath.Join(folder, "asked"))
		return string(b)
	}
}

func outputs(base string) string {
	return `case "$2" in
describe-stack-resource) echo preset-images-Credits-1;;
*) echo '[{"OutputKey":"Table","OutputValue":"t"},{"OutputKey":"Url","OutputValue":"` + base + `"}]';;
esac`
}

func verifyStackOf(t *testing.T, r deployment, o Options) table {
	t.Helper()
	o.Yes, o.Refused = true, refusedThere
	o.Getenv = func(name string) string {
		return map[string]string{"STACK": "preset-images", "TOKEN": r.token}[name]
	}
	var out bytes.Buffer
	v, err := verifyStack(t.Context(), o, "preset-images", &out)
	if err != nil {
		t.Fatal(err)
	}
	err = v.run(t.Context(), &out)
	t.Log(out.String())
	return newTable(t, v.table(), out.String(), err)
}

func TestVerifyStack(t *testing.T) {
	r := deploy(t, nil)
	asked := awsSays(t, outputs(r.front))
	o := Options{pace: quick}
	o.pace.FirstRead = livePace.FirstRead
	got := verifyStackOf(t, r, o)
	if got.err != nil {
		t.Error(got.err)
	}
	if !strings.Contains(asked(), "describe-stacks --stack-name preset-images") {
		t.Errorf("aws was asked %s", asked())
	}
	const check = `lambda invoke --function-name preset-images-Credits-1 --cli-binary-format raw-in-base64-out --payload {"check":"credits"} `
	if n := strings.Count(asked(), check); n != 5 { // at first, and after each step
		t.Errorf("the stack was asked %d times for a check: %s", n, asked())
	}
	for what, f := range got.rows {
		if f.Set != setNothing {
			t.Errorf("%s: seen %q, set %q", what, f.Seen, f.Set)
		}
	}
	got.row("sign-in", "1000 credits", setNothing)
	got.row("callbacks", "inferred: ended before, so that a callback must have come: one picture (", setNothing)
	got.row("lasting link", "302, public, max-age=600, to a link", setNothing)
	got.row("stored bytes", "4 of 4 pictures", setNothing)
	got.row("several pictures", "2 stored, 0 missing", setNothing)
	got.row("edit", "succeeded", setNothing)
	got.row("policy refusal", `content_policy, credits "spent"`, setNothing)
	got.row("price: two pictures", "8 credits", setNothing)
	got.row("price: a refusal", "4 credits", setNothing)
	got.row("all together", "20 credits: 1000 before, 980", setNothing)
	if n := r.Simulator().Posts(); n != 4 {
		t.Errorf("%d POSTs, want 4", n)
	}
	if strings.Contains(got.out, r.token) || strings.Contains(got.out, "signature=") {
		t.Errorf("it shows what is secret:\n%s", got.out)
	}
}

// Without callbacks the tasks end after the sweep's first read, and the table
// says what that may mean; without codes in records nobody knows of the policy.
func TestVerifyStackCallbacksLost(t *testing.T) {
	r := deploy(t, map[string]string{"SWEEP_EVERY": "20ms", "POLL_EVERY": "200ms", "PRICES": "nano-banana=5", "MAX_GENERATIONS": "1"})
	r.Simulator().SetKnobs(func(k *nanobananatest.Knobs) { k.LoseCallbacks, k.BareFailures, k.RefundFailures = true, true, true })
	awsSays(t, outputs(r.front))
	o := Options{pace: quick}
	o.pace.FirstRead = 500 * time.Millisecond // as the 90 s are to 36 s
	got := verifyStackOf(t, r, o)
	if got.err != nil {
		t.Error(got.err)
	}
	got.row("callbacks", "inferred: ended later, so that either no callback came or it took that long: one picture (", "callback function")
	got.row("policy refusal", "generation_failed", "texts in shared/nanobanana/words.go")
	got.row("price: one picture", "4 credits", "PRICES=nano-banana=4")
	got.row("price: a refusal", "0 credits", setNothing)
}

// Every task fails, and is paid: the steps after are made all the same.
func TestVerifyStackOtherwise(t *testing.T) {
	r := deploy(t, nil)
	r.Simulator().SetKnobs(func(k *nanobananatest.Knobs) {
		k.Outcome = nanobananatest.Outcome{ErrorCode: 422, Message: "out of range"}
	})
	awsSays(t, outputs(r.front))
	o := Options{pace: quick}
	got := verifyStackOf(t, r, o)
	if got.err == nil || got.err.Error() != "3 of 4 steps failed" {
		t.Errorf("got %v", got.err)
	}
	got.row("edit", "not seen", "-")
	got.row("lasting link", "not seen", "-")
	got.row("policy refusal", string(task.CodeProviderRejected), "verify-live by API key")
	got.row("price: one picture", "4 credits", "MAX_GENERATIONS=1")
}

func TestVerifyStackFaults(t *testing.T) {
	r := deploy(t, nil)
	for name, test := range map[string]struct{ says, token, want string }{
		"a stack of others":   {`echo '[]'`, r.token, "no output Url"},
		"no such stack":       {`echo 'Stack does not exist' >&2; exit 254`, r.token, "Stack does not exist"},
		"somebody's token":    {outputs(r.front), "x", "401 Unauthorized"},
		"an API that is gone": {outputs("http://127.0.0.1:1"), r.token, "nothing was spent"},
	} {
		t.Run(name, func(t *testing.T) {
			awsSays(t, test.says)
			o := Options{pace: quick, Yes: true}
			o.Getenv = func(name string) string { return map[string]string{"STACK": "s", "TOKEN": test.token}[name] }
			err := Run(t.Context(), o, strings.NewReader(""), io.Discard)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
	r.Simulator().SetBalance(19)
	awsSays(t, outputs(r.front))
	o := Options{pace: quick, Yes: true}
	o.Getenv = func(name string) string { return map[string]string{"STACK": "s", "TOKEN": r.token}[name] }
	if err := Run(t.Context(), o, strings.NewReader(""), io.Discard); err == nil || !strings.Contains(err.Error(), "there are 19") {
		t.Errorf("got %v", err)
	}
	r.Simulator().SetBalance(0)
	if err := Run(t.Context(), o, strings.NewReader(""), io.Discard); err == nil || !strings.Contains(err.Error(), "insufficient_credits") {
		t.Errorf("got %v", err)
	}
	if n := r.Simulator().Posts(); n != 0 {
		t.Errorf("%d POSTs", n)
	}
}
