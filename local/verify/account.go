package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/outbound"
	"github.com/preset/nanobanana-functions/shared/task"
)

const (
	recordPath = "/nanobanana/record-info"
	guidePath  = "/nanobanana/record" // as the provider's guide spells it
)

// accountProbe calls the provider directly, with the client that the functions use.
type accountProbe struct {
	settings   config.Settings
	key        string
	rules      task.Rules
	client     *nanobanana.Client
	recorder   *recorder
	fetcher    *media.Fetcher
	web        *http.Client
	callbacks  *receiver // nil without PUBLIC_URL
	unheard    string    // where callbacks go then: nothing listens there
	transcript *transcript
	pace       pace
	out        io.Writer

	tasks     []*accountTask
	readAt    map[string]time.Time // when a task's record was last read, by its id
	opening   *float64             // the balance before the first step
	closing   *float64             // the balance after the last
	otherPath comparison
	unknown   *exchange // the read of a record that does not exist
	later     string    // whether the first picture's link still worked at the end
}

// accountTask is one request for pictures, and what was seen of it.
type accountTask struct {
	n       int // from 1
	name    string
	request nanobanana.Request
	credits float64 // estimated

	started  time.Time
	submit   *exchange // nil if it was not sent
	id       string
	err      error // from the submit
	record   nanobanana.Record
	read     *exchange // the last read of the record; nil if there was none
	path     string    // the path of that read
	ended    time.Duration
	before   *float64 // the balance before the submit
	accepted *float64 // the balance after its answer
	after    *float64 // the balance after the end
	pictures []servedPicture
}

func (t *accountTask) done() bool { return t.read != nil && t.record.State != nanobanana.Running }

// servedPicture is what a result URL serves.
type servedPicture struct {
	url         string
	picture     media.Picture // from its bytes
	err         error
	contentType string // from its header
}

// comparison is the read of a record from the path that is not configured.
type comparison struct {
	path   string
	task   *accountTask
	record nanobanana.Record
	err    error
	read   *exchange // nil if it was not read
}

func newAccountProbe(ctx context.Context, o Options, out io.Writer) (_ *accountProbe, err error) {
	getenv := func(name string) string {
		if value := o.Getenv(name); value != "" || name != "NANOBANANA_BASE_URL" {
			return value
		}
		return config.DefaultBaseURL
	}
	c, err := config.Load(getenv, config.Local)
	if err != nil {
		return nil, err
	}
	if c.APIKey == "" {
		return nil, errors.New("NANOBANANA_API_KEY is not set. Export the key of the account to use, or set STACK=name to check a deployed stack")
	}
	if err := os.MkdirAll(o.Data, 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(o.Data, "verify.jsonl"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	p := &accountProbe{
		settings: c, key: string(c.APIKey), rules: lifecycle.Rules(c), pace: o.pace, out: out,
		fetcher: lifecycle.NewIngester(c, nil, nil, nil, nil, nil, slog.New(slog.DiscardHandler)).Fetcher,
		web:     outbound.NewClient(), readAt: map[string]time.Time{},
		transcript: &transcript{file: file, secret: string(c.APIKey)},
	}
	p.web.Timeout = 30 * time.Second
	client := outbound.NewClient()
	p.recorder = &recorder{RoundTripper: client.Transport, transcript: p.transcript}
	client.Transport = p.recorder
	p.client = &nanobanana.Client{BaseURL: c.BaseURL, RecordPath: c.RecordPath, HTTP: client}
	p.tasks = p.plan(o.Refused)
	p.otherPath.path = recordPath
	if c.RecordPath == recordPath {
		p.otherPath.path = guidePath
	}
	return p, p.listen(ctx, o.Addr, o.Origin)
}

// plan returns the tasks to submit. The edit's input is set when one is made.
func (p *accountProbe) plan(refused string) []*accountTask {
	credits := func(n int) float64 { return p.settings.Prices.Credits(task.DefaultModel, "", n) }
	request := func(prompt string, n int) nanobanana.Request {
		return nanobanana.Request{Model: task.DefaultModel, Prompt: prompt, NumImages: n, AspectRatio: "4:3"}
	}
	return []*accountTask{
		{n: 1, name: "one picture", request: request("A lighthouse at dusk, warm light, film grain", 1), credits: credits(1)},
		{n: 2, name: "two pictures", request: request("A red bicycle against a white wall", 2), credits: credits(2)},
		{n: 3, name: "an edit", request: request("The same, in deep snow", 1), credits: credits(1)},
		{n: 4, name: "a refusal", request: request(refused, 1), credits: credits(1)},
	}
}

// The indexes of the tasks in the plan.
const (
	singleTask = iota
	severalTask
	editTask
	refusedTask
)

// listen starts to receive callbacks, if PUBLIC_URL is set.
func (p *accountProbe) listen(ctx context.Context, addr, origin string) (err error) {
	if p.settings.PublicURL == "" {
		p.unheard = origin // as the local run does without PUBLIC_URL
		fmt.Fprintln(p.out, "PUBLIC_URL is not set, so callbacks are not checked. To check them, open a tunnel to "+addr+" and set PUBLIC_URL to the tunnel's address.")
		return nil
	}
	if p.callbacks, err = listen(addr, p.settings.PublicURL, len(p.tasks), p.transcript); err == nil {
		err = p.callbacks.checkReachable(ctx)
	}
	if err != nil {
		p.close()
	}
	return err
}

func (p *accountProbe) close() {
	if p.callbacks != nil {
		p.callbacks.close()
	}
	_ = p.transcript.file.Close()
}

func (p *accountProbe) verification() verification {
	host := p.settings.BaseURL
	if u, err := url.Parse(host); err == nil {
		host = u.Host
	}
	v := verification{
		account: "the NanoBanana account at " + host, duration: "five to ten minutes",
		balance: func(ctx context.Context) (float64, error) {
			credits, err := p.client.Credits(ctx, p.key)
			if err == nil {
				p.opening = &credits
			}
			return credits, err
		},
		finish: p.finish, findings: p.findings,
	}
	for _, t := range p.tasks {
		v.steps = append(v.steps, step{t.name, t.credits, func(ctx context.Context) error { return p.run(ctx, t) }})
	}
	return v
}
