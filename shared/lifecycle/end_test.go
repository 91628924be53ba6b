package lifecycle_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/task/tasktest"
)

// line is a log line for a task's end.
type line struct {
	Level, Event, Task, Code string
	Bad                      bool
	Missing, InputsMissing   int
	Attempts, AgeSeconds     int
	ProviderCode             int
	ProviderWords            string
}

// ends returns the lines for tasks' ends that were logged since the last call.
func (h *harness) ends() (all []line) {
	h.t.Helper()
	for text := range strings.Lines(h.Logged.Take()) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			h.t.Fatal(err)
		}
		if l.Event == lifecycle.EventEnded {
			all = append(all, l)
		}
	}
	return all
}

// ended checks that exactly one end was logged since the last call, and returns its line.
func (h *harness) ended(id string, code task.Code, level string) line {
	h.t.Helper()
	all := h.ends()
	if len(all) != 1 || all[0].Task != id || all[0].Code != string(code) || all[0].Level != level || all[0].Bad != (level == "ERROR") {
		h.t.Fatalf("logged %+v, want %s %s of %s", all, level, code, id)
	}
	return all[0]
}

func TestEveryEndIsLogged(t *testing.T) {
	status := func(code int, text string) func(*nanobananatest.Knobs) {
		return fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: code, Message: text})
	}
	outcome := func(code int, text string) func(*nanobananatest.Knobs) {
		return func(k *nanobananatest.Knobs) {
			k.Outcome = nanobananatest.Outcome{ErrorCode: code, Message: text}
		}
	}
	for name, c := range map[string]struct {
		knobs func(*nanobananatest.Knobs)
		code  task.Code
		level string
		want  line // only what is set is compared
	}{
		"a success":    {func(*nanobananatest.Knobs) {}, "", "INFO", line{}},
		"hours of 429": {status(429, "slow down"), task.CodeRateLimited, "ERROR", line{}},
		"a wrong key":  {status(401, "no"), task.CodeProviderUnauthorized, "ERROR", line{ProviderCode: 401}},
		"a wrong key, repeated": {status(401, "no such key: "+nanobananatest.DefaultKey), task.CodeProviderUnauthorized, "ERROR",
			line{ProviderCode: 401, ProviderWords: "no such key: ..."}},
		"a failure that repeats the key": {outcome(501, "upstream refused "+nanobananatest.DefaultKey), task.CodeGenerationFailed, "WARN",
			line{ProviderCode: 501, ProviderWords: "upstream refused ..."}},
		"a rejected request": {status(422, "a lighthouse is invalid"), task.CodeProviderRejected, "ERROR", line{ProviderCode: 422, ProviderWords: "… is invalid"}},
		"no credits":         {status(402, "credits insufficient"), task.CodeInsufficientCredits, "INFO", line{ProviderCode: 402}},
		"an unknown outcome": {fault(nanobananatest.Fault{Kind: nanobananatest.FaultReset}), task.CodeOutcomeUnknown, "ERROR", line{}},
		"a policy refusal":   {outcome(400, "flagged"), task.CodeContentPolicy, "INFO", line{ProviderCode: 400}},
		"failed generations": {outcome(501, "oh"), task.CodeGenerationFailed, "WARN", line{ProviderCode: 501, ProviderWords: "oh"}},
		"a record that stays at 0": {func(k *nanobananatest.Knobs) { k.RecordFlag = new(int) },
			task.CodeTimedOut, "ERROR", line{}},
		"a picture that cannot be downloaded": {func(k *nanobananatest.Knobs) {
			k.Download = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 404}
		}, task.CodeImageUnavailable, "ERROR", line{}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, c.knobs)
			id := h.submit().ID
			for range 300 {
				h.work(id)
				if h.task(id).Done() {
					break
				}
				h.provided(id)
				h.sweep(20 * time.Minute)
			}
			end := h.task(id)
			got := h.ended(id, c.code, c.level)
			if got.Attempts != end.Attempt || got.AgeSeconds != int(end.EndedAt.Sub(end.CreatedAt)/time.Second) {
				t.Errorf("logged %+v of %+v", got, end)
			}
			if c.want.ProviderCode != 0 && got.ProviderCode != c.want.ProviderCode || c.want.ProviderWords != "" && got.ProviderWords != c.want.ProviderWords {
				t.Errorf("logged %+v, want it to say %+v", got, c.want)
			}
			for range 3 { // and not again
				h.sweep(time.Hour)
			}
			if more := h.ends(); more != nil {
				t.Errorf("logged again: %+v", more)
			}
		})
	}
}

func TestSuccessWithMissingPicturesIsAWarning(t *testing.T) {
	h := newHarness(t, func(k *nanobananatest.Knobs) { k.ShortBy = 1 })
	id := h.submit(func(o *lifecycle.Order) { o.Request.NumImages = 2 }).ID
	h.until(id, task.Succeeded, time.Hour)
	if got := h.ended(id, "", "WARN"); got.Missing != 1 {
		t.Errorf("logged %+v, want 1 missing", got)
	}
}

// hanging is a provider that accepts every order and never answers a read of a record.
type hanging struct{}

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := `{"code":200,"msg":"success","data":{"taskId":"p"}}`
	switch {
	case strings.Contains(r.URL.Path, "credit"):
		answer = `{"code":200,"data":1000}`
	case strings.Contains(r.URL.Path, "record"):
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer)), Request: r}, nil
}

// The provider gives up a callback after 15 s, and delays the others meanwhile.
func TestCallbackIsAnsweredWhileItsRecordHangs(t *testing.T) {
	c, err := config.Load(func(name string) string {
		return map[string]string{"NANOBANANA_BASE_URL": "http://127.0.0.1:1", "PUBLIC_URL": "https://api.example.com"}[name]
	}, config.Local)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		store := tasktest.NewMemory()
		const key = "0123456789abcdef0123456789abcdef"
		secrets := config.NewSecrets(func(context.Context) ([]byte, error) {
			return []byte(`{"apiKey":"` + key + `","callbackKeys":[{"id":"1","key":"` + key + `"}],"imageKeys":[{"id":"1","key":"` + key + `"}]}`), nil
		}, time.Now, slog.New(slog.DiscardHandler))
		client := &http.Client{Transport: hanging{}}
		s := lifecycle.NewSubmitter(c, lifecycle.NewPoster(c, store, secrets, nil, client, slog.New(slog.DiscardHandler)), client)
		x, _, err := s.Submit(t.Context(), order())
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if err := s.Settle(t.Context(), x.ID, 1, callbackBody("p", 200, "https://elsewhere.example.com/a.png")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > 6*time.Second {
			t.Errorf("answered after %v, want at most 6 s", took)
		}
		x, err = store.Task(t.Context(), x.ID)
		if err != nil || x.UnreadableSince.IsZero() || x.Hint == nil {
			t.Errorf("the row is %+v, %v: want the failed read and the callback's hint", x, err)
		}
	})
}
