package verify

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/media/picture"
	"github.com/preset/nanobanana-functions/shared/nanobanana"
)

// run makes an order, waits for its end and looks at everything.
func (p *prober) run(ctx context.Context, o *order) error {
	if o.n == editOrder+1 {
		if o.request.ImageURLs = p.input(); o.request.ImageURLs == nil {
			return errors.New("not run: there is no picture to edit")
		}
	}
	o.request.CallbackURL = callbackAddress(p.address, o.n, rand.Text())
	if p.callbacks != nil {
		o.request.CallbackURL = p.callbacks.address(o.n)
	}
	o.before = p.balance(ctx)
	mark := len(p.tap.seen)
	o.begun = time.Now()
	o.id, o.err = p.client.Submit(ctx, p.key, o.request) // once, whatever the answer is
	if sent := p.tap.since(mark); len(sent) > 0 {
		o.submit = sent[0]
	}
	o.accepted = p.balance(ctx)
	if o.err != nil {
		o.after = o.accepted
		if ctx.Err() != nil {
			p.say("its answer was not waited for: the task may exist, and be paid")
		}
		if o.n == refusedOrder+1 && refusedBy(o.err) {
			p.say("refused at once")
			return nil
		}
		return o.err
	}
	p.say("accepted after %s, task %s", brief(time.Since(o.begun)), o.id)
	err := p.await(ctx, o)
	o.after = p.balance(ctx)
	if err != nil {
		return err
	}
	p.say("%s after %s", o.record.State, brief(o.ended))
	p.look(ctx, o)
	if o.record.State == nanobanana.Failed && o.n != refusedOrder+1 {
		return fmt.Errorf("the provider failed it: %s", o.record.Reason)
	}
	return nil
}

func (p *prober) say(format string, args ...any) {
	fmt.Fprintln(p.out, hide("  "+fmt.Sprintf(format, args...), p.key))
}

// input is the URL of a picture that is already made.
func (p *prober) input() []string {
	for _, o := range p.orders {
		if len(o.record.URLs) > 0 {
			return o.record.URLs[:1]
		}
	}
	return nil
}

// refusedBy tells a refusal of the prompt from other refusals.
func refusedBy(err error) bool {
	var e *nanobanana.Error
	return errors.As(err, &e) && (e.Reason == nanobanana.Policy || e.Code == http.StatusBadRequest || e.Code == http.StatusUnprocessableEntity)
}

// balance reads the balance; nil where it cannot be read.
func (p *prober) balance(ctx context.Context) *float64 {
	credits, err := p.client.Credits(ctx, p.key)
	if err != nil {
		if ctx.Err() == nil {
			p.say("the balance cannot be read: %v", err)
		}
		return nil
	}
	return &credits
}

// await reads the record until the task has ended: when it is called back, and
// every so often.
func (p *prober) await(ctx context.Context, o *order) error {
	var called chan struct{}
	if p.callbacks != nil {
		called = p.callbacks.first[o.n]
	}
	wait := p.settings.PollEvery
	for time.Since(o.begun) < p.pace.Task {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-called:
			called = nil
		}
		timer.Stop()
		if !p.turn(ctx, o.id) {
			return ctx.Err()
		}
		wait = p.settings.PollEvery
		mark := len(p.tap.seen)
		record, err := p.client.Record(ctx, p.key, o.id)
		if err != nil {
			var e *nanobanana.Error
			if errors.As(err, &e) {
				wait = max(wait, e.RetryAfter)
			}
			p.say("the record cannot be read yet: %v", err)
			continue
		}
		read := p.tap.since(mark)
		o.record, o.read, o.ended = record, read[len(read)-1], time.Since(o.begun)
		o.path = strings.TrimPrefix(o.read.Path, p.pathPrefix())
		if o.done() {
			return nil
		}
	}
	return fmt.Errorf("it has not ended in %s", p.pace.Task)
}

// pathPrefix is what the paths of a client begin with.
func (p *prober) pathPrefix() string {
	u, err := url.Parse(p.settings.BaseURL)
	if err != nil {
		return ""
	}
	return u.Path + "/api/v1"
}

// turn waits until a task's record may be read again.
func (p *prober) turn(ctx context.Context, id string) bool {
	if last, ok := p.readAt[id]; ok && !pause(ctx, time.Until(last.Add(p.settings.PollEvery))) {
		return false
	}
	p.readAt[id] = time.Now()
	return ctx.Err() == nil
}

// look downloads the pictures as ingest does, and asks what they are said to be.
func (p *prober) look(ctx context.Context, o *order) {
	for _, link := range o.record.URLs {
		x := shownPicture{url: link}
		if x.found, x.err = p.download(ctx, link); x.err == nil {
			x.contentType, _ = p.said(ctx, link)
		}
		o.pictures = append(o.pictures, x)
	}
}

func (p *prober) download(ctx context.Context, link string) (media.Picture, error) {
	file, err := os.CreateTemp("", "verify-*")
	if err != nil {
		return media.Picture{}, err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	defer file.Close()
	if _, err := p.fetcher.Fetch(ctx, link, file); err != nil {
		return media.Picture{}, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return media.Picture{}, err
	}
	return picture.Open(ctx, file)
}

// said is the Content-Type that a picture is served with.
func (p *prober) said(ctx context.Context, link string) (contentType string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("User-Agent", "nanobanana-verify")
	resp, err := p.web.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(resp.Status)
	}
	return resp.Header.Get("Content-Type"), nil
}

// finish asks what costs nothing, and waits for callbacks that are to come again.
func (p *prober) finish(ctx context.Context) {
	p.compare(ctx)
	p.askUnknown(ctx)
	p.lookAgain(ctx)
	if p.callbacks != nil {
		var accepted []int
		for _, o := range p.orders {
			if o.id != "" {
				accepted = append(accepted, o.n)
			}
		}
		if !p.callbacks.complete(accepted) {
			fmt.Fprintf(p.out, "\nwaiting at most %s for callbacks, those answered 503 too (Ctrl-C goes to the table)\n", p.pace.Callbacks)
		}
		p.callbacks.wait(ctx, accepted, p.pace.Callbacks)
		p.lookAgain(ctx)
	}
}

// lookAgain asks for the first picture and the balance, as they are by now.
func (p *prober) lookAgain(ctx context.Context) {
	if one := p.orders[oneOrder]; len(one.record.URLs) > 0 {
		_, err := p.said(ctx, one.record.URLs[0])
		word := "served"
		if err != nil {
			word = "gone"
		}
		if ctx.Err() == nil {
			p.later = fmt.Sprintf("%s after %s", word, brief(time.Since(one.begun)))
		}
	}
	if credits := p.balance(ctx); credits != nil {
		p.closing = credits
	}
}

// compare reads one task's record from the path that is not configured.
func (p *prober) compare(ctx context.Context) {
	for _, o := range p.orders {
		if !o.done() || o.path != p.settings.RecordPath {
			continue // where it came from the other path, that is known
		}
		if !p.turn(ctx, o.id) {
			return
		}
		c := &nanobanana.Client{BaseURL: p.settings.BaseURL, RecordPath: p.other.path, HTTP: p.client.HTTP}
		mark := len(p.tap.seen)
		p.other.of = o
		p.other.record, p.other.err = c.Record(ctx, p.key, o.id)
		if asked := p.tap.since(mark); len(asked) > 0 && ctx.Err() == nil {
			p.other.asked = asked[0]
		}
		return
	}
}

// askUnknown reads the record of a task that does not exist.
func (p *prober) askUnknown(ctx context.Context) {
	mark := len(p.tap.seen)
	_, _ = p.client.Record(ctx, p.key, strings.Repeat("0", 32)) // the answer is in the tap
	if asked := p.tap.since(mark); len(asked) > 0 {
		p.unknown = asked[len(asked)-1]
	}
}

// brief is a time as people say it.
func brief(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
