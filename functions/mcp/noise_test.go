package mcp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// noise is the network between the agent and the server, and the world around: with
// the calls time passes, sweeps run, and the table's stream is worked off.
type noise struct {
	h       *harness
	pending sync.WaitGroup // calls and work that nobody waits for

	mu    sync.Mutex // guards the rest
	rng   *rand.Rand
	late  [][]byte // bodies that arrive once more, later
	work  []string // ids of tasks with work for the stream
	count tally
}

func newNoise(h *harness, seed uint64) *noise {
	n := &noise{h: h, rng: rand.New(rand.NewPCG(seed, 2))}
	h.Rows.Fail(nil, func(_ string, row *task.Task) error {
		if row != nil && row.Work != "" {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.work = append(n.work, row.ID)
		}
		return nil
	})
	return n
}

// fate is what becomes of a call.
type fate struct {
	kind  int           // 0 to 99
	limit time.Duration // until the agent's patience ends
	late  []byte        // a copy of an earlier call that arrives now
	step  time.Duration // how much time passes
}

func (n *noise) roll(body []byte) fate {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.count.calls++
	f := fate{kind: n.rng.IntN(100), limit: time.Duration(n.rng.IntN(3000)) * time.Microsecond, step: time.Duration(n.rng.IntN(2000)) * time.Millisecond}
	if len(n.late) > 0 && n.rng.IntN(4) == 0 {
		i := n.rng.IntN(len(n.late))
		f.late = n.late[i]
		n.late = slices.Delete(n.late, i, i+1)
	}
	switch {
	case f.kind < 15:
		n.count.lost++
	case f.kind < 25:
		n.count.lost++
	case f.kind < 35:
		n.count.twice++
	case f.kind < 45:
		n.count.cut++
	case f.kind < 55:
		n.count.late++
		n.late = append(n.late, body)
	}
	return f
}

// call calls a tool, with whatever happens on the way.
func (n *noise) call(tool string, arguments map[string]any) (toolResult, error) {
	body, err := json.Marshal(map[string]any{
		"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": map[string]any{"name": tool, "arguments": arguments},
	})
	if err != nil {
		return toolResult{}, err
	}
	f := n.roll(body)
	n.pending.Go(func() { n.step(f.step) })
	if f.late != nil {
		n.pending.Go(func() { _, _ = n.send(context.Background(), f.late) })
	}
	switch {
	case f.kind < 15: // it acts, and its answer is lost
		_, _ = n.send(context.Background(), body)
		return toolResult{}, errLost
	case f.kind < 25: // it never arrives
		return toolResult{}, errLost
	case f.kind < 35: // it arrives twice at once
		n.pending.Go(func() { _, _ = n.send(context.Background(), body) })
	case f.kind < 45: // the agent gives up in the middle
		ctx, cancel := context.WithTimeout(context.Background(), f.limit)
		defer cancel()
		return n.send(ctx, body)
	}
	return n.send(context.Background(), body)
}

func (n *noise) send(ctx context.Context, body []byte) (toolResult, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, n.h.Settings.PublicURL+"/mcp", bytes.NewReader(body))
	if err != nil {
		return toolResult{}, err
	}
	r.Header = http.Header{"Authorization": {"Bearer " + n.h.token}, "Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return toolResult{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	var got struct{ Result toolResult }
	if err == nil {
		err = json.Unmarshal(answer, &got)
	}
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	return got.Result, err
}

// step lets time pass, and does what is due and what the stream brought. What fails is
// tried again by a later sweep.
func (n *noise) step(d time.Duration) {
	n.h.Clock.Add(d)
	_, _ = n.h.Sweep(context.Background())
	n.mu.Lock()
	work := n.work
	n.work = nil
	n.mu.Unlock()
	for _, id := range work {
		_ = n.h.Ingester.Ingest(context.Background(), id)
	}
}

// settle delivers every late copy, and lets time pass until nothing is left to do.
func (n *noise) settle(t *testing.T) {
	n.pending.Wait()
	for _, body := range n.late {
		if _, err := n.send(t.Context(), body); err != nil {
			t.Errorf("a late copy: %v", err)
		}
	}
	lifecycletest.Eventually(t, func() error {
		n.step(time.Minute)
		for _, x := range n.listed(t, nil) {
			if !x.Done {
				return fmt.Errorf("%s is %s", x.TaskID, x.Status)
			}
		}
		return nil
	})
}

// listed returns all that list_images finds, page by page, without noise.
func (n *noise) listed(t testing.TB, target *task.Target) (all []picture) {
	a := map[string]any{}
	if target != nil {
		a["target"] = target
	}
	for {
		var page struct {
			Tasks  []picture
			Cursor string
		}
		n.h.with(t).call("list_images", a).decode(&page)
		all = append(all, page.Tasks...)
		if page.Cursor == "" {
			return all
		}
		a["cursor"] = page.Cursor
	}
}

func (n *noise) tallied(ordered []*wish) tally {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.count
	c.orders = len(ordered)
	for _, w := range ordered {
		c.moved += w.moved - 1
		if w.gone {
			c.deleted++
		}
	}
	return c
}

// audit holds the provider's ledger and the lists against the wishes.
func (a *agent) audit(h *harness, ordered []*wish) {
	accepted, price := map[string]int{}, 0.0
	for _, x := range h.Sim.Tasks() {
		accepted[x.Prompt]++
	}
	listed := map[string]picture{}
	for _, p := range a.n.listed(h.t, nil) {
		if _, twice := listed[p.TaskID]; twice {
			a.fault("%s is listed twice", p.TaskID)
		}
		listed[p.TaskID] = p
	}
	for _, w := range ordered {
		price += float64(4 * w.images)
		if n := accepted[w.prompt]; n != 1 {
			a.fault("%s was ordered %d times", w.key, n)
		}
		delete(accepted, w.prompt)
		p, found := listed[w.id]
		delete(listed, w.id)
		switch {
		case w.gone && found:
			a.fault("%s is deleted and still listed", w.key)
		case !found && !w.askedToPart:
			a.fault("the picture of %s is not found again", w.key)
		case found:
			a.auditPicture(h, w, p)
		}
	}
	for prompt := range accepted {
		a.fault("nobody wished %q", prompt)
	}
	for id := range listed {
		a.fault("task %s belongs to no wish", id)
	}
	if log := h.Logged.Take(); strings.Contains(log, `"level":"ERROR"`) {
		a.fault("an error was logged: %s", log)
	}
	if posts, spent := h.Sim.Posts(), 1000-h.Sim.Balance(); posts != len(ordered) || spent != price {
		a.fault("%d POSTs and %v credits for %d orders of %v credits", posts, spent, len(ordered), price)
	}
}

// auditPicture checks a picture that was found again: it opens, and is where it was put.
func (a *agent) auditPicture(h *harness, w *wish, p picture) {
	if p.Status != task.Succeeded || len(p.Images) != w.images {
		a.fault("%s is %s with %d pictures, want %d", w.key, p.Status, len(p.Images), w.images)
		return
	}
	for _, i := range p.Images {
		if int64(len(h.fetch(http.MethodGet, i.URL, "", http.StatusOK))) != i.Bytes {
			a.fault("a picture of %s is not what the list says", w.key)
		}
	}
	if p.Target == nil || !slices.Contains(w.targets[:w.asked], *p.Target) { // a late copy of a move may be the last
		a.fault("%s is at %v, of %v", w.key, p.Target, w.targets[:w.asked])
		return
	}
	if there := a.n.listed(h.t, p.Target); !slices.ContainsFunc(there, func(x picture) bool { return x.TaskID == w.id }) {
		a.fault("%s is not listed at %s", w.key, p.Target)
	}
}

// The agent finds what it is for.
func TestNoisyAgentFinds(t *testing.T) {
	cursor := regexp.MustCompile(`,"cursor":"[^"]*"`)
	for name, tt := range map[string]struct {
		mutant mutant
		finds  string
	}{
		"a requestKey that is ignored": {func(h *harness) {
			h.through(func(api http.Handler, w http.ResponseWriter, r *http.Request) {
				r.Header.Del("Idempotency-Key")
				api.ServeHTTP(w, r)
			})
		}, "times"},
		"a list that ends after its first page": {func(h *harness) {
			h.through(func(api http.Handler, w http.ResponseWriter, r *http.Request) {
				rec := httptest.NewRecorder()
				api.ServeHTTP(rec, r)
				w.WriteHeader(rec.Code)
				_, _ = w.Write(cursor.ReplaceAll(rec.Body.Bytes(), nil))
			})
		}, "is not found again"},
		"an order that is put elsewhere": {func(h *harness) {
			h.through(func(api http.Handler, w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost && r.URL.Path == "/v1/tasks" {
					body, _ := io.ReadAll(r.Body)
					r.Body = io.NopCloser(bytes.NewReader(bytes.ReplaceAll(body, []byte(`"kind":"moodboard"`), []byte(`"kind":"lost"`))))
				}
				api.ServeHTTP(w, r)
			})
		}, " is at "},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(5) {
				if _, faults := runAgent(t, seed+1, tt.mutant); slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, tt.finds) }) {
					t.Logf("seed %d: %d faults, such as %s", seed+1, len(faults), faults[0])
					return
				}
			}
			t.Error("five runs find nothing")
		})
	}
}

// through puts something between the tools and the API.
func (h *harness) through(do func(api http.Handler, w http.ResponseWriter, r *http.Request)) {
	api := h.function.API
	h.function.API = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { do(api, w, r) })
}
