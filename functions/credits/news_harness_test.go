package credits_test

import (
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/outbound"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/webhook"
	"github.com/preset/nanobanana-functions/shared/webhook/webhooktest"
)

// noticeHarness is a harness whose notices go to a receiver.
type noticeHarness struct {
	*harness
	receiver *webhooktest.Receiver
	key      []byte // signs
	hidden   []string
}

// newNoticeHarness returns a harness after a first check, which found enough
// credits.
func newNoticeHarness(t *testing.T) *noticeHarness {
	t.Helper()
	h := newUncheckedHarness(t)
	h.check(1000)
	h.log()
	return h
}

func newUncheckedHarness(t *testing.T) *noticeHarness {
	t.Helper()
	h := &noticeHarness{harness: newHarness(t), receiver: webhooktest.NewReceiver(t), hidden: []string{webhooktest.Query, nanobananatest.DefaultKey}}
	var spelt token.Key
	h.key, spelt = webhooktest.NewKey("a")
	h.keys(spelt)
	c := h.Settings
	c.NotifyURL = h.receiver.URL
	h.function.Sender = webhook.FromSettings(c, h.Secrets, outbound.NewClient())
	h.function.Sender.Now = h.Clock.Now
	t.Cleanup(func() { h.log() })
	return h
}

// keys sets the keys that sign. Keys that were read before stay cached for five
// minutes.
func (h *noticeHarness) keys(keys ...token.Key) {
	h.Secret.SetNotifyKeys(keys...)
	for _, k := range keys {
		h.hidden = append(h.hidden, strings.TrimPrefix(string(k.Key), "whsec_"))
	}
}

// check sets the provider's balance and runs the next scheduled check, which
// must not fail.
func (h *noticeHarness) check(balance float64) task.News {
	h.t.Helper()
	h.Clock.Add(15 * time.Minute)
	h.Sim.SetBalance(balance)
	found, err := h.function.Check(h.t.Context())
	if err != nil || found.Balance != balance {
		h.t.Errorf("at %v: %+v, %v", balance, found, err)
	}
	if c := h.credits(); c.Balance != balance || !c.AsOf.Equal(h.Now()) {
		h.t.Errorf("at %v clients see %+v", balance, c)
	}
	return found.News
}

// storedBalance returns the stored balance.
// storedBalance returns what a check kept, without the spend.
func (h *noticeHarness) storedBalance() task.Balance {
	h.t.Helper()
	b, err := h.Store.Balance(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	b.Spend = task.Spend{}
	return b
}

// takeOne takes the only delivery, which must match the contract and be signed.
func (h *noticeHarness) takeOne() webhooktest.Delivery {
	h.t.Helper()
	all := h.receiver.Take()
	if len(all) != 1 {
		h.t.Fatalf("%d deliveries, want 1", len(all))
	}
	h.contract.CheckJSON(h.t, "CreditsNotice", all[0].Body)
	if !all[0].SignedBy(h.key) {
		h.t.Errorf("not signed: %v", all[0].Header)
	}
	return all[0]
}

// log takes the log and checks that it contains no secret.
func (h *noticeHarness) log() string {
	h.t.Helper()
	text := h.Logged.Take()
	for _, secret := range h.hidden {
		if strings.Contains(text, secret) {
			h.t.Errorf("the log holds %q: %s", secret, text)
		}
	}
	return text
}
