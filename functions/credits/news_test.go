package credits_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/webhook/webhooktest"
)

// News is sent once, each with a name of its own. A state that continues is not
// sent again, for example when a picture's price is returned and spent again.
func TestNews(t *testing.T) {
	t.Parallel()
	h := newNoticeHarness(t)
	names := map[string]bool{}
	for _, step := range []struct {
		balance float64
		news    task.News
	}{
		{100, ""}, {99.5, task.NewsCreditsLow}, {98, ""}, {99, ""}, {3, task.NewsCreditsEmpty}, {20, ""}, {3, ""},
		{500, task.NewsCreditsRestored}, {100, ""}, {0, task.NewsCreditsEmpty}, {1000, task.NewsCreditsRestored}, {50, task.NewsCreditsLow}, {100, task.NewsCreditsRestored},
	} {
		if news := h.check(step.balance); news != step.news {
			t.Errorf("at %v: news %q, want %q", step.balance, news, step.news)
		}
		if step.news == "" {
			if all := h.receiver.Take(); len(all) > 0 {
				t.Errorf("at %v: sent %s", step.balance, all[0].Body)
			}
			continue
		}
		d := h.takeOne()
		asOf := h.Now().UTC().Format(time.RFC3339Nano)
		want := map[string]any{"type": string(step.news), "timestamp": asOf, "data": map[string]any{"balance": step.balance, "lowBelow": 100.0, "asOf": asOf}}
		var got map[string]any
		if err := json.Unmarshal(d.Body, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("sent %s, want %v", d.Body, want)
		}
		if at := d.Header.Get("webhook-timestamp"); at != strconv.FormatInt(h.Now().Unix(), 10) {
			t.Errorf("webhook-timestamp %q at %d", at, h.Now().Unix())
		}
		if !regexp.MustCompile(`^credits-(low|empty|restored)-[0-9]+$`).MatchString(d.ID()) || names[d.ID()] {
			t.Errorf("webhook-id %q, after %v", d.ID(), names)
		}
		names[d.ID()] = true
	}
	if logged := h.log(); strings.Contains(logged, "not delivered") || strings.Contains(logged, "ERROR") {
		t.Errorf("logged %s", logged)
	}
}

// What the very first check finds is sent, too.
func TestFirstNews(t *testing.T) {
	t.Parallel()
	h := newUncheckedHarness(t)
	h.check(50)
	if d := h.takeOne(); d.ID() != "credits-low-0" {
		t.Errorf("webhook-id %q", d.ID())
	}
}

// While the receiver fails, clients see the balance, and each check sends the
// same news under the same name until it is delivered.
func TestReceiverFails(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"503": webhooktest.Status(503), "302": webhooktest.Status(302), "400": webhooktest.Status(400),
		"a broken line": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"unreachable":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newNoticeHarness(t)
			since := h.storedBalance().Since
			h.receiver.Answer(answer)
			url := h.function.Sender.URL
			if answer == nil {
				h.function.Sender.URL = "http://127.0.0.1:1" + "/hook?token=" + webhooktest.Query
			}
			var ids []string
			for _, balance := range []float64{60, 50, 40} {
				if news := h.check(balance); news != task.NewsCreditsLow {
					t.Errorf("at %v: news %q", balance, news)
				}
				if want := (task.Balance{Credits: balance, AsOf: h.Now(), Level: task.LevelFine, Since: since, Unsure: true}); !reflect.DeepEqual(h.storedBalance(), want) {
					t.Errorf("kept %+v, want %+v", h.storedBalance(), want)
				}
				if line := h.log(); !strings.Contains(line, `"msg":"credits are low"`) || !strings.Contains(line, `"level":"WARN","msg":"credits notice not delivered`) || strings.Contains(line, "ERROR") {
					t.Errorf("logged %s", line)
				}
				if answer != nil {
					ids = append(ids, h.takeOne().ID())
				}
			}
			h.receiver.Answer(nil)
			h.function.Sender.URL = url
			h.check(30)
			ids = append(ids, h.takeOne().ID())
			for _, id := range ids {
				if id != (task.Balance{Since: since}).NewsID(task.NewsCreditsLow) {
					t.Errorf("sent as %q", ids)
				}
			}
			if want := (task.Balance{Credits: 30, AsOf: h.Now(), Level: task.LevelLow, Since: h.Now()}); !reflect.DeepEqual(h.storedBalance(), want) {
				t.Errorf("kept %+v, want %+v", h.storedBalance(), want)
			}
			h.check(20)
			if all := h.receiver.Take(); len(all) > 0 {
				t.Errorf("sent again: %s", all[0].Body)
			}
		})
	}
}

// If the answer was lost and the credits are topped up before the next check,
// the receiver learns that they are no longer low.
func TestAnswerLost(t *testing.T) {
	t.Parallel()
	h := newNoticeHarness(t)
	h.receiver.Answer(webhooktest.Status(504))
	h.check(50)
	h.takeOne()
	h.receiver.Answer(nil)
	h.check(1000)
	if d := h.takeOne(); !strings.HasPrefix(d.ID(), "credits-restored-") {
		t.Errorf("webhook-id %q", d.ID())
	}
	h.check(1000)
	if all := h.receiver.Take(); len(all) > 0 {
		t.Errorf("sent again: %s", all[0].Body)
	}
}

// deadlines is a transport that records how long a request may still take.
type deadlines struct {
	http.RoundTripper
	left chan time.Duration
}

func (d deadlines) RoundTrip(r *http.Request) (*http.Response, error) {
	deadline, _ := r.Context().Deadline()
	d.left <- time.Until(deadline)
	return d.RoundTripper.RoundTrip(r)
}

// A receiver that does not answer is waited for no longer than the function's
// time allows, and the balance is stored.
func TestReceiverHangs(t *testing.T) {
	t.Parallel()
	h := newNoticeHarness(t)
	h.receiver.Answer(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	client := *h.function.Sender.HTTP
	has := deadlines{RoundTripper: client.Transport, left: make(chan time.Duration, 1)}
	client.Transport = has
	h.function.Sender.HTTP = &client
	h.check(50) // fails unless the balance is stored
	if left := <-has.left; left <= 0 || left > 5*time.Second {
		t.Errorf("the receiver has %v for its answer", left)
	}
	if line := h.log(); !strings.Contains(line, "not delivered") {
		t.Errorf("logged %s", line)
	}
}

// Two concurrent checks that find the same news send it under one name,
// whichever stores its balance; the next check sends nothing.
func TestTwoChecksAtOnce(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]int{"both are delivered": 204, "one is not": 503} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newNoticeHarness(t)
			h.Clock.Add(15 * time.Minute)
			h.Sim.SetBalance(50)
			var mu sync.Mutex
			n := 0
			both := make(chan struct{})
			h.receiver.Answer(func(rw http.ResponseWriter, _ *http.Request) {
				mu.Lock()
				status := 204
				if n++; n == 2 {
					status = second
					close(both)
				}
				mu.Unlock()
				<-both // both have read the row before either writes it
				rw.WriteHeader(status)
			})
			var checks sync.WaitGroup
			for range 2 {
				checks.Go(func() {
					if found, err := h.function.Check(t.Context()); err != nil || found.News != task.NewsCreditsLow {
						t.Errorf("%+v, %v", found, err)
					}
				})
			}
			checks.Wait()
			all := h.receiver.Take()
			if len(all) != 2 || all[0].ID() != all[1].ID() {
				t.Fatalf("%d deliveries: %v", len(all), all)
			}
			h.receiver.Answer(nil)
			h.check(50)
			for _, again := range h.receiver.Take() { // the undelivered one stored its balance last
				if second == 204 || again.ID() != all[0].ID() {
					t.Errorf("sent again, as %q", again.ID())
				}
			}
			if b := h.storedBalance(); b.Level != task.LevelLow || b.Unsure {
				t.Errorf("kept %+v", b)
			}
		})
	}
}

// If the delivery of news could not be stored, the news is sent again under the
// same name.
func TestNewsSentNotStored(t *testing.T) {
	t.Parallel()
	h := newNoticeHarness(t)
	h.Rows.Fail(lifecycletest.On("setBalance", lifecycletest.ErrStore), nil)
	h.Clock.Add(15 * time.Minute)
	h.Sim.SetBalance(50)
	if _, err := h.function.Check(t.Context()); err == nil {
		t.Error("the check did not fail")
	}
	first := h.takeOne()
	h.Rows.Fail(nil, nil)
	h.check(50)
	if d := h.takeOne(); d.ID() != first.ID() {
		t.Errorf("sent as %q and %q", first.ID(), d.ID())
	}
}

// If the stored balance cannot be read, no news is sent.
func TestNewsStoreFails(t *testing.T) {
	t.Parallel()
	h := newNoticeHarness(t)
	h.Rows.Fail(lifecycletest.On("balance", lifecycletest.ErrStore), nil)
	h.Sim.SetBalance(50)
	if _, err := h.function.Check(t.Context()); err == nil {
		t.Error("the check did not fail")
	}
	if all := h.receiver.Take(); len(all) > 0 {
		t.Errorf("sent %s", all[0].Body)
	}
}

// Without a NOTIFY_URL news is logged once. A receiver that is configured later
// does not get it.
func TestNewsWithoutURL(t *testing.T) {
	t.Parallel()
	h := newNoticeHarness(t)
	url := h.function.Sender.URL
	h.function.Sender.URL = ""
	if first, second := h.check(50), h.check(40); first != task.NewsCreditsLow || second != "" {
		t.Errorf("news %q, then %q", first, second)
	}
	if line := h.log(); strings.Count(line, string(task.NewsCreditsLow)) != 1 || strings.Contains(line, "not delivered") {
		t.Errorf("logged %s", line)
	}
	h.function.Sender.URL = url
	h.check(40)
	if all := h.receiver.Take(); len(all) > 0 {
		t.Errorf("sent %s", all[0].Body)
	}
	h.check(400)
	h.takeOne()
}

// With keys that receivers' libraries would refuse nothing is sent, an error is
// logged at once, and clients see the balance.
func TestFaultyKeys(t *testing.T) {
	t.Parallel()
	for name, keys := range webhooktest.FaultyKeys() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newNoticeHarness(t)
			h.keys(keys...)
			if news := h.check(50); news != task.NewsCreditsLow {
				t.Errorf("news %q", news)
			}
			if all := h.receiver.Take(); len(all) > 0 {
				t.Errorf("sent with %v", all[0].Header)
			}
			if line := h.log(); !strings.Contains(line, `"level":"ERROR","msg":"credits notice not delivered`) || !strings.Contains(line, "notifyKeys") || !strings.Contains(line, `"msg":"credits are low"`) {
				t.Errorf("logged %s", line)
			}
			_, good := webhooktest.NewKey("a")
			h.keys(good)
			h.check(50)
			h.takeOne()
		})
	}
}

// The notices equal the contract's examples.
func TestNewsExamples(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for name, news := range map[string]task.News{"creditsLow": task.NewsCreditsLow, "creditsEmpty": task.NewsCreditsEmpty, "creditsRestored": task.NewsCreditsRestored} {
		var got credits.News
		example := h.contract.Example(t, name)
		h.contract.CheckJSON(t, "CreditsNotice", example)
		if err := json.Unmarshal(example, &got); err != nil || got.Type != news || !got.Timestamp.Equal(got.Data.AsOf) || got.Data.AsOf.IsZero() {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
