package verify

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/local/client"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/outbound"
	"github.com/preset/nanobanana-functions/shared/task"
)

// stackProbe calls a deployed stack, as a user of its API.
type stackProbe struct {
	api     client.Client
	pace    pace
	out     io.Writer
	tasks   []*stackTask
	first   time.Duration // how long the first answer took
	stack   string
	checker string // the name of the function that checks the balance; empty until known
	opening *credits.Credits
	balance *credits.Credits // the latest
	settled bool             // no task was submitted after it
}

// stackTask is one request for pictures, and what was seen of it.
type stackTask struct {
	name    string
	body    map[string]any
	credits float64

	sent    bool
	started time.Time
	task    httpapi.Task
	err     error
	took    time.Duration
	cost    *float64
	links   []link
}

// link is the result of following a picture's lasting link.
type link struct {
	status       int
	cacheControl string
	expires      string // the validity of the presigned link that it leads to, in words
	matches      bool   // the bytes are those whose hash and size the API shows
	err          error
}

// verifyStack prepares the verification of a stack, as the user of TOKEN.
func verifyStack(ctx context.Context, o Options, stack string, out io.Writer) (verification, error) {
	token := o.Getenv("TOKEN")
	if token == "" {
		return verification{}, errors.New("TOKEN is not set. Export an access token of a user of the stack, for example from the frontend's session")
	}
	base, err := stackURL(ctx, stack)
	if err != nil {
		return verification{}, err
	}
	// One connection per request: net/http may repeat a POST on a reused connection.
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	p := &stackProbe{
		api:  client.Client{Base: base, Token: token, HTTP: &http.Client{Timeout: 40 * time.Second, Transport: transport}},
		pace: o.pace, out: out, stack: stack,
	}
	p.check(ctx)
	started := time.Now()
	if p.opening, err = p.credits(ctx); err != nil {
		return verification{}, fmt.Errorf("%s/v1/credits: %w; nothing was spent", base, err)
	}
	p.first, p.settled = time.Since(started), true
	p.tasks = stackTasks(p.opening.Prices.Credits(task.DefaultModel, "", 1), o.Refused)
	const pictures = 5 // of all tasks together
	switch q := p.opening.Quota; {
	case !p.opening.CanGenerate:
		return verification{}, fmt.Errorf("the stack cannot make pictures for this user now: %s; nothing was spent", p.opening.Reason)
	case q.Limit > 0 && q.Limit-q.Used < pictures:
		return verification{}, fmt.Errorf("the user's quota leaves %d pictures today, and this needs %d; nothing was spent", q.Limit-q.Used, pictures)
	}
	v := verification{
		account: "the account behind stack " + stack, duration: "five to ten minutes",
		balance: func(context.Context) (float64, error) { return p.opening.Balance, nil },
		finish:  func(context.Context) {}, findings: p.findings,
	}
	for i, t := range p.tasks {
		v.steps = append(v.steps, step{t.name, t.credits, func(ctx context.Context) error { return p.run(ctx, i) }})
	}
	return v, nil
}

// stackTasks returns the tasks to submit. The edit's input is set when one is made.
func stackTasks(price float64, refused string) []*stackTask {
	body := func(prompt string, n int) map[string]any { return map[string]any{"prompt": prompt, "numImages": n} }
	return []*stackTask{
		{name: "one picture", body: body("A lighthouse at dusk, warm light, film grain", 1), credits: price},
		{name: "two pictures", body: body("A red bicycle against a white wall", 2), credits: 2 * price},
		{name: "an edit", body: body("The same, in deep snow", 1), credits: price},
		{name: "a refusal", body: body(refused, 1), credits: price},
	}
}

// stackURL returns the address of the stack's API, from its outputs.
func stackURL(ctx context.Context, stack string) (string, error) {
	b, err := aws(ctx, "cloudformation", "describe-stacks", "--stack-name", stack, "--query", "Stacks[0].Outputs", "--output", "json")
	if err != nil {
		return "", err
	}
	var outputs []struct{ OutputKey, OutputValue string }
	if err := json.Unmarshal(b, &outputs); err != nil {
		return "", fmt.Errorf("cannot read the outputs of stack %s: %w", stack, err)
	}
	for _, o := range outputs {
		if o.OutputKey == "Url" {
			return strings.TrimSuffix(o.OutputValue, "/"), nil
		}
	}
	return "", fmt.Errorf("%s is not a stack of these functions: it has no output Url", stack)
}

// run submits task i, waits for its end, and follows its links.
func (p *stackProbe) run(ctx context.Context, i int) error {
	t := p.tasks[i]
	if i == editTask {
		from := p.input()
		if from == "" {
			return errors.New("not run: there is no picture to edit")
		}
		t.body["imageUrls"] = []string{from}
	}
	var before *credits.Credits
	if p.settled {
		before = p.balance
	}
	t.sent, t.started = true, time.Now()
	t.task, t.err = p.call(ctx, http.MethodPost, "/v1/tasks", t.body) // once
	t.took = time.Since(t.started)
	if t.err != nil {
		if i == refusedTask && strings.HasPrefix(t.err.Error(), "422") {
			fmt.Fprintln(p.out, "  refused before it was sent to the provider")
			return nil
		}
		return t.err
	}
	p.settled = false
	fmt.Fprintf(p.out, "  accepted after %s, task %s\n", shortDuration(t.took), t.task.ID)
	if err := p.await(ctx, t); err != nil {
		return err
	}
	fmt.Fprintf(p.out, "  %s after %s\n", t.task.Status, shortDuration(t.duration()))
	for _, image := range t.task.Images {
		t.links = append(t.links, p.follow(ctx, image))
	}
	p.settle(ctx, t, before)
	if t.task.Error != nil && i != refusedTask {
		return fmt.Errorf("%s: %s", t.task.Error.Code, t.task.Error.Message)
	}
	return nil
}

// call calls the API; body may be nil.
func (p *stackProbe) call(ctx context.Context, method, path string, body map[string]any) (httpapi.Task, error) {
	if body == nil {
		return p.api.Call(ctx, method, path, nil, "")
	}
	return p.api.Call(ctx, method, path, body, rand.Text())
}

// duration returns how long the task took, by the API's clock.
func (t *stackTask) duration() time.Duration { return t.task.CompletedAt.Sub(t.task.CreatedAt) }

func (t *stackTask) succeeded() bool { return t.task.Status == task.Succeeded }

// input names a picture that is already made, if there is one.
func (p *stackProbe) input() string {
	for _, t := range p.tasks {
		if len(t.task.Images) > 0 {
			return "task:" + t.task.ID + "/1"
		}
	}
	return ""
}

// await waits until the task has ended. It repeats a failed read.
func (p *stackProbe) await(ctx context.Context, t *stackTask) error {
	failures := 0
	for !t.task.Done {
		if time.Since(t.started) > p.pace.TaskTimeout {
			return fmt.Errorf("the task has not ended after %s", p.pace.TaskTimeout)
		}
		started := time.Now()
		got, err := p.call(ctx, http.MethodGet, "/v1/tasks/"+t.task.ID+"?wait=20", nil)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			t.task, failures = got, 0
		default:
			if failures++; failures == 5 {
				return err
			}
			if !sleep(ctx, p.pace.PollEvery) {
				return ctx.Err()
			}
		}
		// If WAIT_MAX is 0, an unchanged task is returned at once.
		if !t.task.Done && time.Since(started) < time.Second && !sleep(ctx, min(3*time.Second, p.pace.PollEvery)) {
			return ctx.Err()
		}
	}
	return nil
}

// settle makes the stack check the balance, and waits until the API shows the new
// one: its functions keep the last one for up to 30 s.
func (p *stackProbe) settle(ctx context.Context, t *stackTask, before *credits.Credits) {
	p.check(ctx)
	for end := time.Now().Add(p.pace.BalanceTimeout); time.Now().Before(end); {
		if now, err := p.credits(ctx); err == nil && now.AsOf.After(t.task.CompletedAt) {
			p.settled = true
			if before != nil {
				t.cost = new(before.Balance - now.Balance)
			}
			return
		}
		if !sleep(ctx, p.pace.PollEvery) {
			return
		}
	}
}

// credits reads the balance.
func (p *stackProbe) credits(ctx context.Context) (*credits.Credits, error) {
	var c credits.Credits
	if err := p.api.Read(ctx, "/v1/credits", &c); err != nil {
		return nil, err
	}
	p.balance = &c
	return &c, nil
}

// follow follows a picture's lasting link, hop by hop, without a token.
func (p *stackProbe) follow(ctx context.Context, image httpapi.Image) link {
	resp, err := visit(ctx, image.URL)
	if err != nil {
		return link{err: err}
	}
	_ = resp.Body.Close()
	l := link{status: resp.StatusCode, cacheControl: resp.Header.Get("Cache-Control")}
	target, err := resp.Location()
	if err != nil {
		return link{status: l.status, err: errors.New("the answer has no Location")}
	}
	l.expires = validity(target)
	if resp, err = visit(ctx, target.String()); err != nil {
		return link{status: l.status, err: err}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		l.err = fmt.Errorf("the presigned link returns %s", resp.Status)
		return l
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, media.MaxBytes+1))
	sum := sha256.Sum256(b)
	l.matches, l.err = hex.EncodeToString(sum[:]) == image.SHA256 && int64(len(b)) == image.Bytes, err
	return l
}

// visit makes one request without a token and without following redirects. Its
// errors do not contain the address, which may be signed.
func visit(ctx context.Context, address string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("not a valid link")
	}
	r.Header.Set("User-Agent", "nanobanana-verify")
	c := outbound.NewClient()
	c.Timeout = time.Minute
	resp, err := c.Do(r)
	return resp, outbound.WithoutURL(err)
}

// validity returns for how long a presigned link is valid, in words.
func validity(u *url.URL) string {
	if s := u.Query().Get("X-Amz-Expires"); s != "" {
		return s + " s"
	}
	return "an unknown time"
}
