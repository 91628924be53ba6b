package ledger_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/local/ops/ledger"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/task/tasktest"
)

// injected is what a month has that somebody must be told of.
type injected struct {
	kind     string // "double charge", "foreign spending", "price rise"
	credits  float64
	from, to time.Time // when it cost
}

// month is 30 days of orders, or three with the race detector, in synctest's time. The lifecycle and the simulator are the
// real ones, without a network between them.
type month struct {
	t         *testing.T
	rand      *rand.Rand
	sim       *nanobananatest.Server
	store     *tasktest.Memory
	submitter *lifecycle.Submitter
	sweeper   *lifecycle.Sweeper
	account   credits.Function
	logged    *bytes.Buffer
	injected  []injected
	topUps    []time.Time
	plans     []plan
}

// plan is something to do at a time.
type plan struct {
	at time.Time
	do func()
}

// inProcess serves requests by a handler, since a real connection would stop
// synctest's time.
type inProcess struct{ http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result(), nil
}

func newMonth(t *testing.T, seed uint64) *month {
	m := &month{t: t, rand: rand.New(rand.NewPCG(seed, 1)), logged: &bytes.Buffer{}, store: tasktest.NewMemory()}
	m.sim = nanobananatest.New(func(k *nanobananatest.Knobs) {
		k.LoseCallbacks, k.PictureSide, k.ChargeDelay = true, 8, nanobananatest.Duration(time.Hour)
	})
	m.sim.URL = "https://provider.example"
	m.sim.SetBalance(3000)
	env := map[string]string{
		"NANOBANANA_BASE_URL": m.sim.URL, "NANOBANANA_API_KEY": nanobananatest.DefaultKey, "PUBLIC_URL": "https://api.example.com",
		"CALLBACK_KEY": strings.Repeat("c", 32), "IMAGE_KEY": strings.Repeat("i", 32),
	}
	c, err := config.Load(func(name string) string { return env[name] }, config.Local)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(m.logged, nil))
	client := &http.Client{Transport: inProcess{m.sim}}
	secrets := config.NewSecrets(c.LocalSecret, time.Now, log)
	poster := lifecycle.NewPoster(c, m.store, secrets, nil, client, log)
	m.submitter = lifecycle.NewSubmitter(c, poster, client)
	m.sweeper = lifecycle.NewSweeper(c, poster)
	m.account = credits.Function{Account: poster.Account, Prices: c.Prices, LowBelow: c.LowCredits, Log: log}
	return m
}

// run runs the days, minute by minute. Honest, only the provider's habits change, of
// which the tool is not told; else something is injected each third day.
func (m *month) run(honest bool) {
	begin := time.Now()
	for minute := range days * 24 * 60 {
		if minute%(24*60) == 0 {
			m.newDay(minute/(24*60), honest)
		}
		m.carryOut()
		if hour := minute / 60 % 24; hour >= 7 && m.rand.IntN(20) == 0 {
			m.order()
		}
		if minute%5 == 0 {
			m.checkCredits()
		}
		m.sweep()
		time.Sleep(time.Until(begin.Add(time.Duration(minute+1) * time.Minute)))
	}
}

// newDay changes the provider's habits, and injects what is to be found.
func (m *month) newDay(day int, honest bool) {
	m.sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.ChargeAt = []string{"acceptance", "end", "late"}[m.rand.IntN(3)]
		k.RefundFailures = m.rand.IntN(2) == 0
		k.PriceFactor = 1
	})
	if honest || day == days-1 { // its orders would not settle within the month
		return
	}
	now := time.Now()
	switch day % 6 {
	case 1:
		m.later(9*time.Hour+time.Duration(m.rand.IntN(8))*time.Hour, func() {
			m.sim.SetKnobs(func(k *nanobananatest.Knobs) { k.DoubleCharge = 1 })
			before := len(m.sim.Tasks())
			m.later(6*time.Hour, func() {
				x := m.sim.Tasks()[before]
				m.inject(injected{"double charge", x.Charge / 2, x.CreatedAt, x.CreatedAt.Add(2 * time.Hour)})
			})
		})
	case 3:
		m.later(time.Duration(m.rand.IntN(20))*time.Hour+17*time.Minute, func() {
			spent := float64(5 + m.rand.IntN(40))
			m.sim.TopUp(-spent)
			m.inject(injected{"foreign spending", spent, time.Now(), time.Now()})
		})
	case 5:
		m.sim.SetKnobs(func(k *nanobananatest.Knobs) { k.PriceFactor = 1.05 })
		m.inject(injected{"price rise", 0, now, now.Add(26 * time.Hour)})
	}
}

func (m *month) inject(x injected) { m.injected = append(m.injected, x) }

// later plans something.
func (m *month) later(d time.Duration, do func()) {
	m.plans = append(m.plans, plan{time.Now().Add(d), do})
}

// carryOut does what is planned until now.
func (m *month) carryOut() {
	for i := 0; i < len(m.plans); {
		if p := m.plans[i]; !p.at.After(time.Now()) {
			m.plans = slices.Delete(m.plans, i, i+1)
			p.do()
			continue
		}
		i++
	}
}

// order submits an order. Some fail: in the provider's opinion, or because its answer
// is lost, with the order or without it.
func (m *month) order() {
	m.sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.Delay = nanobananatest.Duration(time.Duration(20+m.rand.IntN(300)) * time.Second)
		k.Submit, k.Outcome = nanobananatest.Fault{}, nanobananatest.Outcome{}
		switch m.rand.IntN(300) {
		case 0:
			k.Outcome = nanobananatest.Outcome{ErrorCode: 400, Times: 1}
		case 1:
			k.Outcome = nanobananatest.Outcome{ErrorCode: 500, Times: 1}
		case 2:
			k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultHTML, Accepted: m.rand.IntN(2) == 0, Times: 1}
		case 3:
			k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429, Times: 1}
		}
	})
	r := task.Request{Prompt: "a lighthouse", NumImages: 1}
	switch m.rand.IntN(4) {
	case 0:
		r.NumImages = 1 + m.rand.IntN(4)
	case 1:
		r.Model, r.Resolution = "nano-banana-2", []string{"1K", "2K", "4K"}[m.rand.IntN(3)]
	case 2:
		r.Model = "nano-banana-pro"
	}
	if _, _, err := m.submitter.Submit(context.Background(), lifecycle.Order{Owner: "ada", Request: r}); err != nil {
		m.t.Errorf("an order was refused: %v", err)
	}
}

func (m *month) checkCredits() {
	if _, err := m.account.Check(context.Background()); err != nil {
		m.t.Error(err)
	}
	if now := time.Now(); m.sim.Balance() < 2500 && now.Hour() == 5 && now.Minute() == 0 {
		m.topUps = append(m.topUps, time.Now())
		m.sim.TopUp(5000)
	}
}

// sweep does what is due. What is to be stored is stored: pictures cost nothing.
func (m *month) sweep() {
	due := false
	for id, err := range m.store.Due(context.Background(), time.Now()) {
		if err != nil {
			m.t.Fatal(err)
		}
		x, err := m.store.Task(context.Background(), id)
		if err != nil {
			m.t.Fatal(err)
		}
		if x.Status != task.Storing {
			due = true
			continue
		}
		var images []task.Image
		for i := range x.NumImages {
			images = append(images, task.Image{N: i + 1, File: "f"})
		}
		if _, err := task.Update(context.Background(), m.store, x, func(x *task.Task) error {
			return x.Stored(m.sweeper.Rules, time.Now(), images)
		}); err != nil {
			m.t.Fatal(err)
		}
	}
	if due {
		if _, err := m.sweeper.Sweep(context.Background()); err != nil {
			m.t.Error(err)
		}
	}
}

// reader has read the log as the command does.
func (m *month) reader() *ledger.Reader {
	r := ledger.NewReader(time.Time{})
	for text := range bytes.Lines(m.logged.Bytes()) {
		var l ledger.Line
		if err := json.Unmarshal(text, &l); err != nil {
			m.t.Fatal(err)
		}
		r.Add(l)
	}
	return r
}

// months returns how many seeds are run. MONTHS=50 takes some minutes.
func months(t *testing.T) uint64 {
	n, err := strconv.ParseUint(cmp.Or(os.Getenv("MONTHS"), "2"), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestHonestMonth: whatever the provider's habits are, nothing is found but top-ups.
func TestHonestMonth(t *testing.T) {
	for seed := range months(t) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMonth(t, seed)
				defer m.sim.Close()
				m.run(true)
				r := m.reader().Compare()
				t.Logf("%d checks, %d POSTs, a fall of %v between %v and %v, %d top-ups", r.Checks, m.sim.Posts(), r.Fall, r.Least, r.Most, len(m.topUps))
				m.checkTopUps(r)
				for _, f := range r.Findings {
					if f.Outside() {
						t.Errorf("a false alarm: %+v", f)
					}
				}
			})
		})
	}
}

// TestDishonestMonth: everything that was injected is found, and nothing else.
func TestDishonestMonth(t *testing.T) {
	for seed := range months(t) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMonth(t, 100+seed)
				defer m.sim.Close()
				m.run(false)
				m.checkFound(m.reader().Compare())
			})
		})
	}
}

func (m *month) checkTopUps(r ledger.Result) {
	m.t.Helper()
	n := 0
	for _, f := range r.Findings {
		if f.Kind == ledger.TopUp {
			n++
		}
	}
	if n != len(m.topUps) {
		m.t.Errorf("%d top-ups found, want %d", n, len(m.topUps))
	}
}

// checkFound compares what was found with what was injected. One finding may be about
// several injections, and the other way round, so both are summed where they meet.
func (m *month) checkFound(r ledger.Result) {
	m.t.Helper()
	m.checkTopUps(r)
	var more []ledger.Finding
	for _, f := range r.Findings {
		if f.Kind == ledger.More {
			more = append(more, f)
		} else if f.Outside() {
			m.t.Errorf("a false alarm: %+v", f)
		}
	}
	group := make([]int, len(more)) // by finding: the first one that is about the same injections
	for i := range group {
		group[i] = i
	}
	about := make([]int, len(m.injected)) // by injection
	for n, x := range m.injected {
		about[n] = -1
		for i, f := range more {
			switch {
			case f.To.Before(x.from) || f.From.After(x.to):
			case about[n] < 0:
				about[n] = group[i]
			default:
				group[i] = about[n]
			}
		}
	}
	exact := 0
	for i := range more {
		if group[i] != i {
			continue
		}
		found, injected, hidden, kinds := 0.0, 0.0, 0.0, ""
		for j, f := range more {
			if group[j] == i {
				found += f.Credits
			}
		}
		for n, x := range m.injected {
			if about[n] == i {
				injected, hidden, kinds = injected+m.cost(x), hidden+m.hidden(x), kinds+x.kind+" of "+fmt.Sprint(m.cost(x))+" "
			}
		}
		m.t.Logf("%v: %sfound as %.2f, %v can hide", more[i].To.Format(time.DateTime), kinds, found, hidden)
		switch {
		case kinds == "":
			m.t.Errorf("a false alarm: %+v", more[i])
		case found > injected+0.01 || found < injected-hidden-0.01:
			m.t.Errorf("%swas found as %v, %v could hide: %+v", kinds, found, hidden, more[i])
		case found > injected-0.01:
			exact++
		}
	}
	for n, x := range m.injected {
		if about[n] < 0 && m.cost(x) > m.hidden(x)+0.01 {
			m.t.Errorf("%s of %v at %v was not found, %v could hide", x.kind, m.cost(x), x.from, m.hidden(x))
		}
	}
	m.t.Logf("%d of %d were found to the credit", exact, len(m.injected))
	if exact < len(m.injected)/2 {
		m.t.Errorf("only %d of %d were found to the credit", exact, len(m.injected))
	}
}

// cost returns what an injection cost.
func (m *month) cost(x injected) float64 {
	if x.kind != "price rise" {
		return x.credits
	}
	cost := 0.0
	for _, made := range m.sim.Tasks() {
		if made.CreatedAt.Before(x.from) || !made.CreatedAt.Before(x.from.Add(24*time.Hour)) {
			continue
		}
		if made.Charged && !made.Refunded {
			cost += made.Charge / 21 // of 1.05
		}
	}
	return cost
}

// hidden returns what the tasks that failed, or whose outcome nobody knows, can have cost
// while an injection cost something: nobody can tell the one from the other. Only at night
// nothing is under way, and the balance is known to the credit.
func (m *month) hidden(x injected) (sum float64) {
	const day = 24 * time.Hour
	from, to := x.from.Truncate(day).Add(2*time.Hour), x.to.Truncate(day).Add(day+2*time.Hour)
	for _, a := range m.reader().Attempts() {
		known := a.Made && a.Sure || a.None
		until := a.Ended.Add(ledger.Late + time.Minute)
		if !a.Sure {
			until = until.Add(day)
		}
		if !known && a.Began.Before(to) && until.After(from) {
			sum += a.Credits
		}
	}
	return sum
}
