package mcp_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	pixels "image"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/mcp"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// watched is what the page gets.
type watched struct {
	Picture     picture
	PollSeconds int
	Failure     *struct {
		Message, Hint string
		Retryable     bool
	}
	Previews []struct {
		N   int
		URL string
	}
	Offers []struct {
		Name      string
		Credits   float64
		MaxPrompt int
		Arguments map[string]any
	}
	Targets []struct {
		Kind, ID string
		Own      bool
	}
}

func (h *harness) watch(id string) (w watched) {
	h.t.Helper()
	h.call("watch_image", args("taskId", id)).decode(&w)
	return w
}

// sizes returns the longer sides of the previews.
func (w watched) sizes(t testing.TB) (sides []int) {
	t.Helper()
	for i, p := range w.Previews {
		b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(p.URL, "data:image/jpeg;base64,"))
		c, broken := jpeg.DecodeConfig(bytes.NewReader(b))
		if err != nil || broken != nil || p.N != i+1 || !bytes.Contains(b, []byte(task.Trained.URI())) {
			t.Fatalf("preview %d: %v, %v, or not marked", p.N, err, broken)
		}
		sides = append(sides, max(c.Width, c.Height))
	}
	return sides
}

// made orders a picture and waits until it is stored.
func (h *harness) made(r task.Request) *task.Task {
	h.t.Helper()
	n := len(h.Sim.Tasks())
	x, _, err := h.Submit(h.t.Context(), lifecycle.Order{Owner: "ada", Request: r})
	if err != nil {
		h.t.Fatal(err)
	}
	h.Generated(h.t, n)
	h.Clock.Add(2 * time.Minute)
	if _, err := h.Sweep(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	if err := h.Ingester.Ingest(h.t.Context(), x.ID); err != nil {
		h.t.Fatal(err)
	}
	return x
}

func TestWatchImage(t *testing.T) {
	h := newHarness(t)
	t.Run("a running one says when to look again", func(t *testing.T) {
		h := h.with(t)
		w := h.watch(h.Submitted(t, "ada", 1).ID)
		if w.Picture.Done || w.PollSeconds < 1 || len(w.Previews)+len(w.Offers)+len(w.Targets) != 0 {
			t.Errorf("the page gets %+v", w)
		}
	})
	t.Run("a finished one comes with all that the page shows", func(t *testing.T) {
		h := h.with(t)
		x := h.made(task.Request{Prompt: "a fox", NumImages: 4, AspectRatio: "16:9", Target: &task.Target{Kind: "moodboard", ID: "m1"}})
		w := h.watch(x.ID)
		if !w.Picture.Done || w.PollSeconds != 0 || w.Failure != nil || len(w.Picture.Images) != 4 || !slices.Equal(w.sizes(t), []int{32, 32, 32, 32}) {
			t.Errorf("the page gets %+v", w)
		}
		if len(w.Targets) != 1 || w.Targets[0].ID != "m1" || !w.Targets[0].Own {
			t.Errorf("the targets are %+v", w.Targets)
		}
		h.made(task.Request{Prompt: "a hat", NumImages: 1, Target: &task.Target{Kind: "showcase", ID: "s1"}})
		if w = h.watch(x.ID); len(w.Targets) != 2 || w.Targets[1].Kind != "showcase" || w.Targets[1].Own {
			t.Errorf("then the targets are %+v", w.Targets)
		}
	})
	t.Run("a failed one says in words for people why", func(t *testing.T) {
		h := h.with(t)
		h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Outcome = nanobananatest.Outcome{ErrorCode: 400} })
		n := len(h.Sim.Tasks())
		id := h.Submitted(t, "ada", 1).ID
		h.Generated(t, n)
		h.Clock.Add(2 * time.Minute)
		if _, err := h.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := h.call("watch_image", args("taskId", id))
		w := read[watched](t, got.StructuredContent)
		x := httpapi.Explain(task.CodeContentPolicy)
		if !got.IsError || w.Failure == nil || w.Failure.Message != x.Title || w.Failure.Hint != x.Hint || w.Failure.Retryable != x.Retryable || len(w.Offers) != 0 {
			t.Errorf("%v: the page gets %+v", got.IsError, w)
		}
	})
	t.Run("without thumbnails and list the picture still comes", func(t *testing.T) {
		h := newHarness(t)
		id := h.Succeeded(t, "ada").ID
		api := noThumbnails(h.api())
		h.function.API = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v1/tasks" {
				http.Error(w, "away", http.StatusServiceUnavailable)
				return
			}
			api.ServeHTTP(w, r)
		})
		if w := h.watch(id); !w.Picture.Done || len(w.Previews) != 0 || len(w.Offers) != 2 || len(w.Targets) != 0 {
			t.Errorf("the page gets %+v", w)
		}
	})
	t.Run("a refusal says when to look again", func(t *testing.T) {
		h := newHarness(t)
		h.function.API = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"code":"unavailable"}`))
		})
		if got := h.call("watch_image", args("taskId", strings.Repeat("0", 26))).Meta.Problem; got.Code != task.CodeUnavailable || got.RetryAfter != 7 {
			t.Errorf("the page gets %+v", got)
		}
	})
	for name, a := range map[string]map[string]any{
		"another owner's": args("taskId", h.Submitted(t, "bob", 1).ID),
		"a deleted one":   args("taskId", h.deletedTask("ada")),
	} {
		t.Run(name+" is not found, and the page is told so", func(t *testing.T) {
			got := h.with(t).call("watch_image", a)
			got.checkRefused(task.CodeNotFound)
			if x := httpapi.Explain(task.CodeNotFound); got.Meta.Problem.Code != task.CodeNotFound || got.Meta.Problem.Message != x.Title || got.Meta.Problem.Hint != x.Hint {
				t.Errorf("the page gets %+v", got.Meta)
			}
		})
	}
	for name, a := range map[string]any{"no taskId": args(), "one that is none": args("taskId", "x"), "more": args("taskId", strings.Repeat("0", 26), "waitSeconds", 3)} {
		t.Run(name+" is refused", func(t *testing.T) { h.with(t).call("watch_image", a).checkRefused(task.CodeInvalidRequest) })
	}
}

// What the page offers can be ordered by generate_image for the price it names.
func TestOffers(t *testing.T) {
	h := newHarness(t)
	h.function.Settings.Prices["nano-banana-2/2K"] = 11
	board := &task.Target{Kind: "moodboard", ID: "m1"}
	for _, tt := range []struct {
		request          task.Request
		edit, variations float64
		ratio            string // of the variations
	}{
		{task.Request{Prompt: "a fox", NumImages: 1}, 4, 12, ""},
		{task.Request{Prompt: "a fox", NumImages: 1, AspectRatio: "16:9", Target: board}, 4, 12, "16:9"},
		{task.Request{Prompt: "a fox", NumImages: 1, Model: "nano-banana-2", Resolution: "2K", AspectRatio: "1:8"}, 11, 12, ""},
		{task.Request{Prompt: "a fox", NumImages: 1, Model: "nano-banana-pro", Resolution: "4K", AspectRatio: "3:4"}, 24, 12, "3:4"},
	} {
		made := h.made(tt.request)
		w := h.watch(made.ID)
		if len(w.Offers) != 2 || w.Offers[0].Name != "edit" || w.Offers[1].Name != "variations" {
			t.Fatalf("%+v: the offers are %+v", tt.request, w.Offers)
		}
		for i, price := range []float64{tt.edit, tt.variations} {
			o := w.Offers[i]
			o.Arguments["requestKey"], o.Arguments["imageUrls"] = made.ID+o.Name, []string{w.Picture.Images[0].ImageURL}
			if o.MaxPrompt > 0 {
				o.Arguments["prompt"] = "at night"
			}
			var p picture
			h.call("generate_image", o.Arguments).decode(&p)
			row, err := h.Rows.Task(t.Context(), p.TaskID)
			if err != nil || row.Parent != made.ID || (row.Target == nil) != (made.Target == nil) || row.NumImages != []int{1, 3}[i] {
				t.Errorf("%s of %+v made %+v, %v", o.Name, tt.request, row, err)
			}
			if want := []string{made.AspectRatio, tt.ratio}[i]; row.AspectRatio != want {
				t.Errorf("%s of %+v has the ratio %q", o.Name, tt.request, row.AspectRatio)
			}
			if i == 0 && (row.Model != made.Model || row.Resolution != made.Resolution || o.MaxPrompt == 0) {
				t.Errorf("the edit of %+v is %+v", tt.request, row)
			}
			if o.Credits != price {
				t.Errorf("%s of %+v costs %v, want %v", o.Name, tt.request, o.Credits, price)
			}
		}
	}
}

// thumbnail answers each request with this JPEG.
type thumbnail []byte

func (j thumbnail) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(j)), Request: r}, nil
}

// grainy returns a thumbnail of which so many percent are grain, which compresses badly.
func grainy(t testing.TB, percent uint32) thumbnail {
	t.Helper()
	img := pixels.NewRGBA(pixels.Rect(0, 0, 512, 512))
	random := rand.New(rand.NewPCG(1, 2))
	for i := range img.Pix {
		img.Pix[i] = 128
		if random.Uint32N(100) < percent {
			img.Pix[i] = uint8(random.Uint32())
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The largest answer fits, which call checks, and one picture alone gets a larger
// preview.
func TestWatchedIsSmall(t *testing.T) {
	h := newHarness(t)
	board := func(i int) *task.Target {
		return &task.Target{Kind: strings.Repeat("k", 32), ID: strings.Repeat("\u2603", 126) + string(rune('A'+i/10)) + string(rune('0'+i%10))}
	}
	for i := range 50 {
		if _, _, err := h.Submit(t.Context(), lifecycle.Order{Owner: "ada", Request: task.Request{Prompt: "a fox", NumImages: 1, Target: board(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	x := h.made(task.Request{Prompt: strings.Repeat("\U0001F98A", 4000), NumImages: 4, Target: board(99)})
	one := h.Succeeded(t, "ada")
	for _, percent := range []uint32{10, 40, 90} {
		h.function.HTTP = &http.Client{Transport: grainy(t, percent)}
		w := h.watch(x.ID)
		if sides := w.sizes(t); len(sides) != 4 || len(w.Targets) < 3 || !w.Targets[0].Own {
			t.Errorf("previews of %v, %d targets", sides, len(w.Targets))
		}
		if four, alone := w.sizes(t)[0], h.watch(one.ID).sizes(t); len(alone) != 1 || alone[0] <= four {
			t.Errorf("one has a preview of %v, each of four one of %d", alone, four)
		}
	}
}

// The tools that make pictures name the page, and only the page's own tool is
// hidden from models.
func TestToolsNameThePage(t *testing.T) {
	tools, err := mcp.Definitions()
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range tools {
		got, _ := json.Marshal(tool.Meta)
		want := map[string]string{
			"generate_image": `{"ui":{"resourceUri":"ui://preset/image.html"},"ui/resourceUri":"ui://preset/image.html"}`,
			"get_image":      `{"ui":{"resourceUri":"ui://preset/image.html"},"ui/resourceUri":"ui://preset/image.html"}`,
			"watch_image":    `{"ui":{"visibility":["app"]}}`,
		}[tool.Name]
		if want == "" {
			want = "null"
		}
		if string(got) != want {
			t.Errorf("%s has %s, want %s", tool.Name, got, want)
		}
	}
}

// The page is served as hosts need it, and loads nothing.
func TestPage(t *testing.T) {
	h := newHarness(t)
	ask := func(method, params string) string {
		t.Helper()
		got := h.post(`{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":` + params + `}`)
		if got.Status != http.StatusOK {
			t.Fatalf("%s: %d %s", method, got.Status, got.Body)
		}
		return got.Body
	}
	listed := read[struct {
		Result struct {
			Resources []struct{ URI, MIMEType string }
		}
	}](t, []byte(ask("resources/list", `{}`))).Result.Resources
	if !slices.ContainsFunc(listed, func(r struct{ URI, MIMEType string }) bool {
		return r.URI == "ui://preset/image.html" && r.MIMEType == "text/html;profile=mcp-app"
	}) {
		t.Errorf("the resources are %+v", listed)
	}
	if got := ask("resources/templates/list", `{}`); !strings.Contains(got, `"resourceTemplates":[]`) {
		t.Errorf("templates: %s", got)
	}
	contents := read[struct {
		Result struct {
			Contents []struct {
				URI, MIMEType, Text string
				Meta                struct {
					UI struct {
						CSP           map[string][]string
						PrefersBorder bool
					}
				} `json:"_meta"`
			}
		}
	}](t, []byte(ask("resources/read", `{"uri":"ui://preset/image.html"}`))).Result.Contents
	if len(contents) != 1 || contents[0].MIMEType != "text/html;profile=mcp-app" || contents[0].URI != "ui://preset/image.html" {
		t.Fatalf("the page is %+v", contents)
	}
	ours := []string{h.Settings.PublicURL}
	if csp := contents[0].Meta.UI.CSP; len(csp) != 2 || !slices.Equal(csp["connectDomains"], ours) || !slices.Equal(csp["resourceDomains"], ours) {
		t.Errorf("the policy is %v", csp)
	}
	page := contents[0].Text
	if !strings.HasPrefix(page, "<!doctype html>") || strings.Count(page, "<script") != 1 || strings.Contains(page, "<link") || strings.Contains(page, "@import") {
		t.Errorf("the page is not one self-contained document: %.200s", page)
	}
}
