package tasks_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

// Each status has its text, and the fields that belong to it.
func TestStatus(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tests := map[task.Status]struct {
		change func(*task.Task) error // nil: no change
		text   string
		credit string
	}{
		task.Submitting:  {nil, "In the queue", "held"},
		task.Waiting:     {h.refused(task.CodePaused, task.RetryLater), "In the queue", "held"},
		task.Unconfirmed: {h.unanswered, "Checking with the image service; you are charged at most once", "held"},
		task.Generating:  {h.accepted, "Making your picture", "held"},
		task.Storing:     {h.made, "Saving", "held"},
		task.Succeeded:   {h.succeeded, "Done", "spent"},
		task.Failed:      {h.refused(task.CodeProviderRejected, task.RetryNever), "Not made", "returned"},
	}
	for status, test := range tests {
		t.Run(string(status), func(t *testing.T) {
			var changes []func(*task.Task) error
			if test.change != nil {
				changes = append(changes, test.change)
			}
			x := h.addRow("ada", changes...)
			got := h.get("/v1/tasks/" + x.ID)
			shown := got.task(t)
			if shown.ID != x.ID || shown.Status != status || shown.StatusText != test.text {
				t.Errorf("%s", got.Body)
			}
			if shown.Credits != (httpapi.TaskCredits{Estimate: 4, Outcome: test.credit}) {
				t.Errorf("credits: %+v", shown.Credits)
			}
			done := status == task.Succeeded || status == task.Failed
			if shown.Done != done || shown.CompletedAt.IsZero() == done || (got.Header.Get("Retry-After") == "3") == done {
				t.Errorf("done %v, completed %v, Retry-After %q", shown.Done, shown.CompletedAt, got.Header.Get("Retry-After"))
			}
			if cached := got.Header.Get("Cache-Control"); cached != "private, no-cache" {
				t.Errorf("Cache-Control: %s", cached)
			}
			if (len(shown.Images) == 1) != (status == task.Succeeded) || (shown.Error != nil) != (status == task.Failed) {
				t.Errorf("images %v, error %v", shown.Images, shown.Error)
			}
		})
	}
}

// A failed task shows why, what to do, and whether the same request may be
// tried again.
func TestFailure(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	retryable := map[task.Code]bool{
		task.CodeContentPolicy: false, task.CodeInputImageUnusable: false, task.CodeInsufficientCredits: false,
		task.CodeRateLimited: true, task.CodePaused: true, task.CodeProviderUnavailable: true,
		task.CodeProviderUnauthorized: false, task.CodeProviderRejected: false, task.CodeGenerationFailed: true,
		task.CodeOutcomeUnknown: false, task.CodeTimedOut: true, task.CodeImageUnavailable: true, task.CodeCanceled: false,
	}
	for code, again := range retryable {
		t.Run(string(code), func(t *testing.T) {
			x := h.addRow("ada", h.refused(code, task.RetryNever))
			shown := h.get("/v1/tasks/" + x.ID).task(t)
			explained := httpapi.Explain(code)
			if want := (httpapi.TaskFailure{Code: code, Message: explained.Title, Hint: explained.Hint, Retryable: again}); shown.Error == nil || *shown.Error != want {
				t.Errorf("error: %+v, want %+v", shown.Error, want)
			}
			outcome := "returned"
			if code == task.CodeContentPolicy {
				outcome = "spent"
			}
			if shown.Credits.Outcome != outcome {
				t.Errorf("the credits are %s, want %s", shown.Credits.Outcome, outcome)
			}
		})
	}
}

// The whole request is shown, including the whole prompt, and the pictures with
// our own links.
func TestShowsRequest(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	prompt := strings.Repeat("é", 5000)
	x := h.addRow("ada", func(x *task.Task) error {
		x.Prompt, x.AspectRatio, x.Watermark, x.NumImages = prompt, "16:9", "Preset", 2
		x.ImageURLs, x.Parent = []string{"task:" + x.ID + "/1", "https://example.com/a.png"}, x.ID
		x.Target, x.Metadata = &task.Target{Kind: "moodboard", ID: "42"}, map[string]string{"shot": "cover"}
		return nil
	}, h.made, func(x *task.Task) error {
		x.URLs = append(x.URLs, resultURL+"?2")
		return x.ApplyRecord(h.Rules, h.Now(), task.Claim{}, task.Record{})
	})
	shown := h.get("/v1/tasks/" + x.ID).task(t)
	if shown.Prompt != prompt || shown.AspectRatio != "16:9" || shown.Watermark != "Preset" || shown.NumImages != 2 || shown.Model != task.DefaultModel ||
		len(shown.ImageURLs) != 2 || shown.Parent != x.ID || *shown.Target != *x.Target || shown.Metadata["shot"] != "cover" || !shown.CreatedAt.Equal(x.CreatedAt) {
		t.Errorf("%+v", shown)
	}
	one := h.get("/v1/tasks/" + h.addRow("ada", h.succeeded, func(x *task.Task) error { x.Missing = 1; return nil }).ID).task(t)
	ours := h.Settings.PublicURL + "/v1/images/" + one.ID + "/k."
	if image := one.Images[0]; one.Missing != 1 || !strings.HasPrefix(image.URL, ours) || image.Width != 32 || image.Height != 24 {
		t.Errorf("%+v", one)
	}
}

// A picture without a thumbnail and a damaged one are shown as the contract
// says, alone and in lists.
func TestImages(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for name, change := range map[string]func(*task.Image){
		"without a thumbnail":             func(i *task.Image) { i.Thumbnail = "" },
		"damaged":                         func(i *task.Image) { i.Damaged = true },
		"damaged and without a thumbnail": func(i *task.Image) { i.Thumbnail, i.Damaged = "", true },
	} {
		t.Run(name, func(t *testing.T) {
			x := h.addRow("ada", h.succeeded, func(x *task.Task) error { change(&x.Images[0]); return nil })
			one := h.get("/v1/tasks/" + x.ID).task(t)
			image, want := one.Images[0], x.Images[0]
			if (image.ThumbnailURL == "") != (want.Thumbnail == "") || image.Damaged != want.Damaged || image.URL == "" {
				t.Errorf("%+v of %+v", image, want)
			}
			if listed := h.get("/v1/tasks?ids=" + x.ID); listed.Status != http.StatusOK || strings.Contains(listed.Body, `"damaged":true`) != want.Damaged {
				t.Errorf("%d %s", listed.Status, listed.Body)
			}
		})
	}
}

// The answers equal the contract's examples.
func TestExamples(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for name, change := range map[string]func(*task.Task) error{
		"runningTask": h.accepted, "succeededTask": h.succeeded, "failedTask": h.refused(task.CodeContentPolicy, task.RetryNever),
	} {
		shown := h.get("/v1/tasks/" + h.addRow("ada", change).ID).task(t)
		var want httpapi.Task
		if err := json.Unmarshal(h.contract.Example(t, name), &want); err != nil {
			t.Fatal(err)
		}
		if shown.Status != want.Status || shown.StatusText != want.StatusText || shown.Done != want.Done ||
			!reflect.DeepEqual(shown.Error, want.Error) || shown.Credits.Outcome != want.Credits.Outcome {
			t.Errorf("%s: answered %+v, the example is %+v", name, shown, want)
		}
	}
	var want, got httpapi.Problem
	err := errors.Join(
		json.Unmarshal(h.contract.Example(t, "notFound"), &want), json.Unmarshal([]byte(h.get("/v1/tasks/x").Body), &got))
	if got.RequestID = want.RequestID; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("answered %+v, the example is %+v; %v", got, want, err)
	}
}

// Every task that the caller may not see gives the same 404.
func TestNotFound(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	deleted, bobs := h.addRow("ada", h.deleted).ID, h.addRow("bob", h.succeeded).ID
	unknown := task.NewID("ada", "never")
	ids := map[string]string{
		"bob's": bobs, "deleted": deleted, "unknown": unknown, "NUL": "%00", "10 kB": strings.Repeat("a", 10<<10),
		"short": unknown[1:], "in capitals": strings.ToUpper(bobs), "a space": "%20", "a slash": bobs + "%2F", "a letter more": bobs + "a",
		"a row of another kind": "QUOTA%23ada", "dots": "%2e%2e%2f%2e%2e", "not UTF-8": "%ff",
	}
	same := h.get("/v1/tasks/"+unknown).Problem(t, 404, task.CodeNotFound)
	before := h.Rows.Total()
	for name, id := range ids {
		t.Run(name, func(t *testing.T) {
			for _, query := range []string{"", "?wait=20"} {
				got := h.get("/v1/tasks/"+id+query, "If-None-Match", "*")
				if body := got.Problem(t, 404, task.CodeNotFound); body != same {
					t.Errorf("%s\nis not\n%s", body, same)
				}
				if got.Header.Get("Etag") != "" {
					t.Errorf("%v", got.Header)
				}
			}
		})
	}
	// Three of the ids are valid and reach the store, twice each.
	if n := h.Rows.Total() - before; n != 2*3 {
		t.Errorf("%d reads of the store, want 6", n)
	}
	// The owners still see their own.
	h.token = h.identity.Token("bob")
	if got := h.get("/v1/tasks/" + bobs); got.Status != http.StatusOK {
		t.Errorf("bob's own: %d", got.Status)
	}
}

// A client that already has the answer gets 304.
func TestETag(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x := h.addRow("ada", h.accepted)
	tag := h.get("/v1/tasks/" + x.ID).Header.Get("Etag")
	tests := map[string]struct {
		has    string
		status int
	}{
		"none": {"", 200}, "the tag": {tag, 304}, "weak": {"W/" + tag, 304}, "in a list": {`"x", ` + tag + `,"y"`, 304}, "any": {"*", 304},
		"another": {`"AAAAAAAAAAAAAAAAAAAAAA"`, 200}, "without quotes": {strings.Trim(tag, `"`), 200}, "rubbish": {`,,"` + "\t", 200},
		"10 kB": {strings.Repeat(`"x",`, 2500), 200},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := h.get("/v1/tasks/"+x.ID, "If-None-Match", test.has)
			if got.Status != test.status || got.Header.Get("Etag") != tag || got.Header.Get("Retry-After") != "3" || (got.Body == "") != (test.status == 304) {
				t.Errorf("%d %v %s", got.Status, got.Header, got.Body)
			}
		})
	}
	h.change(x.ID, func(x *task.Task) error { _, _ = x.Claim(h.Rules, h.Now()); return nil })
	if now := h.get("/v1/tasks/" + x.ID).Header.Get("Etag"); now != tag {
		t.Error("an invisible change made another tag")
	}
	h.Clock.Add(time.Minute)
	h.change(x.ID, h.refused(task.CodePaused, task.RetryLater)) // changes nothing: it is generating
	h.change(x.ID, func(x *task.Task) error { x.Status = task.Storing; return nil })
	if now := h.get("/v1/tasks/" + x.ID).Header.Get("Etag"); now == tag {
		t.Error("a visible change kept the tag")
	}
}

// GET /v1/tasks/{id} takes only wait, from 1 to 20.
func TestQuery(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	id := h.addRow("ada", h.succeeded).ID
	for query, status := range map[string]int{
		"": 200, "wait=1": 200, "wait=20": 200,
		"wait=0": 400, "wait=21": 400, "wait=x": 400, "wait=": 400, "wait=1.5": 400, "wait=-1": 400, "wait=1&wait=1": 400,
		"wait=99999999999999999999": 400, "owner=bob": 400, "Wait=1": 400, "limit=1": 400, "wait=%zz": 400, "a;b": 400,
	} {
		t.Run(query, func(t *testing.T) {
			got := h.get("/v1/tasks/" + id + "?" + query)
			if status == 400 {
				got.Problem(t, 400, task.CodeInvalidRequest)
			} else if got.Status != status {
				t.Errorf("%d %s, want %d", got.Status, got.Body, status)
			}
			if strings.Contains(got.Body, "9999") || strings.Contains(got.Body, "bob") {
				t.Errorf("it repeats the query: %s", got.Body)
			}
		})
	}
}

// The copies of an edit's uploads are shown to their owner, by each way to read a task.
func TestInputs(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	target := task.Target{Kind: "moodboard", ID: "m1"}
	x := h.addRow("ada", func(x *task.Task) error {
		x.Target, x.ImageURLs = &target, []string{"https://example.com/a.png", "upload:0123456789abcdefghijklmnop"}
		if err := h.made(x); err != nil {
			return err
		}
		x.KeepInputs([]task.Input{{N: 2, File: "2-0123456789abcdef-input.jpg", Thumbnail: "2-0123456789abcdef-input-512.jpg", Width: 3, Height: 4}})
		return h.stored(x)
	})
	for _, path := range []string{"/v1/tasks/" + x.ID, "/v1/tasks?ids=" + x.ID, "/v1/tasks?target=moodboard:m1"} {
		shown := h.get(path).first(t)
		if len(shown.Inputs) != 1 || shown.Inputs[0].N != 2 || !strings.HasSuffix(shown.Inputs[0].URL, "/2-0123456789abcdef-input.jpg") {
			t.Errorf("%s: %+v", path, shown.Inputs)
		}
	}
	if other := h.get("/v1/tasks/" + h.addRow("ada", h.succeeded).ID); strings.Contains(other.Body, "inputs") {
		t.Errorf("without uploads: %s", other.Body)
	}
}
