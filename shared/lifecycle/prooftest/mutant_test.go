package prooftest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// mutant is a fault built in around the code, at its interfaces, so that the code under
// proof runs unchanged. The zero mutant has no fault.
type mutant struct {
	name          string
	caught        []string // one of these invariants must catch it
	store         func(task.Store) task.Store
	transport     func(*process, http.RoundTripper) http.RoundTripper
	replay        func(context.Context, *lifecycle.Service, *task.Task)
	wait          func(*lifecycle.Reader) func(context.Context, *task.Task, int) bool
	dropsEvent    string // the log drops the lines of this event
	bucketForgets string // the bucket stores nothing whose key contains this
	bucketKeeps   bool   // the bucket erases nothing
	anyVersion    bool   // an answer of Preset's counts for the version that the row has by then

	pauses          func(kind string, p task.Pauses) task.Pauses // what a process of a kind reads
	refusesReplays  bool                                         // while all orders are held
	receiverForgets bool                                         // Preset takes notices as they come
}

func (m mutant) wrapStore(s task.Store) task.Store {
	if m.store == nil {
		return s
	}
	return m.store(s)
}

func (m mutant) wrapPauses(kind string, p task.Pauses) task.Pauses {
	if m.pauses == nil {
		return p
	}
	return m.pauses(kind, p)
}

func (m mutant) wrapTransport(p *process, to http.RoundTripper) http.RoundTripper {
	if m.transport == nil {
		return to
	}
	return m.transport(p, to)
}

// version returns the version that Preset's answer to n counts for.
func (m mutant) version(n notice, t *task.Task) int {
	if m.anyVersion {
		return t.NoticeVersion()
	}
	return n.version
}

func (m mutant) put(b *bucket, key, sum string) {
	if m.bucketForgets == "" || !strings.Contains(key, m.bucketForgets) {
		b.objects[key] = sum
	}
}

func (m mutant) erase(b *bucket, key string) {
	if !m.bucketKeeps {
		delete(b.objects, key)
	}
}

// submit returns Submitter.Submit.
func (m mutant) submit(s *lifecycle.Submitter) func(context.Context, lifecycle.Order) (*task.Task, bool, error) {
	return func(ctx context.Context, o lifecycle.Order) (*task.Task, bool, error) {
		t, replayed, err := s.Submit(ctx, o)
		if err == nil && replayed && m.replay != nil {
			m.replay(ctx, s.Service, t)
		}
		if _, _, held := s.Account.Pauses(ctx).InForce(s.Now()); m.refusesReplays && replayed && held {
			return nil, false, &task.Error{Code: task.CodePaused}
		}
		return t, replayed, err
	}
}

// mutants are faults that the proof must find. Otherwise it proves nothing.
var mutants = []mutant{
	{name: "an attempt without an answer counts as refused", caught: []string{"I1", "I4"}, transport: refuseSilence},
	{name: "a POST without an answer is sent again", caught: []string{"I1"}, transport: sendAgain},
	{name: "a replay posts", caught: []string{"I1", "I12"}, replay: postReplay},
	{name: "any write counts as one's own", caught: []string{"what is answered is done", "I1", "I2", "I6", "P5", "P6", "the log is true"}, store: faulty(func(d *faultyStore) { d.anyWriter = true })},
	{name: "one's own write is not recognized", caught: []string{"P6"}, store: faulty(func(d *faultyStore) { d.noWriter = true })},
	{name: "a callback's body is trusted", caught: []string{"I5", "the record decides"}, transport: trustBody},
	{name: "a read is not claimed", caught: []string{"I6"}, store: faulty(func(d *faultyStore) { d.noClaim = true })},
	{name: "a waiting client's read is not claimed", caught: []string{"I6"}, wait: readUnclaimed},
	{name: "a put has no condition on the version", caught: []string{"I1", "I2", "I4", "I6", "P3", "P5", "the log is true"}, store: faulty(func(d *faultyStore) { d.noVersion = true })},
	{name: "a 400 is not remembered", caught: []string{"P3"}, store: faulty(func(d *faultyStore) { d.unbarred = true })},
	{name: "a callback's links are never tried", caught: []string{"no image is lost"}, store: faulty(func(d *faultyStore) { d.noSpares = true })},
	{name: "a callback's links are tried before the record was read again", caught: []string{"I5"}, store: faulty(func(d *faultyStore) { d.eager = true })},
	{name: "a refund is forgotten", caught: []string{"I4"}, store: faulty(func(d *faultyStore) { d.noRefund = true })},
	{name: "deadlines come eight times too early", caught: []string{"I8", "no image is lost"}, store: faulty(func(d *faultyStore) { d.early = true })},
	{name: "the bucket answers before it has the picture", caught: []string{"I3"}, bucketForgets: "tasks/"},
	{name: "the bucket answers before it has the copy of an input", caught: []string{"I3"}, bucketForgets: "-input"},
	{name: "Preset's answer to an older notice counts for a newer one", caught: []string{"I10"}, anyVersion: true},
	{name: "Preset takes notices as they come", caught: []string{"I10"}, receiverForgets: true},
	{name: "a move is not told", caught: []string{"I10"}, store: faulty(func(d *faultyStore) { d.change = untoldMove })},
	{name: "a move has no version of its own", caught: []string{"I10"}, store: faulty(func(d *faultyStore) { d.change = sameVersion })},
	{name: "a second move forgets what Preset was told", caught: []string{"I10"}, store: faulty(func(d *faultyStore) { d.change = forgottenTarget })},
	{name: "a wake makes another message of a notice", caught: []string{"I10"}, store: faulty(func(d *faultyStore) { d.change = newVersion })},
	{name: "a notice waits for the erase", caught: []string{"I10", "P8"}, store: faulty(func(d *faultyStore) { d.change = waitingNotice })},
	{name: "an erase ends the notice", caught: []string{"I10", "P8"}, store: faulty(func(d *faultyStore) { d.change = erasedNotice })},
	{name: "a notice ends the erase", caught: []string{"P2", "P8"}, store: faulty(func(d *faultyStore) { d.change = toldErase })},
	{name: "an accepted notice is left pending", caught: []string{"P4"}, store: faulty(func(d *faultyStore) { d.change = pendingForEver })},
	{name: "a forgotten owner's order is accepted", caught: []string{"P10"}, store: faulty(func(d *faultyStore) { d.welcomes = true })},
	{name: "a put loses the mark of a forgotten owner's task", caught: []string{"P10"}, store: faulty(func(d *faultyStore) { d.change = lostMark })},
	{name: "a forgotten owner's task stays at its end", caught: []string{"P10"}, store: faulty(func(d *faultyStore) { d.change = keptAtEnd })},
	{name: "a forgotten owner's task is sent again", caught: []string{"P10"}, store: faulty(func(d *faultyStore) { d.unmarked = true })},
	{name: "a deleted row keeps its owner", caught: []string{"P9"}, store: faulty(func(d *faultyStore) { d.change = keptOwner })},
	{name: "the owner goes before Preset is told", caught: []string{"I10", "P9"}, store: faulty(func(d *faultyStore) { d.change = ownerGone })},
	{name: "the sweep ignores holds", caught: []string{"P11"}, pauses: sweepIgnoresHolds},
	{name: "a submit ignores holds", caught: []string{"P11"}, pauses: submitIgnoresHolds},
	{name: "the time of holds counts", caught: []string{"P11"}, pauses: holdsCount},
	{name: "the time of holds is given back twice", caught: []string{"bounded tries"}, store: faulty(func(d *faultyStore) { d.change = countedAnew })},
	{name: "a replay is refused during a hold", caught: []string{"P7"}, refusesReplays: true},
	{name: "nothing is erased", caught: []string{"P2"}, bucketKeeps: true},
}

// mutantRuns is how many histories may run until a mutant is caught. One history of 200
// catches the rarest: that 3,000 miss it has a probability of 3 in ten million.
const mutantRuns = 3000

func TestMutants(t *testing.T) {
	if raceDetector {
		t.Skip("make test runs the mutants without the race detector")
	}
	t.Parallel()
	all := histories()
	for _, m := range slices.Concat(mutants, recordMutants, rescueMutants) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			for n := range mutantRuns {
				got := runHistory(t, all.Example(n), m, inMemory)
				if got.broken == nil {
					continue
				}
				if !slices.Contains(m.caught, got.broken.invariant) {
					t.Errorf("caught by %s\n%s", got.broken, got)
				}
				t.Logf("caught by history %d: %s", n+1, got.broken)
				return
			}
			t.Errorf("not caught within %d histories", mutantRuns)
		})
	}
}

// roundTrip is an http.RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// silent reports whether the outcome of a POST is unknown.
func silent(resp *http.Response, err error) bool {
	if err != nil {
		return !errors.Is(err, errNotConnected)
	}
	b, _ := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(b))
	return !bytes.Contains(b, []byte(`"taskId"`)) && !bytes.Contains(b, []byte(`"code":4`))
}

func refuseSilence(_ *process, to http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := to.RoundTrip(r)
		if r.Method == http.MethodPost && silent(resp, err) {
			said := io.NopCloser(bytes.NewReader(refusal(429, "too many requests")))
			return &http.Response{StatusCode: 429, Header: http.Header{}, Request: r, Body: said}, nil
		}
		return resp, err
	})
}

func sendAgain(_ *process, to http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Method != http.MethodPost {
			return to.RoundTrip(r)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		resp, err := to.RoundTrip(r)
		if silent(resp, err) {
			r.Body = io.NopCloser(bytes.NewReader(body))
			return to.RoundTrip(r)
		}
		return resp, err
	})
}

// trustBody makes reads of a record by a callback return what the callback said.
func trustBody(p *process, to http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		said := p.actor.said
		if said == nil || r.Method == http.MethodPost || !strings.HasSuffix(r.URL.Path, "record-info") {
			return to.RoundTrip(r)
		}
		cb, err := nanobanana.ParseCallback(said)
		if err != nil {
			return to.RoundTrip(r)
		}
		id := r.FormValue("taskId")
		body := fill("record-failed", fields{"data.taskId": id, "data.paramJson": "", "data.errorCode": cb.Code})
		if cb.Success {
			body = fill("record-success", fields{"data.taskId": id, "data.paramJson": "", "data.response": map[string]any{"resultImageUrl": cb.URLs}})
		}
		return &http.Response{StatusCode: 200, Header: http.Header{}, Request: r, Body: io.NopCloser(bytes.NewReader(body))}, nil
	})
}

func postReplay(ctx context.Context, s *lifecycle.Service, t *task.Task) {
	url := publicURL + "/v1/callbacks/" + t.ID + "/1/k.token"
	_, _ = s.Provider.Submit(ctx, nanobananatest.DefaultKey, nanobanana.Request{
		Model: t.Model, Prompt: t.Prompt, NumImages: t.NumImages, CallbackURL: url,
	})
}

// readUnclaimed reads the record of an overdue task, and leaves its row as it is.
func readUnclaimed(r *lifecycle.Reader) func(context.Context, *task.Task, int) bool {
	return func(ctx context.Context, t *task.Task, expected int) bool {
		if !t.Overdue(r.Rules, r.Now(), expected) || t.ProviderID == "" {
			return false
		}
		_, _ = r.Provider.Record(ctx, nanobananatest.DefaultKey, t.ProviderID)
		return true
	}
}
