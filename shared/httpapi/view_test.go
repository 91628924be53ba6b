package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/mcp/mcptest"
	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/task"
)

const viewKey = "a key of at least 24 bytes"

func newView(publicURL string) View {
	return View{PublicURL: publicURL, Secrets: config.NewSecrets(config.Settings{CallbackKey: viewKey, ImageKey: viewKey}.LocalSecret, time.Now, slog.New(slog.DiscardHandler))}
}

// stored returns a finished task with one picture and with all fields set that must
// not be shown.
func stored() *task.Task {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return &task.Task{
		Request: task.Request{Prompt: "a cat", Model: "nano-banana", NumImages: 2},
		ID:      "t1", Owner: "s3cret-owner", Status: task.Succeeded, Version: 7, Writer: "s3cret-writer", ProviderID: "s3cret-id",
		URLs: []string{"https://s3cret.example/"}, PublicURL: "https://own.example", Missing: 1, Estimate: 8,
		Images:    []task.Image{{N: 1, File: "1-ab.png", Thumbnail: "1-ab-512.jpg", Width: 3, Height: 4, Bytes: 5, ContentType: "image/png", SHA256: "ab", C2PA: task.Present}},
		CreatedAt: at, UpdatedAt: at, EndedAt: at,
	}
}

func TestViewShows(t *testing.T) {
	shown, err := newView("").Task(t.Context(), stored())
	if err != nil {
		t.Fatal(err)
	}
	body, err := Encode(shown)
	if err != nil {
		t.Fatal(err)
	}
	key := token.Keys{{ID: "local", Key: viewKey}}
	link := func(file string) string {
		return "https://own.example/v1/images/t1/" + key.Sign("image|t1|"+file) + "/" + file
	}
	want := `{"id":"t1","status":"succeeded","statusText":"Done","done":true,"prompt":"a cat","model":"nano-banana","numImages":2,` +
		`"images":[{"n":1,"url":"` + link("1-ab.png") + `","thumbnailUrl":"` + link("1-ab-512.jpg") + `","width":3,"height":4,"bytes":5,` +
		`"contentType":"image/png","sha256":"ab",` +
		`"provenance":{"c2pa":"present","digitalSourceType":"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"}}],"missing":1,"credits":{"estimate":8,"outcome":"spent"},` +
		`"createdAt":"2026-01-02T03:04:05Z","updatedAt":"2026-01-02T03:04:05Z","completedAt":"2026-01-02T03:04:05Z"}`
	if string(body) != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
	elsewhere, err := newView("https://set.example").Task(t.Context(), stored())
	if err != nil || !strings.HasPrefix(elsewhere.Images[0].URL, "https://set.example/v1/images/t1/") {
		t.Errorf("with a PublicURL: %+v, %v", elsewhere.Images, err)
	}
}

// A rescued task is shown with the task that it was rescued from. It costs nothing more.
func TestViewOfARescuedTask(t *testing.T) {
	x := stored()
	x.RescuedFrom, x.MadeBy, x.Attempt, x.Estimate = "t0", &task.AttemptRef{Task: "s3cret-task", Attempt: 2}, 0, 0
	shown, err := newView("").Task(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	body, err := Encode(shown)
	if err != nil {
		t.Fatal(err)
	}
	if shown.RescuedFrom != "t0" || shown.Credits != (TaskCredits{0, "spent"}) || !strings.Contains(string(body), `"rescuedFrom":"t0"`) || strings.Contains(string(body), "s3cret") {
		t.Errorf("shown as %s", body)
	}
}

// The copies of uploads are shown with lasting links, in lists too.
func TestViewInputs(t *testing.T) {
	x := stored()
	x.Inputs = []task.Input{{N: 2, File: "2-cd-input.jpg", Thumbnail: "2-cd-input-512.jpg", Width: 3, Height: 4}}
	key := token.Keys{{ID: "local", Key: viewKey}}
	link := func(file string) string {
		return "https://own.example/v1/images/t1/" + key.Sign("image|t1|"+file) + "/" + file
	}
	want := []Input{{N: 2, URL: link("2-cd-input.jpg"), ThumbnailURL: link("2-cd-input-512.jpg"), Width: 3, Height: 4}}
	for name, view := range map[string]func(context.Context, *task.Task) (Task, error){"one": newView("").Task, "list": newView("").ListItem} {
		if shown, err := view(t.Context(), x); err != nil || !reflect.DeepEqual(shown.Inputs, want) {
			t.Errorf("%s: %+v, %v; want %+v", name, shown.Inputs, err, want)
		}
	}
}

// A picture without a thumbnail has no thumbnailUrl, and a damaged one is marked.
func TestViewImages(t *testing.T) {
	x := stored()
	x.Images = append(x.Images, x.Images[0], x.Images[0])
	x.Images[1].Thumbnail, x.Images[2].Damaged = "", true
	shown, err := newView("").Task(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ thumbnail, damaged bool }{{true, false}, {false, false}, {true, true}} {
		body, err := Encode(shown.Images[i])
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(body), `"thumbnailUrl":"https://own.example/v1/images/t1/`) != want.thumbnail || strings.Contains(string(body), "thumbnailUrl") != want.thumbnail {
			t.Errorf("image %d: %s; want a thumbnail: %v", i, body, want.thumbnail)
		}
		if strings.Contains(string(body), `"damaged":true`) != want.damaged || strings.Contains(string(body), "damaged") != want.damaged {
			t.Errorf("image %d: %s; want it damaged: %v", i, body, want.damaged)
		}
	}
}

// A picture's term is the task's. One stored before manifests were looked for has no
// answer about that.
func TestViewProvenance(t *testing.T) {
	const iptc = `"digitalSourceType":"http://cv.iptc.org/newscodes/digitalsourcetype/`
	for name, tt := range map[string]struct {
		c2pa task.Presence
		made task.SourceType
		want string
	}{
		"with a manifest":     {task.Present, task.Trained, `{"c2pa":"present",` + iptc + `trainedAlgorithmicMedia"}`},
		"without":             {task.Absent, task.Composite, `{"c2pa":"absent",` + iptc + `compositeWithTrainedAlgorithmicMedia"}`},
		"of an older release": {"", "", `{` + iptc + `trainedAlgorithmicMedia"}`},
	} {
		t.Run(name, func(t *testing.T) {
			x := stored()
			x.Images[0].C2PA, x.SourceType = tt.c2pa, tt.made
			shown, err := newView("").Task(t.Context(), x)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := Encode(shown.Images[0].Provenance); err != nil || string(got) != tt.want {
				t.Errorf("got %s, %v; want %s", got, err, tt.want)
			}
		})
	}
}

// The text about an unknown outcome, for people and for Claude, changes after 5 minutes,
// unless a callback has come.
func TestViewUnconfirmed(t *testing.T) {
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const first = "Checking with the image service; you are charged at most once"
	for name, c := range map[string]struct {
		status task.Status
		since  time.Time
		after  time.Duration
		hint   *task.Hint
		late   bool
	}{
		"at once":                  {task.Unconfirmed, since, 0, nil, false},
		"before, by another clock": {task.Unconfirmed, since, -time.Second, nil, false},
		"just before":              {task.Unconfirmed, since, 5*time.Minute - 1, nil, false},
		"after five minutes":       {task.Unconfirmed, since, 5 * time.Minute, nil, true},
		"at the deadline":          {task.Unconfirmed, since, 2 * time.Hour, nil, true},
		"a callback came":          {task.Unconfirmed, since, time.Hour, &task.Hint{ProviderID: "p"}, false},
		"without a time of entry":  {task.Unconfirmed, time.Time{}, time.Hour, nil, false},
		"long generating":          {task.Generating, since, time.Hour, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			x := &task.Task{Status: c.status, Since: c.since, Hint: c.hint, CreatedAt: since}
			shown, err := View{Now: func() time.Time { return since.Add(c.after) }}.Task(t.Context(), x)
			if err != nil {
				t.Fatal(err)
			}
			if !c.late {
				if want := map[task.Status]string{task.Unconfirmed: first, task.Generating: "Making your picture"}[c.status]; shown.StatusText != want || StatusHint(shown) != "" {
					t.Errorf("the text is %q, for Claude %q", shown.StatusText, StatusHint(shown))
				}
				return
			}
			for _, words := range []string{"no sign that the image service accepted", "order again", "a new order with a new key", "may be charged in addition to this one", "If this picture still arrives, it is kept"} {
				if !strings.Contains(shown.StatusText, words) {
					t.Errorf("%q lacks %q", shown.StatusText, words)
				}
			}
			for _, words := range []string{"order again is for the user to decide", "new requestKey", "charged in addition to this one", "it is kept"} {
				if !strings.Contains(StatusHint(shown), words) {
					t.Errorf("the text for Claude is %q, without %q", StatusHint(shown), words)
				}
			}
		})
	}
	for status, all := range phases {
		if last := all[len(all)-1]; last.After != 0 || last.Claude != "" {
			t.Errorf("the first phase of %s is %+v", status, last)
		}
		for _, p := range all {
			if order := mcptest.Conduct(p.Claude); order != "" {
				t.Errorf("%s: %q %s", status, p.Claude, order)
			}
		}
	}
}

func TestViewStatuses(t *testing.T) {
	for _, c := range []struct {
		status   task.Status
		failure  task.Code
		text     string
		outcome  string
		retry    string
		retrying bool
	}{
		{task.Submitting, "", "In the queue", "held", "3", false},
		{task.Waiting, "", "In the queue", "held", "3", false},
		{task.Unconfirmed, "", "Checking with the image service; you are charged at most once", "held", "3", false},
		{task.Generating, "", "Making your picture", "held", "3", false},
		{task.Storing, "", "Saving", "held", "3", false},
		{task.Succeeded, "", "Done", "spent", "", false},
		{task.Failed, task.CodeContentPolicy, "Not made", "spent", "", false},
		{task.Failed, task.CodeTimedOut, "Not made", "returned", "", true},
		{"of-a-newer-release", "", "Working on it", "held", "3", false},
	} {
		x := &task.Task{Status: c.status, Failure: c.failure}
		shown, err := View{}.Task(t.Context(), x) // without pictures it needs no secret
		if err != nil || shown.StatusText != c.text || shown.Credits.Outcome != c.outcome || shown.Done != (c.retry == "") || RetryAfter(x) != c.retry {
			t.Errorf("%s %s: got %+v, %q, %v", c.status, c.failure, shown, RetryAfter(x), err)
		}
		if shown.Images == nil || (shown.Error != nil) != (c.failure != "") {
			t.Errorf("%s %s: got %+v", c.status, c.failure, shown)
		}
		if shown.Error != nil {
			why := Explain(c.failure)
			if want := (TaskFailure{c.failure, why.Title, why.Hint, c.retrying}); *shown.Error != want {
				t.Errorf("%s: got %+v, want %+v", c.failure, *shown.Error, want)
			}
		}
	}
	if got := RetryAfter(&task.Task{Status: task.Failed}, &task.Task{Status: task.Storing}); got != "3" {
		t.Errorf("one of two is not done: Retry-After %q", got)
	}
}

func TestViewProgress(t *testing.T) {
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	x := &task.Task{Status: task.Generating, CreatedAt: created, Request: task.Request{Model: "nano-banana-2", Resolution: "2K"}}
	v := View{Now: func() time.Time { return created.Add(7999 * time.Millisecond) }}
	want := func(progress Progress) {
		t.Helper()
		if shown, err := v.ListItem(t.Context(), x); err != nil || shown.Progress == nil || *shown.Progress != progress {
			t.Errorf("got %+v, %v; want %+v", shown.Progress, err, progress)
		}
	}
	want(Progress{ElapsedSeconds: 7, ExpectedSeconds: 40})
	v.ExpectedSeconds = func(_ context.Context, model, resolution string) int { return len(model + resolution) }
	want(Progress{ElapsedSeconds: 7, ExpectedSeconds: 15})
	x.Status = task.Failed
	if shown, err := v.Task(t.Context(), x); err != nil || shown.Progress != nil {
		t.Errorf("a finished task has progress %+v, %v", shown.Progress, err)
	}
}

func TestViewWithoutSecret(t *testing.T) {
	down := errors.New("down")
	v := View{Secrets: config.NewSecrets(func(context.Context) ([]byte, error) { return nil, down }, time.Now, slog.New(slog.DiscardHandler))}
	got, err := v.Task(t.Context(), stored())
	if e := ErrorOf(err); e.Code != task.CodeUnavailable || !errors.Is(err, down) || !reflect.DeepEqual(got, Task{}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestViewListItem(t *testing.T) {
	for given, want := range map[string]string{
		"short":                  "short",
		strings.Repeat("🍌", 300): strings.Repeat("🍌", 300),
		strings.Repeat("🍌", 301): strings.Repeat("🍌", 300),
	} {
		shown, err := View{}.ListItem(t.Context(), &task.Task{Status: task.Storing, Request: task.Request{Prompt: given}})
		if err != nil || shown.Prompt != want {
			t.Errorf("%d bytes became %d, %v", len(given), len(shown.Prompt), err)
		}
	}
}
