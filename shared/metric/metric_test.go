package metric_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/preset/nanobanana-functions/shared/metric"
	"github.com/preset/nanobanana-functions/shared/task"
)

// logged returns what log writes through a Handler.
func logged(log func(*slog.Logger)) string {
	var b bytes.Buffer
	log(slog.New(metric.NewHandler(slog.NewJSONHandler(&b, nil), "nanobanana/test")))
	return b.String()
}

// schema returns the schema of lines with metrics.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile("testdata/emf.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// check returns an error unless a line is a valid document of the format: by the schema,
// and by what a schema cannot say of the members that it refers to.
func check(r *jsonschema.Schema, text string) error {
	var line map[string]any
	if err := json.Unmarshal([]byte(text), &line); err != nil {
		return err
	}
	if err := r.Validate(line); err != nil {
		return err
	}
	var doc struct {
		AWS struct {
			CloudWatchMetrics []struct {
				Dimensions [][]string
				Metrics    []struct{ Name string }
			}
		} `json:"_aws"`
	}
	err := json.Unmarshal([]byte(text), &doc)
	for _, d := range doc.AWS.CloudWatchMetrics {
		for _, m := range d.Metrics {
			if _, ok := line[m.Name].(float64); !ok {
				err = errors.Join(err, fmt.Errorf("%s is no number", m.Name))
			}
		}
		for _, set := range d.Dimensions {
			for _, name := range set {
				if v, ok := line[name].(string); !ok || v == "" || len(v) > 1024 {
					err = errors.Join(err, fmt.Errorf("the dimension %s is no text", name))
				}
			}
		}
	}
	return err
}

// Each event of the table, with all of its fields, makes a valid line with all of its
// metrics; each line without an event of the table is left as it is.
func TestHandler(t *testing.T) {
	r := schema(t)
	for event, metrics := range metric.Table {
		args, names := []any{"event", event}, map[string]bool{}
		field := func(name string, value any) {
			if !names[name] {
				args, names[name] = append(args, name, value), true
			}
		}
		for _, m := range metrics {
			if m.Dimension != "" {
				field(m.Dimension, metric.Values[m.Dimension][0])
			}
			if m.Field != "" {
				field(m.Field, 3)
			}
		}
		for _, m := range metrics {
			line := args
			for name, text := range m.When {
				line = append(slices.Clip(line), name, text)
			}
			got := logged(func(l *slog.Logger) { l.Info("x", line...) })
			if err := check(r, got); err != nil || !strings.Contains(got, `"Name":"`+m.Name+`"`) {
				t.Errorf("%s: %v\n%s", event, err, got)
			}
		}
	}
	if got := logged(func(l *slog.Logger) { l.Info("task_ended", "event", "others", "bad", true) }); strings.Contains(got, "_aws") {
		t.Errorf("a line of no event: %s", got)
	}
}

func TestValues(t *testing.T) {
	type code string // a word with a type of its own
	for name, test := range map[string]struct {
		level slog.Level
		args  []any
		want  string
	}{
		"a bad end": {slog.LevelError, []any{"event", "task_ended", "bad", true, "model", "nano-banana", "code", code("timed_out"), "seconds", 7.5, "status", "failed"},
			"Errors=1 TasksEndedBadly=1 TasksEnded{model=nano-banana}=1 TasksFailed{code=timed_out}=1"},
		"a success": {slog.LevelInfo, []any{"event", "task_ended", "bad", false, "model", "nano-banana", "code", "", "seconds", 7.5, "status", code("succeeded")},
			"SecondsToPicture=7.5 TasksEndedBadly=0 TasksEnded{model=nano-banana}=1"},
		"texts that no dimension has": {slog.LevelInfo, []any{"event", "task_ended", "bad", true, "model", "ada@example.com", "code", "ada"},
			"TasksEndedBadly=1"},
		"an attempt that was answered": {slog.LevelInfo, []any{"event", "transition", "from", "submitting", "to", "generating"}, "Unconfirmed=0"},
		"an attempt that was not":      {slog.LevelInfo, []any{"event", "transition", "from", "submitting", "to", "unconfirmed"}, "Unconfirmed=1"},
		"another change":               {slog.LevelInfo, []any{"event", "transition", "from", "waiting", "to", "submitting"}, ""},
		"a check without a budget":     {slog.LevelInfo, []any{"event", "credits_checked", "balance", 12.5, "spentHour", 1, "spentToday", 3, "budget", 0}, "Balance=12.5 SpentHour=1"},
		"a check with one":             {slog.LevelInfo, []any{"event", "credits_low", "balance", 12.5, "spentHour", 1.0, "budgetPercent", 80, "hourPercent", 10}, "Balance=12.5 BudgetUsed=80 BudgetUsedInHour=10 SpentHour=1"},
		"an error without an event":    {slog.LevelError, []any{"task", "t"}, "Errors=1"},
		"a text for a number":          {slog.LevelInfo, []any{"event", "swept", "done", "many", "waiting", 2}, "TasksWaiting=2"},
	} {
		t.Run(name, func(t *testing.T) {
			got := logged(func(l *slog.Logger) { l.Log(t.Context(), test.level, "x", test.args...) })
			if said := pointsOf(t, got); said != test.want {
				t.Errorf("%s, want %s:\n%s", said, test.want, got)
			}
			if test.want != "" {
				if err := check(schema(t), got); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// pointsOf returns what a line says to CloudWatch, in order.
func pointsOf(t *testing.T, text string) string {
	t.Helper()
	var line map[string]any
	var doc struct {
		Time time.Time
		AWS  struct {
			Timestamp         int64
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []struct{ Name string }
			}
		} `json:"_aws"`
	}
	if err := errors.Join(json.Unmarshal([]byte(text), &line), json.Unmarshal([]byte(text), &doc)); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, d := range doc.AWS.CloudWatchMetrics {
		if d.Namespace != "nanobanana/test" || doc.AWS.Timestamp != doc.Time.UnixMilli() {
			t.Errorf("namespace %s, at %d, want %d", d.Namespace, doc.AWS.Timestamp, doc.Time.UnixMilli())
		}
		for _, set := range d.Dimensions {
			by := ""
			for _, name := range set {
				by += fmt.Sprintf("{%s=%v}", name, line[name])
			}
			for _, m := range d.Metrics {
				all = append(all, fmt.Sprintf("%s%s=%v", m.Name, by, line[m.Name]))
			}
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// The dimensions' values are those of package task, no metric occurs twice in a line, and
// no name is that of a field.
func TestTable(t *testing.T) {
	var models []string
	for _, m := range task.Models() {
		models = append(models, m.ID)
	}
	slices.Sort(models)
	if got := metric.Values["model"]; !slices.Equal(got, models) {
		t.Errorf("models %q, want %q", got, models)
	}
	// The codes with which a task can end and its end is logged.
	codes := []task.Code{
		task.CodeContentPolicy, task.CodeGenerationFailed, task.CodeImageUnavailable, task.CodeInputImageUnusable, task.CodeInsufficientCredits,
		task.CodeOutcomeUnknown, task.CodePaused, task.CodeProviderRejected, task.CodeProviderUnauthorized, task.CodeProviderUnavailable,
		task.CodeRateLimited, task.CodeTimedOut,
	}
	if got := fmt.Sprint(metric.Values["code"]); got != fmt.Sprint(codes) {
		t.Errorf("codes %s, want %s", got, codes)
	}
	for event, metrics := range metric.Table {
		seen := map[string]bool{metric.Errors.Name: true}
		for _, m := range metrics {
			if seen[m.Name] || m.Name == "" || m.Name[0] < 'A' || m.Name[0] > 'Z' || m.Dimension != "" && metric.Values[m.Dimension] == nil || m.Is != "" && m.Field == "" {
				t.Errorf("%s: %+v", event, m)
			}
			seen[m.Name] = true
		}
	}
	for name, values := range metric.Values {
		if strings.Contains(strings.ToLower(name), "owner") || len(values) == 0 {
			t.Errorf("the dimension %s", name)
		}
	}
}

func TestSlogsOwnTest(t *testing.T) {
	var b bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		b.Reset()
		return metric.NewHandler(slog.NewJSONHandler(&b, nil), "x")
	}, func(t *testing.T) map[string]any {
		line := map[string]any{}
		if err := json.Unmarshal(b.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		return line
	})
	if h := slog.NewJSONHandler(&b, nil); metric.NewHandler(h, "") != slog.Handler(h) {
		t.Error("without a namespace there is a handler of ours")
	}
}

// A logger with attributes of its own counts them; one with a group does not count.
func TestWith(t *testing.T) {
	got := logged(func(l *slog.Logger) { l.With("event", "swept", "done", 4).Error("x", "waiting", 1) })
	if said := pointsOf(t, got); said != "Errors=1 TasksDue=4 TasksWaiting=1" {
		t.Errorf("%s: %s", said, got)
	}
	if got := logged(func(l *slog.Logger) { l.WithGroup("g").Error("x", "event", "swept", "due", 1) }); strings.Contains(got, "_aws") {
		t.Errorf("in a group: %s", got)
	}
}

func BenchmarkHandler(b *testing.B) {
	end := []any{"event", "task_ended", "bad", false, "task", "t", "status", "succeeded", "code", "", "model", "nano-banana", "seconds", 7.5, "attempts", 1}
	other := []any{"event", "request", "method", "GET", "route", "/v1/tasks", "status", 200}
	for name, namespace := range map[string]string{"plain": "", "with metrics": "nanobanana/test"} {
		for kind, args := range map[string][]any{"an end": end, "another line": other} {
			b.Run(kind+" "+name, func(b *testing.B) {
				var out bytes.Buffer
				l := slog.New(metric.NewHandler(slog.NewJSONHandler(&out, nil), namespace))
				for b.Loop() {
					out.Reset()
					l.Info("x", args...)
				}
			})
		}
	}
}

// atMost is how many metrics a stack with default parameters may have: CloudWatch takes
// $0.30 a month for each that has a value in every hour.
const atMost = 30

// The number of metrics is known, and docs/deploy.md says it with its price.
func TestNumberOfMetrics(t *testing.T) {
	always, perSetting := map[string]bool{metric.Errors.Name: true}, map[string]bool{}
	for _, metrics := range metric.Table {
		for _, m := range metrics {
			values := []string{""}
			if m.Dimension != "" {
				values = metric.Values[m.Dimension]
			}
			for _, v := range values {
				if name := m.Name + " " + v; m.Setting == "" {
					always[strings.TrimSpace(name)] = true
				} else {
					perSetting[name] = true
				}
			}
		}
	}
	if len(always) > atMost {
		t.Errorf("a stack with default parameters has %d metrics, at most %d are allowed: %q", len(always), atMost, slices.Sorted(maps.Keys(always)))
	}
	all := len(always) + len(perSetting)
	page, err := os.ReadFile("../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%d metrics, and with `NotifyUrl` and `DailyBudget` %d; that is at most $%.2f and $%.2f a month", len(always), all, 0.3*float64(len(always)), 0.3*float64(all))
	if !strings.Contains(string(page), want) {
		t.Errorf("docs/deploy.md does not say %q", want)
	}
}
