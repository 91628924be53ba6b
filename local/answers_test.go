package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/local/client/clienttest"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// providerCase is how a provider answers for one task, and what must become of it.
// In the texts LINK is the URL of its picture, LINK2 of another, HOST the
// provider's host, ID the provider's id, and ADDRESS the callback URL that was sent.
type providerCase struct {
	status      int    // of the answer to the POST; 0 for 200 with the id
	contentType string // of that answer
	post        string // its body
	callback    string // the callback's body; empty for no callback
	record      string // the record's data; empty for no record
	images      int    // how many are requested; 0 for 1
	input       string // the URL of a picture to edit

	ends   task.Status // the final status; empty if the task does not end
	code   task.Code
	stored int    // how many pictures are stored
	error  string // what a line at ERROR with the task's id must contain
}

const (
	sendsLink  = `{"code":200,"data":{"taskId":"ID","info":{"resultImageUrl":"LINK"}}}`
	unusable   = `"event":"record_unusable"`
	badEnd     = `"event":"task_ended"`
	badGateway = "<html><title>502 Bad Gateway</title></html>"
	otherTask  = `{"taskId":"ffffffffffffffffffffffffffffffff","paramJson":"{\"prompt\":\"somebody else's\",\"callBackUrl\":\"https://other.example/v1/callbacks/zzzzzzzzzzzzzzzzzzzzzzzzzz/1/x\"}",`
	longToken  = "LINK?X-Amz-Security-Token=TOKEN"
)

// providerCases are all answers that we know of, also those we did not expect at
// first. See docs/decisions/reading-the-world.md.
var providerCases = map[string]providerCase{
	"a record of another task": {callback: sendsLink, record: otherTask + `"successFlag":1,"response":{"resultImageUrl":"https://HOST/strangers.png"}}`,
		ends: task.Succeeded, stored: 1, error: unusable},
	"a record of another task, and no callback": {record: otherTask + `"successFlag":1,"response":{"resultImageUrl":"https://HOST/strangers.png"}}`, error: unusable},
	"a failure record of another task":          {record: otherTask + `"successFlag":3,"errorCode":501,"errorMessage":"failed"}`, error: unusable},
	"a prompt with changed spelling": {status: 502, contentType: "text/html", post: badGateway, callback: `{"code":200,"data":{"taskId":"ID","info":{"resultImageUrl":""}}}`,
		record: `{"taskId":"ID","successFlag":1,"paramJson":"{\"prompt\":\"a respelt ? prompt\",\"callBackUrl\":\"ADDRESS\"}","response":{"resultImageUrl":"LINK"}}`,
		ends:   task.Succeeded, stored: 1},

	"a rewritten prompt": {record: `{"taskId":"ID","successFlag":1,"paramJson":"{\"prompt\":\"a much better prompt\"}","response":{"resultImageUrl":"LINK"}}`,
		ends: task.Succeeded, stored: 1},

	"no link in the record":                 {callback: sendsLink, record: `{"successFlag":1,"response":null}`, ends: task.Succeeded, stored: 1, error: unusable},
	"no link at all":                        {record: `{"successFlag":1,"response":null}`, error: unusable},
	"a link without scheme":                 {record: `{"successFlag":1,"response":{"resultImageUrl":"//HOST/pictures/ID.png"}}`, ends: task.Succeeded, stored: 1},
	"a link that is only a path":            {record: `{"successFlag":1,"response":{"resultImageUrl":"/pictures/ID.png"}}`, ends: task.Succeeded, stored: 1},
	"a link with an unescaped percent sign": {record: `{"successFlag":1,"response":{"resultImageUrl":"https://HOST/pictures/ID 100%.png"}}`, ends: task.Succeeded, stored: 1},
	"a link with a long token":              {record: `{"successFlag":1,"response":{"resultImageUrl":"` + longToken + `"}}`, ends: task.Succeeded, stored: 1},
	"links on separate lines":               {images: 2, record: `{"successFlag":1,"response":{"resultImageUrl":"LINK\nLINK2"}}`, ends: task.Succeeded, stored: 2},
	"links separated by semicolons":         {images: 2, record: `{"successFlag":1,"response":{"resultImageUrl":"LINK;LINK2"}}`, ends: task.Succeeded, stored: 2},
	"a link escaped for HTML":               {record: `{"successFlag":1,"response":{"resultImageUrl":"LINK?needs=a&amp;and=b"}}`, ends: task.Succeeded, stored: 1},
	"a link in an unknown field":            {record: `{"successFlag":1,"thumbUrl":"https://HOST/strangers.png","artworkFile":"LINK"}`, ends: task.Succeeded, stored: 1},

	"a flag that is true":               {record: `{"successFlag":true,"response":{"resultImageUrl":"LINK"}}`, ends: task.Succeeded, stored: 1},
	"a flag that is a word":             {record: `{"successFlag":"SUCCESS","response":{"resultImageUrl":"LINK"}}`, ends: task.Succeeded, stored: 1},
	"a status instead of a flag":        {record: `{"status":"SUCCESS","response":{"resultImageUrl":"LINK"}}`, ends: task.Succeeded, stored: 1},
	"a state, and a result in JSON":     {record: `{"state":"success","param":"{}","resultJson":"{\"resultUrls\":[\"LINK\"]}","failCode":"","failMsg":""}`, ends: task.Succeeded, stored: 1},
	"no state at all":                   {record: `{"response":{"resultImageUrl":"LINK"}}`, ends: task.Succeeded, stored: 1, error: unusable},
	"a flag that contradicts the state": {record: `{"successFlag":3,"state":"success","response":{"resultImageUrl":"LINK"}}`, error: unusable},
	"an input that could not be fetched": {input: "https://example.com/in.png", record: `{"state":"fail","failCode":"400","failMsg":"Image fetch failed. Check access settings or use our File Upload API instead."}`,
		ends: task.Failed, code: task.CodeInputImageUnusable},

	"safety":            refusedFor(501, "The image was filtered out by Google safety"),
	"moderated":         refusedFor(500, "Request Moderated"),
	"blocked":           refusedFor(500, "Request blocked: The generation was blocked by Google safety review."),
	"guardrails":        refusedFor(500, "The prompt may violate our guardrails around nudity"),
	"policies":          refusedFor(500, "The response is blocked, as it may violate our policies."),
	"unsafe":            refusedFor(500, "PUBLIC_ERROR_UNSAFE_GENERATION"),
	"image safety":      refusedFor(500, "finishReason IMAGE_SAFETY"),
	"an unusable input": {input: "https://example.com/in.png", record: failed(500, "Unable to process input image. Please retry or report"), ends: task.Failed, code: task.CodeInputImageUnusable},

	"a rate limit before the API":  {status: 429, contentType: "text/plain", post: "error code: 1015"},
	"a browser challenge":          {status: 403, contentType: "text/html", post: "<title>Just a moment...</title>", error: "403"},
	"a key refused before the API": {status: 401, contentType: "application/json", post: `{"error":"Invalid API key"}`, ends: task.Failed, code: task.CodeProviderUnauthorized, error: badEnd},
	"an unknown path": {status: 404, contentType: "application/json", post: `{"timestamp":"x","status":404,"error":"Not Found","path":"/api/v1/nanobanana/generate"}`,
		ends: task.Failed, code: task.CodeProviderRejected, error: "NANOBANANA_BASE_URL"},
	"refused before the API":   {status: 400, contentType: "application/json", post: `{"timestamp":"x","status":400,"error":"Bad Request"}`, ends: task.Failed, code: task.CodeProviderRejected, error: badEnd},
	"too large before the API": {status: 413, contentType: "text/html", post: "<h1>413 Request Entity Too Large</h1>", ends: task.Failed, code: task.CodeProviderRejected, error: badEnd},

	"the id null":      noID(`"null"`),
	"the id undefined": noID(`"undefined"`),
	"the id 0":         noID(`"0"`),
}

func failed(code int, text string) string {
	return fmt.Sprintf(`{"taskId":"ID","successFlag":3,"errorCode":%d,"errorMessage":%q}`, code, text)
}

func refusedFor(code int, text string) providerCase {
	return providerCase{record: failed(code, text), ends: task.Failed, code: task.CodeContentPolicy}
}

// noID is an answer whose id is not an id; a callback brings the real one.
func noID(id string) providerCase {
	return providerCase{status: 200, contentType: "application/json", post: `{"code":200,"msg":"success","data":{"taskId":` + id + `}}`, callback: sendsLink,
		record: `{"taskId":"ID","successFlag":1,"paramJson":"{\"callBackUrl\":\"ADDRESS\"}","response":{"resultImageUrl":"LINK"}}`,
		ends:   task.Succeeded, stored: 1}
}

// provider answers as providerCases say, over TLS.
type provider struct {
	*httptest.Server
	t     *testing.T
	mu    sync.Mutex
	sent  map[string]string // callback URLs, by id
	posts map[string]int    // how many POSTs came, by id
	names []string          // of the cases, sorted; a task's id contains the index of its case
	calls sync.WaitGroup
}

func startProvider(t *testing.T) *provider {
	p := &provider{t: t, sent: map[string]string{}, posts: map[string]int{}}
	for name := range providerCases {
		p.names = append(p.names, name)
	}
	slices.Sort(p.names)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/nanobanana/generate", p.generate)
	mux.HandleFunc("GET /api/v1/nanobanana/record-info", p.record)
	mux.HandleFunc("GET /api/v1/common/credit", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"code":200,"msg":"success","data":100000}`)
	})
	mux.HandleFunc("GET /pictures/{name}", func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.RawQuery, "needs=a") && r.FormValue("and") != "b" {
			http.Error(w, "the signature does not match", http.StatusForbidden)
			return
		}
		_, _ = w.Write(pictureOf(r.PathValue("name")))
	})
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(func() { p.calls.Wait(); p.Close() })
	return p
}

// pictureOf returns a picture that differs for each name.
func pictureOf(name string) []byte {
	img := image.NewGray(image.Rect(0, 0, 64, 16))
	copy(img.Pix, name)
	var b bytes.Buffer
	_ = png.Encode(&b, img)
	return b.Bytes()
}

func (p *provider) id(name string) string {
	return fmt.Sprintf("order-%d", slices.Index(p.names, name))
}

// caseOf returns the case of a provider's id.
func (p *provider) caseOf(id string) providerCase {
	var n int
	if _, err := fmt.Sscanf(id, "order-%d", &n); err != nil || n >= len(p.names) {
		return providerCase{}
	}
	return providerCases[p.names[n]]
}

// fill replaces the words in capitals in a text.
func (p *provider) fill(text, id string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	link := p.URL + "/pictures/" + id
	text = strings.ReplaceAll(strings.ReplaceAll(text, "LINK2", link+"-2.png"), "LINK", link+".png")
	return strings.NewReplacer("HOST", strings.TrimPrefix(p.URL, "https://"), "TOKEN", strings.Repeat("A", 2300), "ADDRESS", p.sent[id], "ID", id).Replace(text)
}

func (p *provider) generate(w http.ResponseWriter, r *http.Request) {
	var sent struct{ Prompt, CallBackURL string }
	if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
		p.t.Error(err)
	}
	name := strings.TrimSuffix(sent.Prompt, " 🚲 prompt")
	id, o := p.id(name), providerCases[name]
	p.mu.Lock()
	p.sent[id] = sent.CallBackURL
	p.posts[id]++
	p.mu.Unlock()
	if o.callback != "" {
		body := p.fill(o.callback, id)
		p.calls.Go(func() {
			resp, err := http.Post(sent.CallBackURL, "application/json", strings.NewReader(body))
			if err == nil {
				_ = resp.Body.Close()
			}
		})
	}
	if o.status == 0 {
		fmt.Fprintf(w, `{"code":200,"msg":"success","data":{"taskId":%q}}`, id)
		return
	}
	w.Header().Set("Content-Type", o.contentType)
	w.WriteHeader(o.status)
	fmt.Fprint(w, o.post)
}

func (p *provider) record(w http.ResponseWriter, r *http.Request) {
	id := r.FormValue("taskId")
	data := p.caseOf(id).record
	if data == "" {
		fmt.Fprint(w, `{"code":404,"msg":"not found"}`)
		return
	}
	fmt.Fprintf(w, `{"code":200,"msg":"success","data":%s}`, p.fill(data, id))
}

// errorLines returns the log's lines at ERROR that contain a task's id.
func errorLines(log *lifecycletest.Log, id string) (all []string) {
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, `"level":"ERROR"`) && strings.Contains(line, id) {
			all = append(all, line)
		}
	}
	return all
}

// Whatever the provider answers, each picture that can be fetched is stored, and
// each that cannot is an error in the log.
func TestProviderAnswers(t *testing.T) {
	p := startProvider(t)
	authority := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	data, addr, log := t.TempDir(), clienttest.FreeAddress(t), &lifecycletest.Log{}
	cmd := exec.Command(build(t), "-addr", addr, "-data", data)
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+authority, "NANOBANANA_BASE_URL="+p.URL, "NANOBANANA_API_KEY=k",
		"RESULT_HOSTS="+strings.TrimPrefix(p.URL, "https://"), "SWEEP_EVERY=100ms", "POLL_EVERY=100ms", "UNREADABLE_AFTER=1s")
	cmd.Stdout, cmd.Stderr = io.Discard, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	ada := user(t, "http://"+addr, data)
	ada.AwaitServer(t)
	tasks := map[string]string{}
	for _, name := range p.names {
		o := providerCases[name]
		order := map[string]any{"prompt": name + " 🚲 prompt", "numImages": max(o.images, 1)}
		if o.input != "" {
			order["imageUrls"] = []string{o.input}
		}
		tasks[name] = ada.Submit(t, order, p.id(name)).ID
	}
	end := time.Now().Add(2 * time.Minute) // for all cases together: they run in parallel
	for _, name := range p.names {
		t.Run(name, func(t *testing.T) { p.expect(t, ada, tasks[name], name, log, end) })
	}
}

// expect waits until a task has become what its case says, and checks its pictures.
func (p *provider) expect(t *testing.T, ada clienttest.User, id, name string, log *lifecycletest.Log, end time.Time) {
	o := providerCases[name]
	var got httpapi.Task
	var missing string
	for first := true; first || time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		first = false
		var err error
		if got, err = ada.Call(t.Context(), http.MethodGet, "/v1/tasks/"+id, nil, ""); err != nil {
			t.Fatal(err)
		}
		if got.Done && (got.Status != o.ends || got.Error != nil && got.Error.Code != o.code) {
			t.Fatalf("the task is %s %+v, want %s %s", got.Status, got.Error, o.ends, o.code)
		}
		missing = ""
		if !slices.ContainsFunc(errorLines(log, id), func(line string) bool { return o.error != "" && strings.Contains(line, o.error) }) && o.error != "" {
			missing = "an ERROR with " + o.error
		}
		if missing == "" && got.Done == (o.ends != "") {
			break
		}
	}
	if missing != "" || got.Done != (o.ends != "") {
		t.Fatalf("the task is %s, and the log lacks %q: %q", got.Status, missing, errorLines(log, id))
	}
	if len(got.Images) != o.stored {
		t.Errorf("%d pictures are stored, want %d", len(got.Images), o.stored)
	}
	for _, picture := range got.Images {
		b, err := clienttest.Visitor.Get(t.Context(), picture.URL)
		own := bytes.Equal(b, pictureOf(p.id(name)+".png")) || bytes.Equal(b, pictureOf(p.id(name)+"-2.png")) || bytes.Equal(b, pictureOf(p.id(name)+" 100%.png"))
		if err != nil || !own {
			t.Errorf("picture %d is not this task's, %v", picture.N, err)
		}
	}
	if o.error == "" {
		if lines := errorLines(log, id); lines != nil {
			t.Errorf("the log has errors: %q", lines)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.posts[p.id(name)]; n != 1 && o.ends != "" {
		t.Errorf("%d POSTs, want 1", n)
	}
}
