package ops

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFileLogs(t *testing.T) {
	dir := t.TempDir()
	logs := FileLogs{Older: filepath.Join(dir, "older"), Current: filepath.Join(dir, "current")}
	read := func(q LogQuery) (msgs []string) {
		t.Helper()
		for l, err := range logs.Lines(t.Context(), q) {
			if err != nil {
				t.Fatal(err)
			}
			msgs = append(msgs, l.Msg)
		}
		return msgs
	}
	begin := func() time.Time {
		t.Helper()
		at, err := logs.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	if got := read(LogQuery{}); got != nil || !begin().IsZero() {
		t.Errorf("without files: %v", got)
	}
	line := func(n int, event, id string) string {
		return fmt.Sprintf(`{"time":%q,"level":"INFO","msg":"%d","event":%q,"task":%q}`+"\n", night.Add(time.Duration(n)*time.Hour).Format(time.RFC3339Nano), n, event, id)
	}
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(logs.Older, "cut off\n"+line(1, "a", "x")+line(2, "b", "y"))
	write(logs.Current, line(3, "a", "y")+strings.Repeat("z", 3*maxLine)+"\n"+line(4, "c", "x")+`{"time":"2026`)
	for name, c := range map[string]struct {
		q    LogQuery
		want string
	}{
		"everything, oldest first": {LogQuery{}, "1 2 3 4"},
		"since":                    {LogQuery{Since: night.Add(3 * time.Hour)}, "3 4"},
		"one event":                {LogQuery{Events: []string{"a"}}, "1 3"},
		"two events":               {LogQuery{Events: []string{"a", "c"}}, "1 3 4"},
		"one task":                 {LogQuery{Task: "x"}, "1 4"},
		"a task's event":           {LogQuery{Task: "x", Events: []string{"c"}}, "4"},
	} {
		if got := read(c.q); strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
	if got := begin(); !got.Equal(night.Add(time.Hour)) {
		t.Errorf("the log begins %v", got)
	}
	if err := errors.Join(os.Remove(logs.Older), os.Link(logs.Current, logs.Older)); err != nil {
		t.Fatal(err)
	}
	if got := read(LogQuery{}); !slices.Equal(got, []string{"3", "4"}) {
		t.Errorf("both names lead to one file: %v", got)
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	if got := h.quantile(0.5); got != 0 {
		t.Errorf("of nothing: %d", got)
	}
	for n := 1; n <= 1000; n++ {
		h.add(float64(n))
	}
	for q, want := range map[float64]int{0.01: 10, 0.05: 50, 0.5: 500, 0.9: 900, 0.99: 990, 1: 1000} {
		if got := h.quantile(q); got < want || float64(got) > float64(want)*step+1 {
			t.Errorf("the share %v is %d s, want %d", q, got, want)
		}
	}
	for n := range 1_000_000 {
		h.add(float64(n) * 3)
	}
	h.add(-1)
	h.add(1e300)
	if len(h.buckets) > 800 {
		t.Errorf("%d buckets", len(h.buckets))
	}
}

func TestSince(t *testing.T) {
	for text, want := range map[string]time.Time{
		"24h": night.Add(-24 * time.Hour), "7d": night.AddDate(0, 0, -7), "2026-03-01": time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		"2026-03-01T05:00:00+01:00": time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC),
	} {
		if got, err := parseSince(text, night); err != nil || !got.Equal(want) {
			t.Errorf("%s is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0d", "-1h", "99999d", "yesterday", "2026-13-01"} {
		if _, err := parseSince(text, night); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
