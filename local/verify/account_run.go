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

// run submits a task, waits for its end and inspects the result.
func (p *accountProbe) run(ctx context.Context, t *accountTask) error {
	if t.n == editTask+1 {
		if t.request.ImageURLs = p.input(); t.request.ImageURLs == nil {
			return errors.New("not run: there is no picture to edit")
		}
	}
	t.request.CallbackURL = callbackAddress(p.unheard, t.n, rand.Text())
	if p.callbacks != nil {
		t.request.CallbackURL = p.callbacks.address(t.n)
	}
	t.before = p.balance(ctx)
	before := len(p.recorder.exchanges)
	t.started = time.Now()
	t.id, t.err = p.client.Submit(ctx, p.key, t.request) // once, whatever the answer
	if sent := p.recorder.since(before); len(sent) > 0 {
		t.submit = sent[0]
	}
	t.accepted = p.balance(ctx)
	if t.err != nil {
		t.after = t.accepted
		if ctx.Err() != nil {
			p.printf("interrupted before the answer came: the task may exist, and cost credits")
		}
		if t.n == refusedTask+1 && isPromptRefusal(t.err) {
			p.printf("refused at once")
			return nil
		}
		return t.err
	}
	p.printf("accepted after %s, task %s", shortDuration(time.Since(t.started)), t.id)
	err := p.await(ctx, t)
	t.after = p.balance(ctx)
	if err != nil {
		return err
	}
	p.printf("%s after %s", t.record.State, shortDuration(t.ended))
	p.inspectPictures(ctx, t)
	if t.record.State == nanobanana.Failed && t.n != refusedTask+1 {
		return fmt.Errorf("the provider reports a failure: %s", t.record.Reason)
	}
	return nil
}

// printf prints an indented line, without the key.
func (p *accountProbe) printf(format string, args ...any) {
	fmt.Fprintln(p.out, redact("  "+fmt.Sprintf(format, args...), p.key))
}

// input returns the URL of a picture that is already made, if there is one.
func (p *accountProbe) input() []string {
	for _, t := range p.tasks {
		if len(t.record.URLs) > 0 {
			return t.record.URLs[:1]
		}
	}
	return nil
}

// isPromptRefusal reports whether err refuses the prompt, not the request.
func isPromptRefusal(err error) bool {
	var e *nanobanana.Error
	return errors.As(err, &e) && (e.Reason == nanobanana.Policy || e.Code == http.StatusBadRequest || e.Code == http.StatusUnprocessableEntity)
}

// balance reads the balance. It returns nil if that fails.
func (p *accountProbe) balance(ctx context.Context) *float64 {
	credits, err := p.client.Credits(ctx, p.key)
	if err != nil {
		if ctx.Err() == nil {
			p.printf("cannot read the balance: %v", err)
		}
		return nil
	}
	return &credits
}

// await reads the record until the task has ended: when a callback comes, and at
// every poll interval.
func (p *accountProbe) await(ctx context.Context, t *accountTask) error {
	var called chan struct{}
	if p.callbacks != nil {
		called = p.callbacks.first[t.n]
	}
	wait := p.settings.PollEvery
	for time.Since(t.started) < p.pace.TaskTimeout {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-called:
			called = nil
		}
		timer.Stop()
		if !p.waitForTurn(ctx, t.id) {
			return ctx.Err()
		}
		wait = p.settings.PollEvery
		before := len(p.recorder.exchanges)
		record, err := p.client.Record(ctx, p.key, t.id)
		if err != nil {
			var e *nanobanana.Error
			if errors.As(err, &e) {
				wait = max(wait, e.RetryAfter)
			}
			p.printf("cannot read the record yet: %v", err)
			continue
		}
		read := p.recorder.since(before)
		t.record, t.read, t.ended = record, read[len(read)-1], time.Since(t.started)
		t.path = strings.TrimPrefix(t.read.Path, p.pathPrefix())
		if t.done() {
			return nil
		}
	}
	return fmt.Errorf("the task has not ended after %s", p.pace.TaskTimeout)
}

// pathPrefix returns what all paths of the provider's API begin with.
func (p *accountProbe) pathPrefix() string {
	u, err := url.Parse(p.settings.BaseURL)
	if err != nil {
		return ""
	}
	return u.Path + "/api/v1"
}

// waitForTurn waits until a task's record may be read again. It returns false if ctx
// ends.
func (p *accountProbe) waitForTurn(ctx context.Context, id string) bool {
	if last, ok := p.readAt[id]; ok && !sleep(ctx, time.Until(last.Add(p.settings.PollEvery))) {
		return false
	}
	p.readAt[id] = time.Now()
	return ctx.Err() == nil
}

// inspectPictures downloads the pictures as ingest does, and reads the Content-Type
// that they are served with.
func (p *accountProbe) inspectPictures(ctx context.Context, t *accountTask) {
	for _, link := range t.record.URLs {
		x := servedPicture{url: link}
		if x.picture, x.err = p.download(ctx, link); x.err == nil {
			x.contentType, _ = p.contentType(ctx, link)
		}
		t.pictures = append(t.pictures, x)
	}
}

func (p *accountProbe) download(ctx context.Context, link string) (media.Picture, error) {
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

// contentType returns the Content-Type that a link is served with.
func (p *accountProbe) contentType(ctx context.Context, link string) (string, error) {
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

// finish checks what costs nothing, and waits for callbacks that should come again.
func (p *accountProbe) finish(ctx context.Context) {
	p.readOtherPath(ctx)
	p.readUnknownTask(ctx)
	p.recheck(ctx)
	if p.callbacks != nil {
		var accepted []int
		for _, t := range p.tasks {
			if t.id != "" {
				accepted = append(accepted, t.n)
			}
		}
		if !p.callbacks.complete(accepted) {
			fmt.Fprintf(p.out, "\nWaiting at most %s for callbacks, which should come again after a 503. Ctrl-C shows the table now.\n", p.pace.CallbackTimeout)
		}
		p.callbacks.wait(ctx, accepted, p.pace.CallbackTimeout)
		p.recheck(ctx)
	}
}

// recheck requests the first picture's link and the balance once more.
func (p *accountProbe) recheck(ctx context.Context) {
	if one := p.tasks[singleTask]; len(one.record.URLs) > 0 {
		_, err := p.contentType(ctx, one.record.URLs[0])
		state := "served"
		if err != nil {
			state = "gone"
		}
		if ctx.Err() == nil {
			p.later = fmt.Sprintf("%s after %s", state, shortDuration(time.Since(one.started)))
		}
	}
	if credits := p.balance(ctx); credits != nil {
		p.closing = credits
	}
}

// readOtherPath reads one task's record from the path that is not configured.
func (p *accountProbe) readOtherPath(ctx context.Context) {
	for _, t := range p.tasks {
		if !t.done() || t.path != p.settings.RecordPath {
			continue // a record that came from the other path shows that it works
		}
		if !p.waitForTurn(ctx, t.id) {
			return
		}
		c := &nanobanana.Client{BaseURL: p.settings.BaseURL, RecordPath: p.otherPath.path, HTTP: p.client.HTTP}
		before := len(p.recorder.exchanges)
		p.otherPath.task = t
		p.otherPath.record, p.otherPath.err = c.Record(ctx, p.key, t.id)
		if read := p.recorder.since(before); len(read) > 0 && ctx.Err() == nil {
			p.otherPath.read = read[0]
		}
		return
	}
}

// readUnknownTask reads the record of a task that does not exist.
func (p *accountProbe) readUnknownTask(ctx context.Context) {
	before := len(p.recorder.exchanges)
	_, _ = p.client.Record(ctx, p.key, strings.Repeat("0", 32)) // the recorder has the answer
	if read := p.recorder.since(before); len(read) > 0 {
		p.unknown = read[len(read)-1]
	}
}

// shortDuration formats a duration with no more digits than people need.
func shortDuration(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
