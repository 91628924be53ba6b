package serve

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/preset/nanobanana-functions/local/client/clienttest"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// Errors and bad ends are counted at any log level. Only their parts that cannot be
// secret are kept.
func TestTroubles(t *testing.T) {
	var out bytes.Buffer
	seen := newTroubles()
	log := slog.New(troubleHandler{Handler: slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelError + 1}), troubles: seen})
	log.Info("a task has ended", "event", lifecycle.EventEnded, "task", "fine")
	log.Warn("the record could not be read", "task", "fine")
	if r := seen.report(); r.Ended+r.Errors+len(r.Last) != 0 {
		t.Errorf("these lines are no troubles, but were counted: %+v", r)
	}
	log.Warn("a task has ended", "event", lifecycle.EventEnded, "task", "abc", "code", "generation_failed")
	log.Warn("a task has ended", "event", lifecycle.EventEnded, "task", "def", "missing", 2)
	log.With("task", "ghi").WithGroup("g").Error("broken", "error", errors.New("https://secret.example"), "code", "two words\nof https://outside")
	if out.Len() != 0 {
		t.Errorf("it logs below its level: %s", out.String())
	}
	b, err := json.Marshal(seen.report())
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(b, &r); err != nil || r.Ended != 2 || r.Errors != 1 || len(r.Last) != 3 {
		t.Fatalf("%s, %v", b, err)
	}
	for i, want := range []trouble{
		{Message: "broken", Task: "ghi"},
		{Message: "a task has ended", Task: "def", Missing: "2"},
		{Message: "a task has ended", Task: "abc", Code: "generation_failed"},
	} {
		if r.Last[i].At.IsZero() {
			t.Errorf("trouble %d has no time", i)
		}
		if r.Last[i].At = (time.Time{}); r.Last[i] != want {
			t.Errorf("trouble %d is %+v, want %+v", i, r.Last[i], want)
		}
	}
	if bytes.Contains(b, []byte("secret")) || bytes.Contains(b, []byte("outside")) {
		t.Errorf("it keeps a secret: %s", b)
	}
	for n := range 20 {
		log.Error("more", "task", fmt.Sprint(n))
	}
	if r := seen.report(); r.Errors != 21 || len(r.Last) != maxTroubles || r.Last[0].Task != "19" {
		t.Errorf("after many troubles: %+v", r)
	}
}

// The first trouble is printed at once; many that follow share one line.
func TestTroublesPrinted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := newTroubles()
		var out bytes.Buffer
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			seen.print(ctx, &out)
		}()
		synctest.Wait()
		seen.add(trouble{Message: "a task has ended", Task: "abc", Code: "timed_out", ended: true})
		synctest.Wait()
		for n := range 30 {
			seen.add(trouble{Message: "broken", Task: fmt.Sprint(n)})
		}
		time.Sleep(time.Hour)
		stop()
		<-ended
		const want = "1 task ended badly; the latest: a task has ended, task abc, code timed_out; see the log on standard error\n" +
			"1 task ended badly, 30 errors; the latest: broken, task 29; see the log on standard error\n"
		if out.String() != want {
			t.Errorf("printed:\n%swant:\n%s", out.String(), want)
		}
	})
}

// A task that ends badly shows on standard output and in the page.
func TestBadEndIsShown(t *testing.T) {
	sim := nanobananatest.NewServer(func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultCode, Code: 404}
	})
	t.Cleanup(sim.Close)
	data := t.TempDir()
	env := map[string]string{"NANOBANANA_BASE_URL": sim.URL, "NANOBANANA_API_KEY": nanobananatest.DefaultKey}
	ctx, stop := context.WithCancel(t.Context())
	out, printed := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := Run(ctx, Options{Addr: "127.0.0.1:0", Data: data, Getenv: func(name string) string { return env[name] }, Log: io.Discard}, printed)
		_ = printed.CloseWithError(err)
		ended <- err
	}()
	lines := bufio.NewScanner(out)
	lines.Scan()
	url, ok := strings.CutPrefix(lines.Text(), "listening on ")
	if !ok {
		t.Fatalf("its first line is %q, %v", lines.Text(), lines.Err())
	}
	failed := make(chan string, 1)
	go func() {
		failed <- clienttest.SignIn(t, url, data, "ada").Submit(t, map[string]any{"prompt": "a lighthouse"}, "k").ID
	}()
	line := ""
	for !strings.Contains(line, "ended badly") && lines.Scan() {
		line = lines.Text()
	}
	id := <-failed
	if want := "1 task ended badly; the latest: a task has ended, task " + id + ", code provider_rejected; see the log on standard error"; line != want {
		t.Errorf("printed %q, want %q", line, want)
	}
	r := &harness{Server: &Server{URL: url}, t: t}
	if resp, body := r.request("GET", "/local/troubles", ""); resp.StatusCode != 200 || !strings.Contains(body, `"ended":1`) || !strings.Contains(body, id) {
		t.Errorf("the page gets %s %s", resp.Status, body)
	}
	stop()
	go func() { _, _ = io.Copy(io.Discard, out) }()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
