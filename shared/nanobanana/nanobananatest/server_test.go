package nanobananatest_test

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

func TestLedger(t *testing.T) {
	p := serve(t)
	p.SetBalance(100.5)
	expect := func(want float64) {
		t.Helper()
		if shown := p.credit().body["data"]; shown != want || p.Balance() != want {
			t.Errorf("the balance is shown as %v and is %v, want %v", shown, p.Balance(), want)
		}
	}
	expect(100.5)
	made := p.mustSubmit("generate", object{"numImages": 3})
	expect(88.5)
	p.mustSubmit("generate-2")
	expect(80.5)
	p.mustSubmit("generate-2", object{"resolution": "4K"})
	expect(62.5)
	p.mustSubmit("generate-pro", object{"resolution": "2K"})
	expect(44.5)

	p.SetKnobs(func(k *nanobananatest.Knobs) { k.Outcome.ErrorCode = 501 })
	lost := p.done(p.mustSubmit("generate"))
	expect(40.5)
	p.SetKnobs(func(k *nanobananatest.Knobs) { k.RefundFailures = true })
	refunded := p.done(p.mustSubmit("generate"))
	expect(40.5)
	if lost.Refunded || !refunded.Refunded || refunded.Charge != 4 {
		t.Errorf("refunded: %v and %v", lost.Refunded, refunded.Refunded)
	}
	charged := p.Charged()
	if charged[made] != 12 || charged[lost.ID] != 4 || charged[refunded.ID] != 0 || len(charged) != 6 {
		t.Errorf("charged %v", charged)
	}

	p.SetBalance(3.9)
	if a := p.submit("generate", params("generate")); a.status != 402 || a.code() != 402 || !strings.Contains(a.body["msg"].(string), "insufficient") {
		t.Errorf("a poor account is answered %d %s", a.status, a.raw)
	}
	expect(3.9)
	p.SetBalance(100)
	p.SetKnobs(func(k *nanobananatest.Knobs) { k.OutOfCredits = true })
	if a := p.submit("generate", params("generate")); a.status != 402 {
		t.Errorf("out of credits is answered %d %s", a.status, a.raw)
	}
	if a := p.credit(); a.body["data"] != 0.0 || p.Balance() != 100 || len(p.Tasks()) != 6 {
		t.Errorf("out of credits: %s, balance %v, %d tasks", a.raw, p.Balance(), len(p.Tasks()))
	}
}

// Two concurrent requests cannot both spend the last credits.
func TestLedgerUnderLoad(t *testing.T) {
	p := serve(t)
	p.SetBalance(4*5 + 3)
	var all sync.WaitGroup
	statuses := make([]int, 20)
	for i := range statuses {
		all.Go(func() { statuses[i] = p.submit("generate", params("generate")).status })
	}
	all.Wait()
	count := map[int]int{}
	for _, status := range statuses {
		count[status]++
	}
	if count[200] != 5 || count[402] != 15 || p.Balance() != 3 || len(p.Tasks()) != 5 || p.Posts() != 20 {
		t.Errorf("answers %v, balance %v, %d tasks, %d posts", count, p.Balance(), len(p.Tasks()), p.Posts())
	}
}

func TestWhatIsHandedOutIsACopy(t *testing.T) {
	p := serve(t, retrying(0))
	id := p.over(p.mustSubmit("generate")).ID
	p.record(id)
	for _, task := range []nanobananatest.Task{p.task(id), p.Tasks()[0]} {
		task.Params["prompt"], task.URLs[0], task.Reads[0], task.Callbacks[0] = "x", "x", time.Time{}, nanobananatest.Callback{Status: 7}
	}
	got := p.task(id)
	if got.Params["prompt"] != "a harbour" || got.URLs[0] == "x" || got.Reads[0].IsZero() || got.Callbacks[0].Status == 7 {
		t.Errorf("task %+v", got)
	}
	retries := []nanobananatest.Duration{1}
	p.SetKnobs(func(k *nanobananatest.Knobs) { k.CallbackRetries = retries })
	retries[0] = 2
	p.Knobs().CallbackRetries[0] = 3
	if got := p.Knobs().CallbackRetries[0]; got != 1 {
		t.Errorf("the knob is %v", got)
	}
}

func TestKnobsGoToJSONAndBack(t *testing.T) {
	seven := 7
	knobs := nanobananatest.Knobs{
		Delay: nanobananatest.Duration(1500 * time.Millisecond), RecordFlag: &seven, Delivery: "images", PictureSide: 32,
		Submit:          nanobananatest.Fault{Kind: nanobananatest.FaultCode, Code: 455, RetryAfter: nanobananatest.Duration(time.Minute), Times: 2},
		Outcome:         nanobananatest.Outcome{ErrorCode: 501, Times: 1},
		Sending:         nanobananatest.Sending{Status: 206, Gzip: true},
		CallbackRetries: []nanobananatest.Duration{nanobananatest.Duration(time.Second)},
	}
	text, err := json.Marshal(knobs)
	if err != nil || !strings.Contains(string(text), `"delay":"1.5s"`) || !strings.Contains(string(text), `"retryAfter":"1m0s"`) {
		t.Fatalf("%s, %v", text, err)
	}
	var back nanobananatest.Knobs
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, knobs) {
		t.Errorf("%+v, %v; want %+v", back, err, knobs)
	}
}

// SetKnobs panics for an unknown value, which would test nothing.
func TestUnknownKnobsPanic(t *testing.T) {
	p := serve(t)
	for name, wrong := range map[string]func(*nanobananatest.Knobs){
		"recordPath":    func(k *nanobananatest.Knobs) { k.RecordPath = "records" },
		"paramJson":     func(k *nanobananatest.Knobs) { k.ParamJSON = "none" },
		"delivery":      func(k *nanobananatest.Knobs) { k.Delivery = "jsontext" },
		"pictureFormat": func(k *nanobananatest.Knobs) { k.PictureFormat = "gif" },
		"submit":        func(k *nanobananatest.Knobs) { k.Submit.Kind = "rest" },
		"record": func(k *nanobananatest.Knobs) {
			k.Record = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 20}
		},
		"download":        func(k *nanobananatest.Knobs) { k.Download.Times = -1 },
		"shortBy":         func(k *nanobananatest.Knobs) { k.ShortBy = -1 },
		"repeatCallbacks": func(k *nanobananatest.Knobs) { k.RepeatCallbacks = -1 },
		"sending.status":  func(k *nanobananatest.Knobs) { k.Sending.Status = 100 },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				err, _ := recover().(error)
				if err == nil || !strings.Contains(err.Error(), "knob "+name+":") {
					t.Errorf("panic %v", err)
				}
			}()
			p.SetKnobs(wrong)
		})
	}
	if !reflect.DeepEqual(p.Knobs(), serve(t).Knobs()) {
		t.Errorf("knobs are %+v", p.Knobs())
	}
}

// Close ends waiting requests and leaves nothing running.
func TestClose(t *testing.T) {
	p, callbacks := serve(t), receive(t, 500, 500, 500, 500)
	fault := func(kind nanobananatest.FaultKind) {
		p.SetKnobs(func(k *nanobananatest.Knobs) { k.Credit.Kind = kind })
	}
	p.SetKnobs(func(k *nanobananatest.Knobs) {
		k.CallbackRetries = []nanobananatest.Duration{nanobananatest.Duration(time.Hour)}
	})
	retried := p.mustSubmit("generate", object{"callBackUrl": callbacks.url})
	p.statuses(retried, 1)
	p.SetKnobs(func(k *nanobananatest.Knobs) { k.Delay = nanobananatest.Duration(time.Hour) })
	running := p.mustSubmit("generate")
	asked := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { close(asked); <-r.Context().Done() }))
	t.Cleanup(slow.Close)
	p.SetKnobs(func(k *nanobananatest.Knobs) { k.Delay = 0 })
	fetching := p.mustSubmit("generate-2", object{"imageUrls": []string{slow.URL}})
	<-asked
	var lines []rawConn
	for i, kind := range []nanobananatest.FaultKind{nanobananatest.FaultHang, nanobananatest.FaultSlow, nanobananatest.FaultEndless} {
		fault(kind)
		lines = append(lines, p.dial(t, "GET", "/api/v1/common/credit", ""))
		await(t, "the request", func() bool { return p.CreditReads() == i+1 })
	}
	closed := make(chan struct{})
	go func() { p.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatal("it does not close")
	}
	for i, l := range lines {
		if _, err := l.read(1<<30, patience); errors.Is(err, net.ErrClosed) || isTimeout(err) {
			t.Errorf("line %d: %v, want the end", i, err)
		}
	}
	for _, id := range []string{running, fetching} {
		if task := p.task(id); task.Flag != nanobananatest.FlagRunning || task.CallbacksDone {
			t.Errorf("a task that ran is %+v", task)
		}
	}
	if task := p.task(retried); len(task.Callbacks) != 1 || task.CallbacksDone {
		t.Errorf("the task that was called back is %+v", task)
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL, "http://")); err == nil {
		_ = conn.Close()
		t.Error("it still listens")
	}
	p.Close() // a second Close is harmless
}

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) && netErr.Timeout()
}

// A closed server answers 503 behind another server that still runs.
func TestClosedBehindAnother(t *testing.T) {
	s := nanobananatest.New()
	front := &http.Server{Handler: s, ReadHeaderTimeout: patience}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = front.Serve(listener) }()
	t.Cleanup(func() { _ = front.Close() })
	s.URL = "http://" + listener.Addr().String()
	p := attach(t, s)
	p.mustSubmit("generate")
	p.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL+"/api/v1/nanobanana/generate", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	if _ = resp.Body.Close(); resp.StatusCode != http.StatusServiceUnavailable || p.Posts() != 1 {
		t.Errorf("answered %d, %d posts", resp.StatusCode, p.Posts())
	}
}
