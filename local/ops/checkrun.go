package ops

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"syscall"

	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/outbound"
	"github.com/preset/nanobanana-functions/shared/task"
)

// runProbes look at what a stack and a local run have.
var runProbes = []probe{
	{"secret", (*checker).secretWorks},
	{"provider", (*checker).providerAccepts},
	{"sign-in", (*checker).signInWorks},
	{"notices", (*checker).noticesArrive},
	{"API", (*checker).apiAnswers},
	{"callbacks", (*checker).callbacksArrive},
	{"pictures", (*checker).picturesAnswer},
}

// secretWorks looks at whether the functions accept the secret.
func (c *checker) secretWorks(ctx context.Context) finding {
	v, err := c.Secret.Read(ctx)
	if err != nil {
		return bad("Look at the secret and at your rights.", "the secret cannot be read")
	}
	if _, err := config.ParseSecret(v.Value); err != nil {
		return bad("Correct it: docs/deploy.md#keys.", "%v", err)
	}
	return ok("the functions accept it")
}

// providerAccepts reads the balance.
func (c *checker) providerAccepts(ctx context.Context) finding {
	v, err := c.Secret.Read(ctx)
	if err != nil {
		return hidden("the secret cannot be read")
	}
	secret, err := config.ParseSecret(v.Value)
	switch {
	case err != nil:
		return hidden("the secret is faulty")
	case secret.APIKey == "":
		f := bad("Put the provider's key in: key set.", "no API key is set, so no order is accepted")
		f.next = "key set"
		return f
	}
	credits, err := c.Service.Provider.Credits(ctx, string(secret.APIKey))
	if e, is := errors.AsType[*nanobanana.Error](err); is && e.Reason == nanobanana.Unauthorized {
		f := bad("Make a key at the provider and put it in: key set.", "the provider refuses the API key")
		f.next = "key set"
		return f
	}
	switch {
	case err != nil && c.stopped(err):
		return hidden("this local run is stopped, and its simulator with it")
	case err != nil:
		return bad("Is NANOBANANA_BASE_URL right, and the provider up? Run this again.", "the balance cannot be read: %v", printable(err, "the provider"))
	case credits < float64(c.Settings.LowCredits):
		return bad("Top up at the provider.", "the key is accepted; %s credits are left, below LOW_CREDITS", amount(credits))
	}
	return ok("the key is accepted; %s credits are left", amount(credits))
}

// stopped reports whether an error is that a local run, which would answer, is stopped.
func (c *checker) stopped(err error) bool {
	return c.Stack == nil && errors.Is(err, syscall.ECONNREFUSED)
}

// noIssuer is the template's AuthIssuer before one is set.
const noIssuer = "https://not-set.invalid/auth/v1"

// signInWorks reads the issuer's keys.
func (c *checker) signInWorks(ctx context.Context) finding {
	const again = "Are AuthIssuer and AuthJwksUrl right? Deploy again with the right ones."
	if c.Settings.AuthIssuer == "" || c.Settings.AuthIssuer == noIssuer {
		return bad("Deploy with AuthIssuer=https://PROJECT.supabase.co/auth/v1.", "no issuer is set, so nobody can sign in")
	}
	usable, err := auth.Keys(ctx, c.Settings, c.http)
	switch {
	case err != nil && c.stopped(err):
		return hidden("this local run is stopped, and its sign-in with it")
	case err != nil:
		return bad(again, "the issuer's keys cannot be read: %v", printable(err, "the issuer"))
	case usable > 0:
		return ok("the issuer publishes %s that can be used", Count(usable, "key"))
	}
	secret, err := c.Secrets.Current(ctx)
	if err == nil && secret.JWTSecret != "" {
		return ok("the issuer publishes no key; tokens are verified with jwtSecret of the secret")
	}
	return bad("Let the project sign with an asymmetric key (ES256 or RS256), or put jwtSecret into the secret.", "the issuer publishes no key that can be used")
}

// noticesArrive sends a test notice.
func (c *checker) noticesArrive(ctx context.Context) finding {
	if !c.Settings.Notifies() {
		return without("NOTIFY_URL is not set")
	}
	v, err := c.Secret.Read(ctx)
	if err != nil {
		return hidden("the secret cannot be read")
	}
	if err := sendTest(ctx, c.Env, v.Value); err != nil {
		return bad("Is the receiver up, does it have the notify keys, and is NotifyUrl right? See docs/supabase.md.", "a test notice was not accepted: %v", err)
	}
	return ok("the receiver accepted a signed test notice")
}

// findPublic returns the address of the API, as the provider and users reach it.
func (c *checker) findPublic() (string, error) {
	if c.Settings.PublicURL != "" || c.Stack == nil {
		return c.Settings.PublicURL, nil
	}
	d, err := c.stack()
	return d.outputs["Url"], err
}

// noTask is an id that no task can have: ids are made by hashing more than this.
var noTask = task.NewID("", "bin/ops check")

func (c *checker) apiAnswers(ctx context.Context) finding {
	return c.call(ctx, http.MethodGet, "/v1/health", http.StatusOK, "")
}

// callbacksArrive calls as a stranger does who forges a callback: only our own function
// answers so, and it reads nothing and writes nothing before it has verified the token.
func (c *checker) callbacksArrive(ctx context.Context) finding {
	if c.Settings.NoCallbacks {
		return without("the provider cannot reach this machine; the sweep reads the records")
	}
	return c.call(ctx, http.MethodPost, "/v1/callbacks/"+noTask+"/1/bin-ops-check", http.StatusNotFound, string(task.CodeNotFound))
}

func (c *checker) picturesAnswer(ctx context.Context) finding {
	return c.call(ctx, http.MethodGet, "/v1/images/"+noTask+"/bin-ops-check/1-0000000000000000.png", http.StatusNotFound, string(task.CodeNotFound))
}

// maxProblem bounds what is read of an answer.
const maxProblem = 64 << 10

// call calls the API from here, and expects this answer of ours; code is that of a
// problem, or empty.
func (c *checker) call(ctx context.Context, method, path string, status int, code string) finding {
	const route = "Is PublicUrl right, and does that domain lead to this stack's API with every path?"
	origin, err := c.public()
	if err != nil {
		return c.cannotSee(err, "cloudformation:DescribeStacks")
	}
	if origin == "" {
		return hidden("nobody knows the API's address: the stack has no output Url")
	}
	req, err := http.NewRequestWithContext(ctx, method, origin+path, strings.NewReader("{}"))
	if err != nil {
		return bad(route, "PUBLIC_URL is no address")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", outbound.UserAgent)
	resp, err := c.http.Do(req)
	switch {
	case err != nil && c.stopped(err):
		return hidden("this local run is stopped")
	case err != nil:
		return bad(route, "%v", printable(err, "the API"))
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxProblem)) // half of it is no problem of ours
	var answer struct {
		Code string `json:"code"`
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	ours := code == "" || kind == "application/problem+json" && json.Unmarshal(body, &answer) == nil && answer.Code == code
	switch {
	case resp.StatusCode == status && ours:
		return ok("our function answers at %s", origin)
	case resp.StatusCode == status:
		return bad(route, "something else answered with %d, not our function", resp.StatusCode)
	}
	return bad("Look at the log: stuck, and the dashboard.", "the answer has status %d, want %d", resp.StatusCode, status)
}
