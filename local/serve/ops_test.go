package serve

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/local/client/clienttest"
	"github.com/preset/nanobanana-functions/local/ops"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// operate runs bin/ops, and returns its output if it ends as expected.
func operate(t *testing.T, want ops.Exit, words ...string) string {
	t.Helper()
	var out bytes.Buffer
	getenv := func(string) string { return "" }
	got := ops.Main(t.Context(), words, ops.Options{
		Getenv: getenv, In: strings.NewReader(""), Out: &out, Err: &out,
		OpenData: func(folder string, write bool) (*ops.Env, func() error, error) {
			return OpenStopped(folder, getenv, t.Output(), write)
		},
	})
	if got != want {
		t.Fatalf("%v: exit %d: %s", words, got, out.String())
	}
	return out.String()
}

// startToStop starts a local run that a test stops, or else its end.
func startToStop(t *testing.T, data string, log io.Writer) (s *Server, stop func()) {
	t.Helper()
	s, err := Start(Options{Addr: "127.0.0.1:0", Data: data, Log: log, Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return s, stop
}

// TestOperate looks at a local run while it runs, and after it has stopped.
func TestOperate(t *testing.T) {
	data := filepath.Join(t.TempDir(), "it's here")
	var log bytes.Buffer // of one handler, which writes line by line
	s, stop := startToStop(t, data, &log)
	addr := strings.TrimPrefix(s.URL, "http://")
	s.studio.simulator.SetKnobs(func(k *nanobananatest.Knobs) { k.Delay, k.PictureSide = 0, 64 })
	ada := clienttest.SignIn(t, s.URL, data, "ada")
	x := ada.AwaitSuccess(t, ada.Submit(t, map[string]any{"prompt": "nobody may see this"}, "k").ID)

	for _, words := range [][]string{{"inspect", x.ID, "-logs"}, {"ends"}, {"stuck"}, {"redrive"}} {
		out := operate(t, ops.Fine, append(words, "-addr", addr)...)
		if !strings.HasPrefix(out, "local run at "+s.URL+", ") || strings.Contains(out, "nobody may see") {
			t.Errorf("%v: %s", words, out)
		}
	}
	if out := operate(t, ops.Failed, "stuck", "-data", data); !strings.Contains(out, "reach it with -addr") {
		t.Errorf("the folder of the running run: %s", out)
	}
	stop()
	// The log that is kept is the one on standard error, which other tests search for secrets.
	if kept, err := os.ReadFile(logFiles(data).Current); err != nil || log.Len() == 0 || !bytes.Equal(kept, log.Bytes()) {
		t.Errorf("%d bytes are logged and %d kept: %v", log.Len(), len(kept), err)
	}
	if out := operate(t, ops.Failed, "stuck", "-addr", addr); !strings.Contains(out, "name its folder with -data") {
		t.Errorf("the stopped run's address: %s", out)
	}
	if out := operate(t, ops.Fine, "inspect", x.ID, "-logs", "-data", data); !strings.Contains(out, "succeeded") || !strings.Contains(out, "a task has ended") {
		t.Errorf("the stopped run says %s", out)
	}
	if out := operate(t, ops.Fine, "ends", "-data", data); !strings.Contains(out, "1 task ended, 1 with pictures") {
		t.Errorf("the stopped run says %s", out)
	}
	if out := operate(t, ops.Fine, "redrive", "-all", "-data", data); !strings.Contains(out, "No notice") { // opens it to write
		t.Errorf("the stopped run says %s", out)
	}
	missing := filepath.Join(data, "missing")
	if out := operate(t, ops.Failed, "stuck", "-data", missing); !strings.Contains(out, "no local run has kept tasks in") {
		t.Errorf("no folder: %s", out)
	}
	if _, err := os.Stat(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("looking has made the folder: %v", err)
	}
	if out := operate(t, ops.Fine, "pause", "-reason", "x", "-data", data); !strings.HasSuffix(out, "next: bin/ops resume -data "+ops.Quote(data)+"\n") || ops.Quote(data) == data {
		t.Errorf("a folder with a space cannot be copied: %s", out)
	}
	if flags := commandFlags("http://"+DefaultAddr, data); flags != " -data "+ops.Quote(data) {
		t.Errorf("the flags of other commands: %s", flags)
	}
}

// TestOpsGuarded sends commands as other sites' pages and tunnels would.
func TestOpsGuarded(t *testing.T) {
	h := startHarness(t, nil)
	for name, c := range map[string]struct {
		header, value string
		status        int
	}{
		"a program":           {"Accept", "*/*", 200},
		"another site's page": {"Origin", "https://attacker.example", 403},
		"another port's page": {"Sec-Fetch-Site", "same-site", 403},
		"a tunnel":            {"X-Forwarded-For", "192.0.2.7", 403},
		"a rebound name":      {"Host", "attacker.example", 403},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.URL+ops.RemotePath, strings.NewReader(`{"words":["stuck"]}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if r.Header.Set(c.header, c.value); c.header == "Host" {
			r.Host = c.value
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if _ = resp.Body.Close(); resp.StatusCode != c.status {
			t.Errorf("%s gets %d, want %d", name, resp.StatusCode, c.status)
		}
	}
}

func TestLogFile(t *testing.T) {
	paths := logFiles(t.TempDir())
	l, err := openLog(paths)
	if err != nil {
		t.Fatal(err)
	}
	l.max = 1000
	line := func(n int) string {
		return `{"time":"` + time.Unix(int64(n), 0).UTC().Format(time.RFC3339) + `","msg":"` + strings.Repeat("x", 60) + "\"}\n"
	}
	size := func() (total int64) {
		for _, path := range []string{paths.Older, paths.Current} {
			if info, err := os.Stat(path); err == nil {
				total += info.Size()
			}
		}
		return total
	}
	const lines = 100
	for n := range lines {
		if n == lines/2 { // a restart
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if l, err = openLog(paths); err != nil {
				t.Fatal(err)
			}
			l.max = 1000
		}
		if _, err := l.Write([]byte(line(n))); err != nil {
			t.Fatal(err)
		}
		if size() > 2*l.max {
			t.Fatalf("after %d lines it has %d bytes", n+1, size())
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	// The last ones are there, without a gap.
	next := int64(-1)
	for x, err := range paths.Lines(t.Context(), ops.LogQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		if next >= 0 && x.Time.Unix() != next {
			t.Fatalf("line %d follows line %d", x.Time.Unix(), next-1)
		}
		next = x.Time.Unix() + 1
	}
	if next != lines {
		t.Errorf("the last line is %d", next-1)
	}

	// A line that a crash cut off does not spoil the next.
	if err := os.WriteFile(paths.Current, []byte(`{"time":"20`), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err = openLog(paths); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Write([]byte(line(lines))); err != nil {
		t.Fatal(err)
	}
	var last int64
	for x := range paths.Lines(t.Context(), ops.LogQuery{}) {
		last = x.Time.Unix()
	}
	if last != lines {
		t.Errorf("after a crash the last line is %d", last)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
