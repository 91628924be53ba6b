package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/media/dir"
	"github.com/preset/nanobanana-functions/shared/moderation"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// refused submits an order that must be refused, and returns the error.
func (h *harness) refused(change ...func(*lifecycle.Order)) *task.Error {
	h.t.Helper()
	t, _, err := h.Submit(h.t.Context(), order(change...))
	var e *task.Error
	if !errors.As(err, &e) {
		h.t.Fatalf("submit returned %v, %v; want a *task.Error", t, err)
	}
	return e
}

func TestSubmit(t *testing.T) {
	h := newHarness(t)
	got := h.submit(func(o *lifecycle.Order) { o.Request.AspectRatio = "16:9" })
	sent := h.generated(0)
	if got.Status != task.Generating || got.ProviderID != sent.ID || got.Charges[0] != task.ChargeSure {
		t.Errorf("task is %s, id %q, charges %v; the provider has %q", got.Status, got.ProviderID, got.Charges, sent.ID)
	}
	if sent.Prompt != "a lighthouse" || sent.Params["image_size"] != "16:9" || sent.Params["type"] != "TEXTTOIAMGE" {
		t.Errorf("the provider was sent %v", sent.Params)
	}
	token := sent.CallbackURL[strings.LastIndexByte(sent.CallbackURL, '/')+1:]
	want := h.Settings.PublicURL + "/v1/callbacks/" + got.ID + "/1/" + token
	if sent.CallbackURL != want || len(token) < 40 {
		t.Errorf("the callback URL is %s, want %s", sent.CallbackURL, want)
	}
}

// One idempotency key makes one task and one POST, and all callers get that task.
func TestSubmitParallelOneKey(t *testing.T) {
	h := newHarness(t)
	var mu sync.Mutex
	ids, originals := map[string]bool{}, 0
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			got, replayed, err := h.Submit(t.Context(), order(key("k")))
			if err != nil {
				t.Errorf("submit: %v", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ids[got.ID] = true
			if !replayed {
				originals++
			}
		})
	}
	wg.Wait()
	if len(ids) != 1 || originals != 1 {
		t.Errorf("%d tasks, %d of them not replays; want one", len(ids), originals)
	}
	h.posted(1)
}

func TestSubmitParallelQuota(t *testing.T) {
	h := newHarness(t)
	h.Quota = 3
	var mu sync.Mutex
	var accepted, refused int
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			_, _, err := h.Submit(t.Context(), order())
			mu.Lock()
			defer mu.Unlock()
			var e *task.Error
			switch {
			case err == nil:
				accepted++
			case errors.As(err, &e) && e.Code == task.CodeQuotaExceeded && e.RetryAfter == 12*time.Hour:
				refused++
			default:
				t.Errorf("submit: %v", err)
			}
		})
	}
	wg.Wait()
	if accepted != 3 || refused != 47 {
		t.Errorf("%d accepted and %d refused, want 3 and 47", accepted, refused)
	}
	h.posted(3)
	if used, err := h.Rows.UsedImages(t.Context(), owner, "2026-03-14"); used != 3 || err != nil {
		t.Errorf("used is %d, %v", used, err)
	}
}

// A replay never posts, whatever became of its task, and even if the order would be
// refused now.
func TestReplay(t *testing.T) {
	afterwards := map[string]func(*harness, *task.Task){
		"at once":           func(*harness, *task.Task) {},
		"no credits":        func(h *harness, _ *task.Task) { h.Sim.SetBalance(0); h.Clock.Add(time.Hour) },
		"no quota":          func(h *harness, _ *task.Task) { h.Quota = 1 },
		"succeeded":         func(h *harness, x *task.Task) { h.until(x.ID, task.Succeeded, time.Hour) },
		"secret unreadable": func(h *harness, _ *task.Task) { h.Secret.Set("", errors.New("down")); h.Clock.Add(time.Hour) },
		"provider out of credits": func(h *harness, _ *task.Task) {
			h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.OutOfCredits = true })
		},
	}
	for name, change := range afterwards {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			first := h.submit(key("k"))
			change(h, first)
			again, replayed, err := h.Submit(t.Context(), order(key("k"), func(o *lifecycle.Order) {
				o.Request.Prompt, o.Request.NumImages = "  a lighthouse ", 1 // the same after Normalize
			}))
			if err != nil || !replayed || again.ID != first.ID {
				t.Errorf("got %v, %v, %v; want a replay of %s", again, replayed, err, first.ID)
			}
			h.posted(1)
		})
	}
}

func TestReusedKey(t *testing.T) {
	h := newHarness(t)
	first := h.submit(key("k"))
	h.until(first.ID, task.Succeeded, time.Hour)
	other := func(o *lifecycle.Order) { o.Request.Prompt = "a red bicycle" }
	if e := h.refused(key("k"), other); e.Code != task.CodeIdempotencyKeyReused {
		t.Errorf("another prompt: %v", e)
	}
	if got := h.submit(key("k"), func(o *lifecycle.Order) { o.Owner = "bob" }); got.ID == first.ID {
		t.Error("another owner got ada's task")
	}
	_, err := task.Update(t.Context(), h.Rows, h.task(first.ID), func(x *task.Task) error { return x.Delete(h.Rules, h.Now()) })
	if err != nil {
		t.Fatal(err)
	}
	if e := h.refused(key("k")); e.Code != task.CodeIdempotencyKeyReused {
		t.Errorf("a deleted task: %v", e)
	}
	h.posted(2)
}

// A refused order is neither stored nor sent.
func TestGates(t *testing.T) {
	tests := map[string]struct {
		setUp func(*harness)
		order func(*lifecycle.Order)
		want  task.Code
	}{
		"balance too low":   {setUp: func(h *harness) { h.Sim.SetBalance(3) }, want: task.CodeInsufficientCredits},
		"quota used up":     {setUp: func(h *harness) { h.Quota = 1 }, order: func(o *lifecycle.Order) { o.Request.NumImages = 2 }, want: task.CodeQuotaExceeded},
		"the filter":        {setUp: func(h *harness) { h.Filter = moderation.New([]string{"lighthouse"}, nil) }, want: task.CodePromptRejected},
		"no key yet":        {setUp: func(h *harness) { h.Secret.Set("", nil) }, want: task.CodeUnavailable},
		"secret unreadable": {setUp: func(h *harness) { h.Secret.Set("", errors.New("down")) }, want: task.CodeUnavailable},
		"store unavailable": {setUp: func(h *harness) { h.Rows.Fail(always(errStore), nil) }, want: task.CodeUnavailable},
		"invalid request":   {order: func(o *lifecycle.Order) { o.Request.NumImages = 9 }, want: task.CodeInvalidRequest},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			if test.setUp != nil {
				test.setUp(h)
			}
			if test.order == nil {
				test.order = func(*lifecycle.Order) {}
			}
			for _, k := range []string{"", "k"} {
				if e := h.refused(test.order, key(k)); e.Code != test.want || e.Malformed {
					t.Errorf("key %q: got %v, want %s", k, e, test.want)
				}
			}
			h.posted(0)
			h.Rows.Fail(nil, nil)
			if _, err := h.Rows.Task(t.Context(), task.NewID(owner, "k")); !errors.Is(err, task.ErrNotFound) {
				t.Errorf("the row: %v, want none", err)
			}
		})
	}
}

func always(err error) func(string, *task.Task) error {
	return func(string, *task.Task) error { return err }
}

// A refusal by the filter costs nothing, says why, and quotes nothing. The operator's
// terms come from the settings.
func TestPromptFilter(t *testing.T) {
	h := newHarness(t)
	settings := h.Settings
	settings.RefusedTerms, settings.AllowedTerms = []string{"lighthouse"}, []string{"nude"}
	h.Filter = lifecycle.NewSubmitter(settings, h.Poster, nil).Filter
	prompt := func(text string) func(*lifecycle.Order) {
		return func(o *lifecycle.Order) { o.Request.Prompt = text }
	}
	for text, want := range map[string]moderation.Category{
		"hunter2 naked woman": moderation.SexualContent,
		"hunter2 LIGHTHOUSE":  moderation.RefusedTerm,
		"hunter2 n u d i f y": moderation.RealPersonNudity,
	} {
		e := h.refused(prompt(text))
		if e.Code != task.CodePromptRejected || len(e.Fields) != 1 || e.Fields[0] != (task.Field{Pointer: "/prompt", Code: string(want), Message: want.Text()}) {
			t.Errorf("%s: %+v", text, e)
		}
		if said := fmt.Sprint(e, e.Fields, h.Logged.Take()); strings.Contains(said, "hunter2") || strings.Contains(said, "naked") {
			t.Errorf("quoted: %s", said)
		}
	}
	if e := h.refused(func(o *lifecycle.Order) { o.Request.Prompt, o.Request.Watermark = "a ship", "Lighthouse" }); e.Code != task.CodePromptRejected || e.Fields[0].Pointer != "/watermark" {
		t.Errorf("the watermark: %+v", e)
	}
	h.posted(0)
	if got := h.Sim.CreditReads(); got != 0 {
		t.Errorf("the balance was read %d times", got)
	}
	h.submit(prompt("a nude figure, charcoal"))
}

// No POST starts with less than 22 s left: the task waits for the sweep.
func TestSubmitWithoutTime(t *testing.T) {
	h := newHarness(t)
	ctx, cancel := context.WithTimeout(t.Context(), 21*time.Second)
	defer cancel()
	got, _, err := h.Submit(ctx, order())
	if err != nil || got.Status != task.Waiting || got.Charges[0] != task.ChargeNone {
		t.Fatalf("got %+v, %v", got, err)
	}
	h.posted(0)
	h.sweep(0)
	h.expect(got.ID, task.Generating, "")
	h.posted(1)
}

// A submit is finished even if its caller hangs up.
func TestSubmitCanceled(t *testing.T) {
	h := newHarness(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got, _, err := h.Submit(ctx, order())
	if err != nil || got.Status != task.Generating {
		t.Errorf("got %+v, %v", got, err)
	}
}

// made returns a task that has succeeded.
func (h *harness) made(change ...func(*lifecycle.Order)) *task.Task {
	h.t.Helper()
	return h.until(h.submit(change...).ID, task.Succeeded, time.Hour)
}

func TestEdit(t *testing.T) {
	t.Run("at a set address", func(t *testing.T) { testEdit(t, newHarness(t)) })
	t.Run("at the address the order came to", func(t *testing.T) {
		h := newHarness(t)
		h.PublicURL = ""
		testEdit(t, h)
	})
}

func testEdit(t *testing.T, h *harness) {
	parent := h.made(func(o *lifecycle.Order) { o.PublicURL, o.Request.NumImages = h.Settings.PublicURL, 2 })
	link := h.Settings.PublicURL + "/v1/images/" + parent.ID + "/token/" + parent.Images[0].File
	edit := h.submit(func(o *lifecycle.Order) {
		o.PublicURL = h.Settings.PublicURL
		o.Request.ImageURLs = []string{"task:" + parent.ID + "/2", "https://example.com/a.png", link}
	})
	if edit.Parent != parent.ID {
		t.Errorf("parent is %q", edit.Parent)
	}
	sent := h.generated(1)
	urls, _ := sent.Params["imageUrls"].([]any)
	if len(urls) != 3 || urls[1] != "https://example.com/a.png" || sent.Params["type"] != "IMAGETOIAMGE" {
		t.Fatalf("the provider was sent %v", sent.Params)
	}
	for i, image := range map[int]task.Image{0: parent.Images[1], 2: parent.Images[0]} {
		url, _ := urls[i].(string)
		if !strings.Contains(url, media.Prefix(parent.ID)+image.File) {
			t.Errorf("input %d is %s, want a link to %s", i, url, image.File)
		}
	}
	for i, entry := range h.task(edit.ID).ImageURLs {
		if strings.Contains(entry, dir.LinkPath) {
			t.Errorf("entry %d was stored as the link %s", i, entry)
		}
	}
}

// A picture's file name has the number of the link that it came from, which may differ
// from the picture's own. Links to such a file work, too.
func TestEditByLinkOfARenumberedPicture(t *testing.T) {
	h := newHarness(t)
	parent := h.made(func(o *lifecycle.Order) { o.Request.NumImages = 2 })
	first, second := "2-0123456789abcdef.png", "3-89abcdef01234567"
	_, err := task.Update(t.Context(), h.Rows, parent, func(x *task.Task) error {
		x.Images[0].File = first
		x.Images[1].File, x.Images[1].Thumbnail = second+".png", second+"-512.jpg"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	link := h.Settings.PublicURL + "/v1/images/" + parent.ID + "/token/"
	h.submit(func(o *lifecycle.Order) {
		o.Request.ImageURLs = []string{link + first, link + second + ".png", link + second + "-512.jpg?x", "task:" + parent.ID + "/2"}
	})
	urls, _ := h.generated(1).Params["imageUrls"].([]any)
	for i, file := range []string{first, second + ".png", second + ".png", second + ".png"} {
		if len(urls) != 4 || !strings.Contains(fmt.Sprint(urls[i]), media.Prefix(parent.ID)+file) {
			t.Fatalf("input %d of %v, want %s", i, urls, file)
		}
	}
	e := h.refused(func(o *lifecycle.Order) { o.Request.ImageURLs = []string{link + "1-0123456789abcdef.png"} })
	if len(e.Fields) != 1 || e.Fields[0].Code != "not_found" {
		t.Errorf("a file that does not exist: %v", e)
	}
}

func TestEditRefused(t *testing.T) {
	h := newHarness(t)
	adas, running := h.made(), h.submit()
	bobs := h.made(func(o *lifecycle.Order) { o.Owner = "bob" })
	deleted := h.made()
	if _, err := task.Update(t.Context(), h.Rows, deleted, func(x *task.Task) error { return x.Delete(h.Rules, h.Now()) }); err != nil {
		t.Fatal(err)
	}
	posts := h.Sim.Posts()
	entries := map[string]string{
		"another owner's": "task:" + bobs.ID + "/1",
		"another's link":  h.Settings.PublicURL + "/v1/images/" + bobs.ID + "/token/" + bobs.Images[0].File,
		"unknown":         "task:" + task.NewID("x", "y") + "/1",
		"unfinished":      "task:" + running.ID + "/1",
		"deleted":         "task:" + deleted.ID + "/1",
		"picture 9":       "task:" + adas.ID + "/9",
		"picture 0":       "task:" + adas.ID + "/0",
		"upload":          "upload:nothing",
		"private address": "https://127.0.0.1/a.png",
		"plain http":      "http://example.com/a.png",
	}
	for name, entry := range entries {
		t.Run(name, func(t *testing.T) {
			h.t = t
			e := h.refused(func(o *lifecycle.Order) { o.Request.ImageURLs = []string{"https://example.com/a.png", entry} })
			if e.Code != task.CodeInvalidRequest || e.Malformed || len(e.Fields) != 1 || e.Fields[0].Pointer != "/imageUrls/1" {
				t.Errorf("got %v, want one fault at /imageUrls/1", e)
			}
		})
	}
	h.t = t
	h.posted(posts)
}
