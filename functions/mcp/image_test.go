package mcp_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

func TestGetImage(t *testing.T) {
	h := newHarness(t)
	t.Run("a running one says what to do next", func(t *testing.T) {
		h := h.with(t)
		got := h.call("get_image", args("taskId", h.Submitted(t, "ada", 1).ID))
		var p picture
		got.decode(&p)
		if p.Done || len(p.Images) != 0 || !strings.Contains(p.NextStep, "after three waits") || !strings.Contains(got.text(), p.NextStep) {
			t.Errorf("the result is %+v, %s", p, got.text())
		}
	})
	t.Run("a finished one comes with link, size and preview", func(t *testing.T) {
		h := h.with(t)
		made := h.Succeeded(t, "ada")
		got := h.call("get_image", args("taskId", made.ID))
		var p picture
		got.decode(&p)
		if !p.Done || len(p.Images) != 1 {
			t.Fatalf("the result is %+v", p)
		}
		i := p.Images[0]
		link := got.Content[1]
		if link.Type != "resource_link" || link.URI != i.URL || link.MIMEType != "image/png" || link.Size != i.Bytes || !strings.Contains(got.text(), i.URL) {
			t.Errorf("the link is %+v, the image %+v: %s", link, i, got.text())
		}
		if i.ImageURL != "task:"+made.ID+"/1" || i.Width != 32 || i.Height != 32 {
			t.Errorf("the image is %+v", i)
		}
		if sides := got.previews(); len(sides) != 1 || sides[0] != 32 {
			t.Errorf("previews of %v", sides)
		}
		if small, err := base64.StdEncoding.DecodeString(got.Content[2].Data); err != nil || !bytes.Contains(small, []byte(task.Trained.URI())) {
			t.Errorf("the preview is not marked: %v", err)
		}
	})
	t.Run("without a readable thumbnail the picture still comes", func(t *testing.T) {
		h := newHarness(t)
		made := h.Succeeded(t, "ada")
		h.function.API = noThumbnails(h.api())
		var p picture
		got := h.call("get_image", args("taskId", made.ID))
		if got.decode(&p); !p.Done || len(got.previews()) != 0 {
			t.Errorf("the result is %+v with %d previews", p, len(got.previews()))
		}
	})
	for name, change := range map[string]func(*task.Image){
		"one without a thumbnail comes with text and link": func(i *task.Image) { i.Thumbnail = "" },
		"a damaged one says so":                            func(i *task.Image) { i.Damaged = true },
	} {
		t.Run(name, func(t *testing.T) {
			h := h.with(t)
			made, err := task.Update(t.Context(), h.Rows, h.Succeeded(t, "ada"), func(x *task.Task) error { change(&x.Images[0]); return nil })
			if err != nil {
				t.Fatal(err)
			}
			h.Logged.Take()
			got := h.call("get_image", args("taskId", made.ID))
			var p picture
			got.decode(&p)
			want := made.Images[0]
			if previews := len(got.previews()); (previews == 1) != (want.Thumbnail != "") || got.Content[1].URI != p.Images[0].URL || !strings.Contains(got.text(), p.Images[0].URL) {
				t.Errorf("%d previews, %+v", previews, got.Content)
			}
			if p.Images[0].Damaged != want.Damaged || strings.Contains(got.text(), "damaged") != want.Damaged {
				t.Errorf("%+v: %s", p.Images[0], got.text())
			}
			if logged := h.Logged.Take(); strings.Contains(logged, `"level":"WARN"`) {
				t.Errorf("logged %s", logged)
			}
		})
	}
	t.Run("a failed one is an error that says what to do", func(t *testing.T) {
		h := h.with(t)
		h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Outcome = nanobananatest.Outcome{ErrorCode: 400} })
		n := len(h.Sim.Tasks())
		x := h.Submitted(t, "ada", 1)
		h.Generated(t, n)
		h.Clock.Add(2 * time.Minute)
		if _, err := h.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := h.call("get_image", args("taskId", x.ID))
		var p picture
		if err := json.Unmarshal(got.StructuredContent, &p); err != nil {
			t.Fatal(err)
		}
		claude := httpapi.Explain(task.CodeContentPolicy).Claude
		if !got.IsError || p.Status != task.Failed || p.Error.Code != task.CodeContentPolicy || p.NextStep != claude || !strings.Contains(got.text(), claude) {
			t.Errorf("%v: %s", got.IsError, got.text())
		}
	})
	for name, a := range map[string]map[string]any{
		"another owner's": args("taskId", h.Submitted(t, "bob", 1).ID),
		"an unknown one":  args("taskId", strings.Repeat("0", 26)),
		"a deleted one":   args("taskId", h.deletedTask("ada")),
	} {
		t.Run(name+" is not found", func(t *testing.T) { h.with(t).call("get_image", a).checkRefused(task.CodeNotFound) })
	}
	for name, a := range map[string]any{
		"no taskId": args(), "a taskId that is none": args("taskId", "../../etc/passwd"), "a number": args("taskId", 7),
		"21 seconds":       args("taskId", strings.Repeat("0", 26), "waitSeconds", 21),
		"less than none":   args("taskId", strings.Repeat("0", 26), "waitSeconds", -1),
		"half a second":    args("taskId", strings.Repeat("0", 26), "waitSeconds", 0.5),
		"an unknown field": args("taskId", strings.Repeat("0", 26), "wait", 3),
	} {
		t.Run(name+" is refused", func(t *testing.T) { h.with(t).call("get_image", a).checkRefused(task.CodeInvalidRequest) })
	}
}

// After five minutes of an unknown outcome every tool that shows the task says
// that another order is for the user to decide.
func TestDoubt(t *testing.T) {
	h := newHarness(t)
	order := args("requestKey", "k1", "prompt", "a lighthouse", "target", args("kind", "moodboard", "id", "m1"))
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultCode, Code: 500}
	})
	var p picture
	h.call("generate_image", order).decode(&p)
	if p.Status != task.Unconfirmed || strings.Contains(p.NextStep, "to decide") {
		t.Fatalf("at first the result is %+v", p)
	}
	h.Clock.Add(5 * time.Minute)
	for tool, arguments := range map[string]map[string]any{
		"generate_image": order, "get_image": args("taskId", p.TaskID), "list_images": args("target", order["target"]),
	} {
		got := h.call(tool, arguments)
		if tool == "list_images" {
			var page struct{ Tasks []picture }
			got.decode(&page)
			p = page.Tasks[0]
		} else {
			got.decode(&p)
		}
		for _, words := range []string{"no sign that the image service accepted", "order again is for the user to decide", "new requestKey", "charged in addition to this one"} {
			if !strings.Contains(p.NextStep, words) || !strings.Contains(got.text(), words) {
				t.Errorf("%s: it does not say %q: %s", tool, words, got.text())
			}
		}
	}
	if h.Sim.Posts() != 1 {
		t.Errorf("%d POSTs", h.Sim.Posts())
	}
}

func noThumbnails(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/images/") {
			http.Error(w, "away", http.StatusServiceUnavailable)
			return
		}
		api.ServeHTTP(w, r)
	})
}

// deletedTask returns the id of a deleted task of owner's.
func (h *harness) deletedTask(owner string) string {
	h.t.Helper()
	x := h.Succeeded(h.t, owner)
	if _, err := task.Update(h.t.Context(), h.Rows, x, func(x *task.Task) error { return x.Delete(h.Rules, h.Now()) }); err != nil {
		h.t.Fatal(err)
	}
	return x.ID
}

// get_image waits through changes until the picture is there or the time is
// over.
func TestGetImageWaits(t *testing.T) {
	h := newHarness(t)
	queries := make(chan string, 100) // the queries of the tool's requests to the API
	api := h.function.API
	h.function.API = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		queries <- r.URL.RawQuery
		api.ServeHTTP(w, r)
	})
	x := h.Submitted(t, "ada", 1)
	var p picture
	h.call("get_image", args("taskId", x.ID, "waitSeconds", 1)).decode(&p)
	if only := <-queries; p.Done || only != "wait=1" || len(queries) > 0 {
		t.Errorf("done %v; the tool asked for %q, and %d times more", p.Done, only, len(queries))
	}

	made := h.Generated(t, 0)
	looked := make(chan bool, 1)
	h.Rows.Fail(nil, func(string, *task.Task) error {
		select {
		case looked <- true:
		default:
		}
		return nil
	})
	finished := make(chan error, 1)
	go func() {
		<-queries
		<-looked // and found the task running
		err := h.Settle(t.Context(), x.ID, 1, []byte(`{"code":200,"data":{"taskId":"`+made.ID+`","info":{"resultImageUrl":"`+made.URLs[0]+`"}}}`))
		<-queries // again, because the task is being stored now
		if err == nil {
			err = h.Ingester.Ingest(t.Context(), x.ID)
		}
		finished <- err
	}()
	h.call("get_image", args("taskId", x.ID, "waitSeconds", 20)).decode(&p)
	if err := <-finished; err != nil || p.Status != task.Succeeded {
		t.Errorf("%s, %v", p.Status, err)
	}
	for len(queries) > 0 {
		<-queries
	}

	h.function.Settings.WaitMax = 0
	h.call("get_image", args("taskId", h.Submitted(t, "ada", 1).ID, "waitSeconds", 20)).decode(&p)
	if only := <-queries; only != "" || len(queries) > 0 {
		t.Errorf("without waiting the tool asked for %q, and %d times more", only, len(queries))
	}
}

// The previews of four large pictures fit.
func TestResultsAreSmall(t *testing.T) {
	h := newHarness(t)
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.PictureSide = 520 })
	x := h.Submitted(t, "ada", 4)
	made := h.Generated(t, 0)
	h.Clock.Add(2 * time.Minute)
	if _, err := h.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Ingester.Ingest(t.Context(), x.ID); err != nil {
		t.Fatal(err)
	}
	got := h.call("get_image", args("taskId", x.ID))
	if sides := got.previews(); len(sides) != 4 || sides[0] != 256 {
		t.Errorf("previews of %v, of %d pictures", sides, len(made.URLs))
	}
}

func TestGetCredits(t *testing.T) {
	h := newHarness(t)
	var c struct {
		Balance          float64
		ImagesLeft       int
		Low, CanGenerate bool
		Reason           task.Code
		Quota            struct{ Limit, Used int }
		NextStep         string
	}
	for _, tt := range []struct {
		balance  float64
		quota    int
		left     int
		reason   task.Code
		nextStep string
	}{
		{1000, 0, 250, "", "enough"},
		{1000, 3, 2, "", "enough"}, // one is used below
		{50, 0, 12, "", "running low"},
		{3, 0, 0, task.CodeInsufficientCredits, "run out"},
		{1000, 1, 0, task.CodeQuotaExceeded, "used up"},
	} {
		h.Quota = 100 // so that it is counted
		h.Sim.SetBalance(1000)
		h.Clock.Add(time.Minute) // until the balance is read again
		owner := "o" + string(tt.reason) + tt.nextStep + string(rune('0'+tt.quota))
		if tt.quota > 0 {
			h.Submitted(t, strings.ReplaceAll(owner, " ", "-"), 1)
		}
		h.Sim.SetBalance(tt.balance)
		h.Quota = tt.quota
		h.Clock.Add(time.Minute)
		h.call("get_credits", args(), "Authorization", "Bearer "+h.identity.Token(strings.ReplaceAll(owner, " ", "-"))).decode(&c)
		if c.Balance != tt.balance || c.ImagesLeft != tt.left || c.Reason != tt.reason || c.CanGenerate != (tt.reason == "") || !strings.Contains(c.NextStep, tt.nextStep) {
			t.Errorf("%+v: the result is %+v", tt, c)
		}
		c.Reason = ""
	}
	h.call("get_credits", args("owner", "bob")).checkRefused(task.CodeInvalidRequest)
}

// fetch gets a link without signing in.
func (h *harness) fetch(method, link, body string, status int, header ...string) string {
	h.t.Helper()
	got := httpapitest.Do(h.t, httpapitest.NewRequest(h.t, method, link, strings.NewReader(body), header...))
	if got.Status == http.StatusFound {
		return h.fetch(method, got.Header.Get("Location"), body, status, header...)
	}
	if got.Status != status {
		h.t.Fatalf("%s: %d %s", method, got.Status, got.Body)
	}
	return got.Body
}

// The command puts the file where generate_image finds it.
func TestUploadImage(t *testing.T) {
	h := newHarness(t)
	var p picture
	h.call("get_image", args("taskId", h.Succeeded(t, "ada").ID)).decode(&p)
	file := h.fetch(http.MethodGet, p.Images[0].URL, "", http.StatusOK)
	var u struct{ ImageURL, Command string }
	h.call("upload_image", args("contentType", "image/png", "bytes", len(file))).decode(&u)
	command := regexp.MustCompile(`^curl --fail --upload-file FILE -H '(Content-Type): ([^']*)' -H '(If-None-Match): ([^']*)' '([^']*)'$`).FindStringSubmatch(u.Command)
	if command == nil {
		t.Fatalf("the command is %s", u.Command)
	}
	h.fetch(http.MethodPut, command[5], file, http.StatusOK, command[1:5]...)
	h.call("generate_image", args("requestKey", "edit", "prompt", "at night", "imageUrls", []string{u.ImageURL})).decode(&p)

	for name, a := range map[string]any{
		"nothing": args(), "another type": args("contentType", "image/gif", "bytes", 3), "no bytes": args("contentType", "image/png", "bytes", 0),
		"too many": args("contentType", "image/png", "bytes", 10<<20+1), "the file itself": args("contentType", "image/png", "bytes", 3, "data", "AAAA"),
	} {
		t.Run(name+" is refused", func(t *testing.T) { h.with(t).call("upload_image", a).checkRefused(task.CodeInvalidRequest) })
	}
}
