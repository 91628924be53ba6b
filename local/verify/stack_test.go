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

// fakeAWS puts a shell script named aws first in the PATH. calls returns the
// arguments it has been called with.
func fakeAWS(t *testing.T, script string) (calls func() string) {
	t.Helper()
	folder := t.TempDir()
	script = "#!/bin/sh\necho \"$@\" >>" + filepath.Join(folder, "calls") + "\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(folder, "aws"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder+string(os.PathListSeparator)+os.Getenv("PATH"))
	return func() string {
		b, _ := os.ReadFile(filepath.Join(folder, "calls"))
		return string(b)
	}
}

// stackOutputs is the script of a stack whose API is at base.
func stackOutputs(base string) string {
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
	return newTable(t, v.findings(), out.String(), err)
}

func TestVerifyStack(t *testing.T) {
	r := deploy(t, nil)
	calls := fakeAWS(t, stackOutputs(r.front))
	o := Options{pace: fastPace}
	o.pace.FirstRead = livePace.FirstRead
	got := verifyStackOf(t, r, o)
	if got.err != nil {
		t.Error(got.err)
	}
	if !strings.Contains(calls(), "describe-stacks --stack-name preset-images") {
		t.Errorf("aws was called with %s", calls())
	}
	const check = `lambda invoke --function-name preset-images-Credits-1 --cli-binary-format raw-in-base64-out --payload {"check":"credits"} `
	if n := strings.Count(calls(), check); n != 5 { // at the start, and after each step
		t.Errorf("the stack was asked %d times for a check, want 5: %s", n, calls())
	}
	for what, f := range got.rows {
		if f.Set != setNothing {
			t.Errorf("%s: seen %q, set %q", what, f.Seen, f.Set)
		}
	}
	got.checkRow("sign-in", "1000 credits", setNothing)
	got.checkRow("callbacks", "inferred: ended earlier, so a callback came: one picture (", setNothing)
	got.checkRow("lasting link", "302, public, max-age=600, to a link", setNothing)
	got.checkRow("stored bytes", "4 of 4 pictures", setNothing)
	got.checkRow("several pictures", "2 stored, 0 missing", setNothing)
	got.checkRow("edit", "succeeded", setNothing)
	got.checkRow("policy refusal", `content_policy, credits "spent"`, setNothing)
	got.checkRow("price: two pictures", "8 credits", setNothing)
	got.checkRow("price: a refusal", "4 credits", setNothing)
	got.checkRow("all together", "20 credits: 1000 before, 980", setNothing)
	if n := r.Simulator().Posts(); n != 4 {
		t.Errorf("%d POSTs, want 4", n)
	}
	if strings.Contains(got.out, r.token) || strings.Contains(got.out, "signature=") {
		t.Errorf("it prints a secret:\n%s", got.out)
	}
}

// Without callbacks the tasks end after the sweep's first read, and the table says
// what that may mean. Without codes in records the policy refusal is not recognized.
func TestVerifyStackCallbacksLost(t *testing.T) {
	r := deploy(t, map[string]string{"SWEEP_EVERY": "20ms", "POLL_EVERY": "200ms", "PRICES": "nano-banana=5", "MAX_GENERATIONS": "1"})
	r.Simulator().SetKnobs(func(k *nanobananatest.Knobs) { k.LoseCallbacks, k.BareFailures, k.RefundFailures = true, true, true })
	fakeAWS(t, stackOutputs(r.front))
	o := Options{pace: fastPace}
	o.pace.FirstRead = 500 * time.Millisecond // 2.5 poll intervals: the most that the sweep waits
	got := verifyStackOf(t, r, o)
	if got.err != nil {
		t.Error(got.err)
	}
	got.checkRow("callbacks", "inferred: ended later, so no callback came or the task took that long: one picture (", "callback function")
	got.checkRow("policy refusal", "generation_failed", "wordings in shared/nanobanana/wording.go")
	got.checkRow("price: one picture", "4 credits", "PRICES=nano-banana=4")
	got.checkRow("price: a refusal", "0 credits", setNothing)
}

// Every task fails and costs credits, and all steps run nevertheless.
func TestVerifyStackOtherwise(t *testing.T) {
	r := deploy(t, nil)
	r.Simulator().SetKnobs(func(k *nanobananatest.Knobs) {
		k.Outcome = nanobananatest.Outcome{ErrorCode: 422, Message: "out of range"}
	})
	fakeAWS(t, stackOutputs(r.front))
	o := Options{pace: fastPace}
	got := verifyStackOf(t, r, o)
	if got.err == nil || got.err.Error() != "3 of 4 steps failed" {
		t.Errorf("got %v", got.err)
	}
	got.checkRow("edit", "not seen", "-")
	got.checkRow("lasting link", "not seen", "-")
	got.checkRow("policy refusal", string(task.CodeProviderRejected), "verify-live with an API key")
	got.checkRow("price: one picture", "4 credits", "MAX_GENERATIONS=1")
}

func TestVerifyStackErrors(t *testing.T) {
	r := deploy(t, nil)
	for name, test := range map[string]struct{ script, token, want string }{
		"another kind of stack": {`echo '[]'`, r.token, "no output Url"},
		"no such stack":         {`echo 'Stack does not exist' >&2; exit 254`, r.token, "Stack does not exist"},
		"an unknown token":      {stackOutputs(r.front), "x", "401 Unauthorized"},
		"an API that is gone":   {stackOutputs("http://127.0.0.1:1"), r.token, "nothing was spent"},
	} {
		t.Run(name, func(t *testing.T) {
			fakeAWS(t, test.script)
			o := Options{pace: fastPace, Yes: true}
			o.Getenv = func(name string) string { return map[string]string{"STACK": "s", "TOKEN": test.token}[name] }
			err := Run(t.Context(), o, strings.NewReader(""), io.Discard)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
	r.Simulator().SetBalance(19)
	fakeAWS(t, stackOutputs(r.front))
	o := Options{pace: fastPace, Yes: true}
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
