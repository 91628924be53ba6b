package serve

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/local/client/clienttest"
	"github.com/preset/nanobanana-functions/local/signin"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// request makes a request of the server; header holds names and values in turn.
func (r *harness) request(method, path, body string, header ...string) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.URL+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp, string(b)
}

func TestPage(t *testing.T) {
	r := startHarness(t, nil)
	for path, want := range map[string]string{"/": "text/html", "/studio.css": "text/css", "/studio.js": "text/javascript"} {
		resp, body := r.request("GET", path, "")
		if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), want) || body == "" {
			t.Errorf("%s: %s %s, %d bytes", path, resp.Status, resp.Header.Get("Content-Type"), len(body))
		}
		policy := resp.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'self'") || !strings.Contains(policy, "connect-src 'self' "+r.URL+";") {
			t.Errorf("%s lacks a Content-Security-Policy", path)
		}
	}
	if resp, _ := r.request("GET", "/nothing", ""); resp.StatusCode != 404 {
		t.Errorf("/nothing: %s", resp.Status)
	}
}

// The page gets a token that the API accepts, of the user whom the other commands
// mean too.
func TestSession(t *testing.T) {
	r := startHarness(t, nil)
	resp, body := r.request("GET", "/local/session", "")
	var session struct {
		Token, Owner string
		Simulator    bool
		Target       struct{ Kind, ID string }
	}
	if err := json.Unmarshal([]byte(body), &session); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s %s", resp.Status, body)
	}
	if !session.Simulator || session.Target.Kind != "moodboard" || session.Target.ID != "studio" || session.Owner != signin.SampleOwner {
		t.Errorf("session: %s", body)
	}
	id := clienttest.SignIn(t, r.URL, r.data, signin.SampleOwner).Submit(t, map[string]any{"prompt": "by curl"}, "k").ID
	if resp, body := r.request("GET", "/v1/tasks/"+id, "", "Authorization", "Bearer "+session.Token); resp.StatusCode != 200 {
		t.Errorf("the API answers its token with %s %s", resp.Status, body)
	}
}

// The page can have the simulator's balance read as soon as a picture is ordered, so
// that it does not show credits that are spent.
func TestBalanceAtOnce(t *testing.T) {
	r := startHarness(t, map[string]string{"SWEEP_EVERY": "10m"})
	r.AwaitSuccess(t, r.Submit(t, map[string]any{"prompt": "a red bicycle"}, "k").ID)
	if resp, body := r.request(http.MethodPost, "/local/balance", ""); resp.StatusCode != http.StatusNoContent {
		t.Errorf("%s %s", resp.Status, body)
	}
	var credits struct{ Balance float64 }
	r.Do(t, http.StatusOK, http.MethodGet, "/v1/credits", "", &credits)
	if want := r.studio.simulator.Balance(); credits.Balance != want || want >= 1000 {
		t.Errorf("the balance is %g, want %g", credits.Balance, want)
	}
}

func TestSwitches(t *testing.T) {
	r := startHarness(t, nil)
	_, usual := r.request("GET", "/local/simulator", "")
	if usual != `{"loseCallbacks":false,"repeatCallbacks":1,"refuse":"","slow":false,"manifest":false}` {
		t.Errorf("at first the switches are %s", usual)
	}
	set := func(body string) int {
		resp, _ := r.request("PUT", "/local/simulator", body, "Content-Type", "application/json")
		return resp.StatusCode
	}
	changed := map[string]func(nanobananatest.Knobs) bool{
		`{"loseCallbacks":true,"repeatCallbacks":1,"refuse":"","slow":false,"manifest":false}`:             func(k nanobananatest.Knobs) bool { return k.LoseCallbacks },
		`{"loseCallbacks":false,"repeatCallbacks":5,"refuse":"","slow":false,"manifest":false}`:            func(k nanobananatest.Knobs) bool { return k.RepeatCallbacks == 5 },
		`{"loseCallbacks":false,"repeatCallbacks":1,"refuse":"","slow":true,"manifest":false}`:             func(k nanobananatest.Knobs) bool { return k.Delay == slowDelay },
		`{"loseCallbacks":false,"repeatCallbacks":1,"refuse":"","slow":false,"manifest":true}`:             func(k nanobananatest.Knobs) bool { return k.Manifest },
		`{"loseCallbacks":false,"repeatCallbacks":1,"refuse":"credits","slow":false,"manifest":false}`:     func(k nanobananatest.Knobs) bool { return k.OutOfCredits },
		`{"loseCallbacks":false,"repeatCallbacks":1,"refuse":"rateLimit","slow":false,"manifest":false}`:   func(k nanobananatest.Knobs) bool { return k.Submit.Code == 429 },
		`{"loseCallbacks":false,"repeatCallbacks":1,"refuse":"maintenance","slow":false,"manifest":false}`: func(k nanobananatest.Knobs) bool { return k.Submit.Code == 455 },
		`{"loseCallbacks":false,"repeatCallbacks":1,"refuse":"policy","slow":false,"manifest":false}`:      func(k nanobananatest.Knobs) bool { return k.Outcome.ErrorCode == 400 },
		`{"loseCallbacks":false,"repeatCallbacks":1,"refuse":"generation","slow":false,"manifest":false}`:  func(k nanobananatest.Knobs) bool { return k.Outcome.ErrorCode == 501 },
		`{"loseCallbacks":false,"repeatCallbacks":1,"refuse":"unclear","slow":false,"manifest":false}`:     func(k nanobananatest.Knobs) bool { return k.Submit.Accepted },
	}
	for body, is := range changed {
		if status := set(body); status != 200 || !is(r.studio.simulator.Knobs()) {
			t.Errorf("%s: %d, %+v", body, status, r.studio.simulator.Knobs())
		}
		if _, now := r.request("GET", "/local/simulator", ""); now != body {
			t.Errorf("the switches are %s, want %s", now, body)
		}
		if set(usual) != 200 {
			t.Error("the switches cannot be set back")
		}
		if k := r.studio.simulator.Knobs(); k.OutOfCredits || k.LoseCallbacks || k.Submit.Kind != "" || k.Outcome.ErrorCode != 0 {
			t.Errorf("after setting back: %+v", k)
		}
	}
	for body, want := range map[string]int{
		`{"loseCallbacks":false,"repeatCallbacks":6,"refuse":"","slow":false}`:     422,
		`{"loseCallbacks":false,"repeatCallbacks":0,"refuse":"","slow":false}`:     422,
		`{"loseCallbacks":false,"repeatCallbacks":1,"refuse":"such","slow":false}`: 422,
		`{"loseCallbacks":false,"repeatCallbacks":1,"refuse":"","fast":false}`:     400,
		`[]`: 400,
	} {
		if status := set(body); status != want {
			t.Errorf("%s: %d, want %d", body, status, want)
		}
	}
}
