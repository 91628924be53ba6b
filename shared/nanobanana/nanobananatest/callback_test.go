package nanobananatest_test

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// retrying returns knobs with n immediate retries.
func retrying(n int) func(*nanobananatest.Knobs) {
	return func(k *nanobananatest.Knobs) { k.CallbackRetries = make([]nanobananatest.Duration, n) }
}

// statuses waits for n callbacks of the task and returns the statuses of all answers.
func (p *provider) statuses(id string, n int) (statuses []int) {
	p.t.Helper()
	await(p.t, "callbacks", func() bool { return len(p.task(id).Callbacks) >= n })
	for _, c := range p.task(id).Callbacks {
		statuses = append(statuses, c.Status)
	}
	return statuses
}

func TestCallbackHasTheOutcome(t *testing.T) {
	policy := "Your prompt has been flagged for violating content policy"
	for _, tt := range []struct {
		endpoint string
		outcome  nanobananatest.Outcome
		want     object
	}{
		{"generate", nanobananatest.Outcome{}, object{"code": 200.0}},
		{"generate", nanobananatest.Outcome{ErrorCode: 400}, object{"code": 400.0, "msg": policy, "data.info.resultImageUrl": ""}},
		{"generate", nanobananatest.Outcome{ErrorCode: 501}, object{"code": 501.0, "msg": "Image generation task failed"}},
		{"generate-2", nanobananatest.Outcome{}, object{"code": 200.0, "data.successFlag": 1.0, "data.errorCode": nil}},
		{"generate-2", nanobananatest.Outcome{ErrorCode: 400}, object{
			"code": 200.0, "data.successFlag": 3.0, "data.errorCode": 400.0, "data.errorMessage": policy, "data.response": nil}},
		{"generate-pro", nanobananatest.Outcome{ErrorCode: 500, Message: "Oops"}, object{
			"code": 200.0, "data.successFlag": 3.0, "data.errorCode": 500.0, "data.errorMessage": "Oops"}},
	} {
		p, callbacks := serve(t), receive(t)
		p.SetKnobs(func(k *nanobananatest.Knobs) { k.Outcome = tt.outcome })
		id := p.mustSubmit(tt.endpoint, object{"callBackUrl": callbacks.url})
		_, body := callbacks.next(t)
		tt.want["data.taskId"] = id
		if tt.outcome.ErrorCode == 0 {
			place := map[string]string{"generate": "info", "generate-2": "response"}[tt.endpoint]
			tt.want["data."+place+".resultImageUrl"] = p.task(id).URLs[0]
		}
		for place, value := range tt.want {
			if got := at(body, place); got != value {
				t.Errorf("%s %v: %s is %v, want %v", tt.endpoint, tt.outcome, place, got, value)
			}
		}
		record := p.record(id).data()
		if record["errorCode"] != float64(tt.outcome.ErrorCode) || (record["successFlag"] == 1.0) != (tt.outcome.ErrorCode == 0) {
			t.Errorf("%s %v: record %v", tt.endpoint, tt.outcome, record)
		}
	}
}

func TestOutcomeTimes(t *testing.T) {
	p := serve(t, func(k *nanobananatest.Knobs) { k.Outcome = nanobananatest.Outcome{ErrorCode: 501, Times: 2} })
	for i, want := range []int{501, 501, 0, 0} {
		if got := p.done(p.mustSubmit("generate-2")).ErrorCode; got != want {
			t.Errorf("task %d ends with %d, want %d", i, got, want)
		}
	}
}

func TestCallbackIsRetriedUntilAccepted(t *testing.T) {
	p, callbacks := serve(t, retrying(9)), receive(t, 500, 302, 404, 204)
	id := p.mustSubmit("generate", object{"callBackUrl": callbacks.url})
	if got, want := p.statuses(id, 4), []int{500, 302, 404, 204}; !reflect.DeepEqual(got, want) {
		t.Errorf("answers %v, want %v", got, want)
	}
	p.over(id)
	first, _ := callbacks.next(t)
	for range 3 {
		if again, _ := callbacks.next(t); !bytes.Equal(again, first) {
			t.Errorf("a retry says %s, the first said %s", again, first)
		}
	}
	callbacks.none(t)
}

func TestCallbackIsGivenUp(t *testing.T) {
	p, callbacks := serve(t, retrying(2)), receive(t, 500, 500, 500)
	id := p.mustSubmit("generate", object{"callBackUrl": callbacks.url})
	p.statuses(id, 3)
	refused := p.mustSubmit("generate")
	if got := p.statuses(refused, 3); !reflect.DeepEqual(got, []int{0, 0, 0}) {
		t.Errorf("where nothing listens: %v, want no answers", got)
	}
	for _, id := range []string{id, refused} {
		if n := len(p.over(id).Callbacks); n != 3 {
			t.Errorf("%d callbacks, want 3", n)
		}
	}
}

func TestRetriesWait(t *testing.T) {
	p, callbacks := serve(t), receive(t, 500)
	p.SetKnobs(func(k *nanobananatest.Knobs) {
		k.CallbackRetries = []nanobananatest.Duration{nanobananatest.Duration(30 * time.Millisecond)}
	})
	id := p.mustSubmit("generate", object{"callBackUrl": callbacks.url})
	p.statuses(id, 2)
	if c := p.task(id).Callbacks; c[1].At.Sub(c[0].At) < 30*time.Millisecond {
		t.Errorf("retried after %v", c[1].At.Sub(c[0].At))
	}
}

func TestCallbackIsRepeated(t *testing.T) {
	p, callbacks := serve(t), receive(t)
	p.SetKnobs(func(k *nanobananatest.Knobs) { k.RepeatCallbacks = 5 })
	id := p.mustSubmit("generate-2", object{"callBackUrl": callbacks.url})
	p.statuses(id, 5)
	p.over(id)
	first, _ := callbacks.next(t)
	for range 4 {
		if again, _ := callbacks.next(t); !bytes.Equal(again, first) {
			t.Errorf("one says %s, another %s", first, again)
		}
	}
	callbacks.none(t)
	if len(p.Charged()) != 1 || p.Balance() != 992 {
		t.Errorf("charged %v", p.Charged())
	}
}

func TestCallbackIsLost(t *testing.T) {
	p, callbacks := serve(t), receive(t)
	p.SetKnobs(func(k *nanobananatest.Knobs) { k.LoseCallbacks = true })
	p.over(p.mustSubmit("generate", object{"callBackUrl": callbacks.url}))
	p.SetKnobs(func(k *nanobananatest.Knobs) { k.LoseCallbacks = false })
	if asked := p.over(p.mustSubmit("generate-2", object{"callBackUrl": nil})); len(asked.Callbacks) != 0 { // has no callback address
		t.Errorf("called back %v", asked.Callbacks)
	}
	callbacks.none(t)
}

func TestCallbackIsEarly(t *testing.T) {
	p := serve(t)
	p.SetKnobs(func(k *nanobananatest.Knobs) {
		k.EarlyCallbacks, k.Delay = true, nanobananatest.Duration(time.Hour)
	})
	callbacks := receive(t)
	callbacks.bodies = make(chan []byte) // the server does not answer until the test reads the body
	answered := make(chan string, 1)
	go func() { answered <- p.mustSubmit("generate", object{"callBackUrl": callbacks.url}) }()
	await(t, "the callback to arrive", func() bool { return len(callbacks.visited()) == 1 })
	select {
	case <-answered:
		t.Fatal("the submit was answered first")
	case <-time.After(20 * time.Millisecond):
	}
	_, body := callbacks.next(t)
	if id := <-answered; at(body, "data.taskId") != id {
		t.Errorf("called back about %v, want %s", at(body, "data.taskId"), id)
	}
	p.SetKnobs(func(k *nanobananatest.Knobs) { k.LoseCallbacks = true })
	p.mustSubmit("generate", object{"callBackUrl": callbacks.url}) // does not wait for a lost callback
}

func TestCallbackContradictsItself(t *testing.T) {
	for endpoint, place := range map[string]string{"generate": "code", "generate-pro": "data.errorCode"} {
		p, callbacks := serve(t), receive(t, 500) // the contradiction waits until the success is accepted
		p.SetKnobs(func(k *nanobananatest.Knobs) {
			k.ContradictCallbacks, k.CallbackRetries = true, make([]nanobananatest.Duration, 3)
		})
		id := p.mustSubmit(endpoint, object{"callBackUrl": callbacks.url})
		for i, failed := range []bool{false, false, true} {
			if _, body := callbacks.next(t); (at(body, place) == 501.0) != failed || at(body, "data.taskId") != id {
				t.Errorf("%s: callback %d says %v", endpoint, i, body)
			}
		}
		if p.task(id).Flag != nanobananatest.FlagSucceeded || p.record(id).data()["successFlag"] != 1.0 {
			t.Errorf("%s: the record is contradicted too", endpoint)
		}
	}
}

// A task takes as long as Delay says.
func TestDelay(t *testing.T) {
	p, callbacks := serve(t), receive(t)
	p.SetKnobs(func(k *nanobananatest.Knobs) { k.Delay = nanobananatest.Duration(50 * time.Millisecond) })
	start := time.Now()
	id := p.mustSubmit("generate", object{"callBackUrl": callbacks.url})
	if p.record(id).data()["successFlag"] != 0.0 && time.Since(start) < 50*time.Millisecond {
		t.Error("it is done at once")
	}
	callbacks.next(t)
	if took := time.Since(start); took < 50*time.Millisecond {
		t.Errorf("called back after %v", took)
	}
}

func TestCallbackIsLate(t *testing.T) {
	p, callbacks := serve(t), receive(t)
	p.SetKnobs(func(k *nanobananatest.Knobs) { k.CallbackDelay = nanobananatest.Duration(50 * time.Millisecond) })
	start := time.Now()
	id := p.mustSubmit("generate", object{"callBackUrl": callbacks.url})
	if p.done(id); p.record(id).data()["successFlag"] != 1.0 {
		t.Error("it is done, and its record does not say so")
	}
	callbacks.next(t)
	if took := time.Since(start); took < 50*time.Millisecond {
		t.Errorf("called back after %v", took)
	}
}

// An attacker calls back first, while the task is still running.
func TestCallbackIsForged(t *testing.T) {
	for _, last := range []string{"A", "Z"} {
		p, callbacks := serve(t), receive(t, 404)
		p.SetKnobs(func(k *nanobananatest.Knobs) { k.ForgeCallbacks = true })
		id := p.mustSubmit("generate", object{"callBackUrl": callbacks.url + last})
		var named []any
		for range 3 {
			_, body := callbacks.next(t)
			if at(body, "data.info.resultImageUrl") != "https://attacker.example/forged.png" || at(body, "code") != 200.0 {
				t.Errorf("the forgery says %v", body)
			}
			named = append(named, at(body, "data.taskId"))
		}
		if named[0] != id || named[1] == id || named[2] != id {
			t.Errorf("the forgeries name %v, want the task, another, the task %s", named, id)
		}
		paths := callbacks.visited()
		if paths[0] == "/callback"+last || len(paths[0]) != len("/callback"+last) || paths[1] != "/callback"+last || paths[2] != paths[1] {
			t.Errorf("the forgeries went to %v", paths)
		}
		if _, body := callbacks.next(t); at(body, "data.info.resultImageUrl") != p.task(id).URLs[0] {
			t.Errorf("the provider says %v", body)
		}
		if sent := p.over(id).Callbacks; len(sent) != 1 {
			t.Errorf("the provider lists the callbacks %v, want one", sent)
		}
	}
}
