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
	"github.com/preset/nanobanana-functions/shared/task"
)

const (
	recordPath = "/nanobanana/record-info"
	guidePath  = "/nanobanana/record" // the guide's spelling
)

// prober asks the provider itself, with the client that the functions use.
type prober struct {
	settings  config.Settings
	key       string
	rules     task.Rules
	client    *nanobanana.Client
	tap       *tap
	fetcher   *media.Fetcher
	web       *http.Client
	callbacks *receiver // nil without PUBLIC_URL
	address   string    // then callbacks go here, where nobody listens
	notes     *notes
	pace      pace
	out       io.Writer

	orders  []*order
	readAt  map[string]time.Time // of a task's record, the last time
	opening *float64             // the balance before all,
	closing *float64             // and after
	other   comparison
	unknown *exchange // the record of a task that does not exist
	later   string    // what became of the first picture's link
}

// order is one request for pictures, and what was seen of it.
type order struct {
	n       int // from 1
	name    string
	request nanobanana.Request
	credits float64 // estimated

	begun    time.Time
	submit   *exchange // nil: not run
	id       string
	err      error // of the submit
	record   nanobanana.Record
	read     *exchange // that gave the last record; nil: none did
	path     string    // and from which path
	ended    time.Duration
	before   *float64 // the balance
	accepted *float64
	after    *float64
	pictures []shownPicture
}

func (o *order) done() bool { return o.read != nil && o.record.State != nanobanana.Running }

// shownPicture is what was found behind a URL.
type shownPicture struct {
	url         string
	found       media.Picture
	err         error
	contentType string // as it is said to be
}

// comparison is what the record path that is not configured answers.
type comparison struct {
	path   string
	of     *order
	record nanobanana.Record
	err    error
	asked  *exchange // nil: not asked
}

func newProber(ctx context.Context, o Options, out io.Writer) (_ *prober, err error) {
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
		return nil, errors.New("NANOBANANA_API_KEY is not set: export the key of the account to verify with, or set STACK=name for a deployed stack")
	}
	if err := os.MkdirAll(o.Data, 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(o.Data, "verify.jsonl"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	p := &prober{
		settings: c, key: string(c.APIKey), rules: lifecycle.Rules(c), pace: o.pace, out: out,
		fetcher: lifecycle.NewIngester(c, nil, nil, nil, slog.New(slog.DiscardHandler)).Fetcher,
		web:     nanobanana.NewHTTPClient(), readAt: map[string]time.Time{},
		notes: &notes{file: file, secret: string(c.APIKey)},
	}
	p.web.Timeout = 30 * time.Second
	client := nanobanana.NewHTTPClient()
	p.tap = &tap{RoundTripper: client.Transport, notes: p.notes}
	client.Transport = p.tap
	p.client = &nanobanana.Client{BaseURL: c.BaseURL, RecordPath: c.RecordPath, HTTP: client}
	p.orders = p.plan(o.Refused)
	p.other.path = recordPath
	if c.RecordPath == recordPath {
		p.other.path = guidePath
	}
	return p, p.listen(ctx, o.Addr, o.Origin)
}

// plan is what is ordered. The edit's input is known only later.
func (p *prober) plan(refused string) []*order {
	credits := func(n int) float64 { return p.settings.Prices.Credits(task.DefaultModel, "", n) }
	ask := func(prompt string, n int) nanobanana.Request {
		return nanobanana.Request{Model: task.DefaultModel, Prompt: prompt, NumImages: n, AspectRatio: "4:3"}
	}
	return []*order{
		{n: 1, name: "one picture", request: ask("A lighthouse at dusk, warm light, film grain", 1), credits: credits(1)},
		{n: 2, name: "two pictures", request: ask("A red bicycle against a white wall", 2), credits: credits(2)},
		{n: 3, name: "an edit", request: ask("The same, in deep snow", 1), credits: credits(1)},
		{n: 4, name: "a refusal", request: ask(refused, 1), credits: credits(1)},
	}
}

// The places of orders in the plan.
const (
	oneOrder = iota
	severalOrder
	editOrder
	refusedOrder
)

// listen opens what receives callbacks, if they can come.
func (p *prober) listen(ctx context.Context, addr, origin string) (err error) {
	if p.settings.PublicURL == "" {
		p.address = origin // as the local run without PUBLIC_URL does
		fmt.Fprintln(p.out, "PUBLIC_URL is not set: callbacks are not checked. Lead a tunnel to "+addr+" and set PUBLIC_URL to its address.")
		return nil
	}
	if p.callbacks, err = listen(addr, p.settings.PublicURL, len(p.orders), p.notes); err == nil {
		err = p.callbacks.reachable(ctx)
	}
	if err != nil {
		p.close()
	}
	return err
}

func (p *prober) close() {
	if p.callbacks != nil {
		p.callbacks.close()
	}
	_ = p.notes.file.Close()
}

func (p *prober) verification() verification {
	host := p.settings.BaseURL
	if u, err := url.Parse(host); err == nil {
		host = u.Host
	}
	v := verification{
		account: "the NanoBanana account at " + host, minutes: "five to ten minutes",
		balance: func(ctx context.Context) (float64, error) {
			credits, err := p.client.Credits(ctx, p.key)
			if err == nil {
				p.opening = &credits
			}
			return credits, err
		},
		finish: p.finish, table: p.findings,
	}
	for _, o := range p.orders {
		v.steps = append(v.steps, step{o.name, o.credits, func(ctx context.Context) error { return p.run(ctx, o) }})
	}
	return v
}
