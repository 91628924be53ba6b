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
	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/task"
)

// stackProber asks a deployed stack, as a user of its API.
type stackProber struct {
	api     client.Client
	pace    pace
	out     io.Writer
	wishes  []*wish
	first   time.Duration // of the first answer
	stack   string
	checker string // its function that checks the balance, once that is known
	opening *credits.Credits
	balance *credits.Credits // the last one,
	settled bool             // and nothing was asked for since
}

// wish is one request to the API, and what was seen of it.
type wish struct {
	name    string
	body    map[string]any
	credits float64

	sent  bool
	begun time.Time
	task  httpapi.Task
	err   error
	took  time.Duration
	cost  *float64
	links []link
}

// link is what came of following a picture's lasting link.
type link struct {
	status       int
	cacheControl string
	expires      string // what the link it led to says of its own life
	same         bool   // the bytes are those that the API names
	err          error
}

// verifyStack reads the stack's outputs. The token is that of somebody who may
// use it.
func verifyStack(ctx context.Context, o Options, stack string, out io.Writer) (verification, error) {
	token := o.Getenv("TOKEN")
	if token == "" {
		return verification{}, errors.New("TOKEN is not set: export an access token of a user of the stack, such as the frontend's session has")
	}
	base, err := stackURL(ctx, stack)
	if err != nil {
		return verification{}, err
	}
	// A connection for each request: over a kept one net/http may send a POST twice.
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	p := &stackProber{
		api:  client.Client{Base: base, Token: token, HTTP: &http.Client{Timeout: 40 * time.Second, Transport: transport}},
		pace: o.pace, out: out, stack: stack,
	}
	p.check(ctx)
	begun := time.Now()
	if p.opening, err = p.credits(ctx); err != nil {
		return verification{}, fmt.Errorf("%s/v1/credits: %w; nothing was spent", base, err)
	}
	p.first, p.settled = time.Since(begun), true
	p.wishes = wishes(p.opening.Prices.Credits(task.DefaultModel, "", 1), o.Refused)
	const pictures = 5 // of the wishes together
	switch q := p.opening.Quota; {
	case !p.opening.CanGenerate:
		return verification{}, fmt.Errorf("the stack cannot make pictures for this user now: %s; nothing was spent", p.opening.Reason)
	case q.Limit > 0 && q.Limit-q.Used < pictures:
		return verification{}, fmt.Errorf("the user's quota leaves %d pictures today, and this asks for %d; nothing was spent", q.Limit-q.Used, pictures)
	}
	v := verification{
		account: "the account behind stack " + stack, minutes: "five to ten minutes",
		balance: func(context.Context) (float64, error) { return p.opening.Balance, nil },
		finish:  func(context.Context) {}, table: p.findings,
	}
	for i, w := range p.wishes {
		v.steps = append(v.steps, step{w.name, w.credits, func(ctx context.Context) error { return p.run(ctx, i) }})
	}
	return v, nil
}

// wishes are what is asked for; the edit's input is known only later.
func wishes(price float64, refused string) []*wish {
	ask := func(prompt string, n int) map[string]any { return map[string]any{"prompt": prompt, "numImages": n} }
	return []*wish{
		{name: "one picture", body: ask("A lighthouse at dusk, warm light, film grain", 1), credits: price},
		{name: "two pictures", body: ask("A red bicycle against a white wall", 2), credits: 2 * price},
		{name: "an edit", body: ask("The same, in deep snow", 1), credits: price},
		{name: "a refusal", body: ask(refused, 1), credits: price},
	}
}

// stackURL asks AWS's own command where the stack's API is.
func stackURL(ctx context.Context, stack string) (string, error) {
	b, err := aws(ctx, "cloudformation", "describe-stacks", "--stack-name", stack, "--query", "Stacks[0].Outputs", "--output", "json")
	if err != nil {
		return "", err
	}
	var outputs []struct{ OutputKey, OutputValue string }
	if err := json.Unmarshal(b, &outputs); err != nil {
		return "", fmt.Errorf("the outputs of stack %s: %w", stack, err)
	}
	for _, o := range outputs {
		if o.OutputKey == "Url" {
			return strings.TrimSuffix(o.OutputValue, "/"), nil
		}
	}
	return "", fmt.Errorf("%s is not a stack of these functions: it has no output Url", stack)
}

// run makes a wish, waits for its end, and follows its links.
func (p *stackProber) run(ctx context.Context, i int) error {
	w := p.wishes[i]
	if i == editOrder {
		from := p.input()
		if from == "" {
			return errors.New("not run: there is no picture to edit")
		}
		w.body["imageUrls"] = []string{from}
	}
	var before *credits.Credits
	if p.settled {
		before = p.balance
	}
	w.sent, w.begun = true, time.Now()
	w.task, w.err = p.call(ctx, http.MethodPost, "/v1/tasks", w.body) // once
	w.took = time.Since(w.begun)
	if w.err != nil {
		if i == refusedOrder && strings.HasPrefix(w.err.Error(), "422") {
			fmt.Fprintln(p.out, "  refused before it was sent to the provider")
			return nil
		}
		return w.err
	}
	p.settled = false
	fmt.Fprintf(p.out, "  accepted after %s, task %s\n", brief(w.took), w.task.ID)
	if err := p.await(ctx, w); err != nil {
		return err
	}
	fmt.Fprintf(p.out, "  %s after %s\n", w.task.Status, brief(w.length()))
	for _, image := range w.task.Images {
		w.links = append(w.links, p.follow(ctx, image))
	}
	p.settle(ctx, w, before)
	if w.task.Error != nil && i != refusedOrder {
		return fmt.Errorf("%s: %s", w.task.Error.Code, w.task.Error.Message)
	}
	return nil
}

// call calls the API; body may be nil.
func (p *stackProber) call(ctx context.Context, method, path string, body map[string]any) (httpapi.Task, error) {
	if body == nil {
		return p.api.Call(ctx, method, path, nil, "")
	}
	return p.api.Call(ctx, method, path, body, rand.Text())
}

// length is how long the task took, by the API's own clock.
func (w *wish) length() time.Duration { return w.task.CompletedAt.Sub(w.task.CreatedAt) }

func (w *wish) succeeded() bool { return w.task.Status == task.Succeeded }

// input is a picture that is already made.
func (p *stackProber) input() string {
	for _, w := range p.wishes {
		if len(w.task.Images) > 0 {
			return "task:" + w.task.ID + "/1"
		}
	}
	return ""
}

// await waits until the task has ended. A read that fails is tried again.
func (p *stackProber) await(ctx context.Context, w *wish) error {
	failures := 0
	for !w.task.Done {
		if time.Since(w.begun) > p.pace.Task {
			return fmt.Errorf("it has not ended in %s", p.pace.Task)
		}
		begun := time.Now()
		t, err := p.call(ctx, http.MethodGet, "/v1/tasks/"+w.task.ID+"?wait=20", nil)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			w.task, failures = t, 0
		default:
			if failures++; failures == 5 {
				return err
			}
			if !pause(ctx, p.pace.Ask) {
				return ctx.Err()
			}
		}
		// Where waiting is capped an answer without news comes at once.
		if !w.task.Done && time.Since(begun) < time.Second && !pause(ctx, min(3*time.Second, p.pace.Ask)) {
			return ctx.Err()
		}
	}
	return nil
}

// settle has the balance checked, and waits until the API gives it: its functions
// remember the one before for up to 30 s.
func (p *stackProber) settle(ctx context.Context, w *wish, before *credits.Credits) {
	p.check(ctx)
	for end := time.Now().Add(p.pace.Balance); time.Now().Before(end); {
		if now, err := p.credits(ctx); err == nil && now.AsOf.After(w.task.CompletedAt) {
			p.settled = true
			if before != nil {
				w.cost = new(before.Balance - now.Balance)
			}
			return
		}
		if !pause(ctx, p.pace.Ask) {
			return
		}
	}
}

// credits reads the balance.
func (p *stackProber) credits(ctx context.Context) (*credits.Credits, error) {
	var c credits.Credits
	if err := p.api.Read(ctx, "/v1/credits", &c); err != nil {
		return nil, err
	}
	p.balance = &c
	return &c, nil
}

// follow follows a picture's lasting link, hop by hop, as anybody can.
func (p *stackProber) follow(ctx context.Context, image httpapi.Image) link {
	resp, err := visit(ctx, image.URL)
	if err != nil {
		return link{err: err}
	}
	_ = resp.Body.Close()
	l := link{status: resp.StatusCode, cacheControl: resp.Header.Get("Cache-Control")}
	target, err := resp.Location()
	if err != nil {
		return link{status: l.status, err: errors.New("it leads nowhere")}
	}
	l.expires = life(target)
	if resp, err = visit(ctx, target.String()); err != nil {
		return link{status: l.status, err: err}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		l.err = fmt.Errorf("the link it leads to is answered %s", resp.Status)
		return l
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, media.MaxBytes+1))
	sum := sha256.Sum256(b)
	l.same, l.err = hex.EncodeToString(sum[:]) == image.SHA256 && int64(len(b)) == image.Bytes, err
	return l
}

// visit makes one request without a token, and follows no redirect. Its errors
// do not quote the address, which may be signed.
func visit(ctx context.Context, address string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("a link that is none")
	}
	r.Header.Set("User-Agent", "nanobanana-verify")
	c := nanobanana.NewHTTPClient()
	c.Timeout = time.Minute
	resp, err := c.Do(r)
	var quoting *url.Error
	if errors.As(err, &quoting) {
		err = quoting.Err
	}
	return resp, err
}

// life is how many seconds a presigned link says that it lives.
func life(u *url.URL) string {
	if s := u.Query().Get("X-Amz-Expires"); s != "" {
		return s + " s"
	}
	return "a time it does not say"
}
