package submit_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/submit"
	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/auth/authtest"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// site is the function, served over HTTP, and what stands behind it.
type site struct {
	*lifecycletest.World
	t        testing.TB
	verifier *auth.Verifier
	token    string
	http     *http.Client
}

func serve(t testing.TB) *site {
	t.Helper()
	s := &site{World: lifecycletest.New(t), t: t}
	key, err := authtest.LoadOrCreateKey(filepath.Join(t.TempDir(), "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	mint, err := authtest.NewMint(key, s.Settings.PublicURL)
	if err != nil {
		t.Fatal(err)
	}
	if s.token, err = mint.Token("ada", time.Hour); err != nil {
		t.Fatal(err)
	}
	s.Site.Handle("GET "+authtest.Path, mint)
	c := s.Settings
	c.AuthIssuer, c.AuthJWKSURL = c.PublicURL, c.PublicURL+authtest.Path
	if s.verifier, err = auth.FromSettings(c, s.Secrets, http.DefaultClient); err != nil {
		t.Fatal(err)
	}
	s.Site.Handle("/v1/tasks", submit.New(submit.Function{
		Auth: s.verifier, Log: s.Log, Service: s.Service, View: httpapi.View{PublicURL: c.PublicURL, Secrets: s.Secrets},
	}))
	s.http = &http.Client{Transport: httpapitest.Load(t).Transport(t, http.DefaultTransport)}
	return s
}

// post submits a body, with headers by name and value; an empty value is none.
func (s *site) post(body string, header ...string) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.Settings.PublicURL+"/v1/tasks", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		if req.Header.Del(header[i]); header[i+1] != "" {
			req.Header[header[i]] = strings.Split(header[i+1], "\n")
		}
	}
	resp, err := s.http.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(b)
}

// nothing fails the test if anything was stored, or sent to the provider.
func (s *site) nothing() {
	s.t.Helper()
	for id, err := range s.Rows.Due(s.t.Context(), s.Now().Add(1000*time.Hour)) {
		s.t.Errorf("the row %s was stored (%v)", id, err)
	}
	if n := s.Sim.Posts(); n != 0 {
		s.t.Errorf("the provider was sent %d POSTs", n)
	}
}

// An attempt at harm that is only a strange prompt is drawn, and logged as data.
func TestStrangePrompts(t *testing.T) {
	s := serve(t)
	for name, prompt := range map[string]string{
		"fake log line": "a cat\r\n{\"level\":\"ERROR\",\"msg\":\"forged\"}",
		"markup":        `</script><script>alert(1)</script>`,
		"bidi override": "a \u202egnp.tac\u202c",
		"5,000 emoji":   strings.Repeat("🍌", 5000),
		"NUL in words":  `a \u0000 written out`,
	} {
		t.Run(name, func(t *testing.T) {
			body, err := json.Marshal(map[string]string{"prompt": prompt})
			if err != nil {
				t.Fatal(err)
			}
			s.Logged.Take()
			resp, got := s.post(string(body))
			var shown httpapi.Task
			if err := json.Unmarshal([]byte(got), &shown); err != nil || resp.StatusCode != http.StatusAccepted || shown.Prompt != prompt {
				t.Errorf("%s %.200s", resp.Status, got)
			}
			if ct := resp.Header.Get("Content-Type"); ct != "application/json" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("it is served as %s", ct)
			}
			logged := s.Logged.Take()
			if lines := strings.Count(logged, "\n"); lines != 1 || strings.Contains(logged, "forged") {
				t.Errorf("%d log lines: %s", lines, logged)
			}
		})
	}
}

// Malformed bodies are not taken for requests at all.
func TestMalformed(t *testing.T) {
	long := strings.Repeat("x", submit.MaxBody)
	tests := map[string]struct {
		body   string
		status int
		want   string // in the answer
	}{
		"empty":             {``, 400, "empty"},
		"white space":       {" \n", 400, "empty"},
		"null":              {`null`, 400, "object"},
		"list":              {`[]`, 400, "object"},
		"text":              {`"prompt"`, 400, "object"},
		"two values":        {`{"prompt":"a"} {"prompt":"b"}`, 400, "malformed_json"},
		"a value and a ]":   {`{"prompt":"a"}]`, 400, "malformed_json"},
		"byte order mark":   {"\uFEFF" + `{"prompt":"a"}`, 400, "byte_order_mark"},
		"duplicate":         {`{"prompt":"a","prompt":"b"}`, 400, "duplicate_field"},
		"duplicate inside":  {`{"prompt":"a","metadata":{"k":"1","k":"2"}}`, 400, "duplicate_field"},
		"wrong case":        {`{"PROMPT":"a"}`, 400, `"/PROMPT"`},
		"callBackUrl":       {`{"prompt":"a","callBackUrl":"https://x.example"}`, 400, "the service sets it"},
		"type":              {`{"prompt":"a","type":"TEXTTOIAMGE"}`, 400, "imageUrls makes it an edit"},
		"image_size":        {`{"prompt":"a","image_size":"1:1"}`, 400, "aspectRatio"},
		"owner":             {`{"prompt":"a","owner":"bob"}`, 400, `"/owner"`},
		"status":            {`{"prompt":"a","status":"succeeded"}`, 400, `"/status"`},
		"credits":           {`{"prompt":"a","credits":0}`, 400, `"/credits"`},
		"invalid UTF-8":     {"{\"prompt\":\"a\xff\"}", 400, "malformed_json"},
		"NUL":               {`{"prompt":"a\u0000b"}`, 400, "invalid_character"},
		"lone surrogate":    {`{"prompt":"\ud800"}`, 400, "malformed_json"},
		"deep":              {strings.Repeat("[", 200_000), 400, "object"},
		"deep inside":       {`{"metadata":` + strings.Repeat("[", 200_000), 400, "malformed_json"},
		"null field":        {`{"prompt":null}`, 400, `"/prompt"`},
		"cut off":           {`{"prompt":"a`, 400, "malformed_json"},
		"one byte too long": {`{"prompt":"` + long[:submit.MaxBody-12] + `"}`, 413, "body_too_large"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			resp, body := s.post(test.body)
			if resp.StatusCode != test.status || !strings.Contains(body, test.want) {
				t.Errorf("%s %.300s; want %d with %q", resp.Status, body, test.status, test.want)
			}
			s.nothing()
		})
	}
}

// A body of exactly the limit is read: it is its prompt that is too long.
func TestLongestBody(t *testing.T) {
	s := serve(t)
	resp, _ := s.post(`{"prompt":"` + strings.Repeat("x", submit.MaxBody-13) + `"}`)
	if resp.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("%s, want 422", resp.Status)
	}
}

// What is well formed and cannot be had is 422, and names the field.
func TestUnprocessable(t *testing.T) {
	link := func(u string) string {
		return fmt.Sprintf(`{"prompt":"a","imageUrls":["https://example.com/a.png",%q]}`, u)
	}
	tests := map[string]struct{ body, pointer string }{
		"no prompt":              {`{}`, "/prompt"},
		"empty prompt":           {`{"prompt":""}`, "/prompt"},
		"blank prompt":           {`{"prompt":" \t\n\u00a0"}`, "/prompt"},
		"zero-width prompt":      {`{"prompt":"\u200b\u200d\ufeff"}`, "/prompt"},
		"one rune over":          {fmt.Sprintf(`{"prompt":%q}`, strings.Repeat("é", 5001)), "/prompt"},
		"one rune over, 2":       {fmt.Sprintf(`{"prompt":%q,"model":"nano-banana-2"}`, strings.Repeat("é", 20001)), "/prompt"},
		"no images":              {`{"prompt":"a","numImages":0}`, "/numImages"},
		"five images":            {`{"prompt":"a","numImages":5}`, "/numImages"},
		"half an image":          {`{"prompt":"a","numImages":1.5}`, "/numImages"},
		"images as text":         {`{"prompt":"a","numImages":"2"}`, "/numImages"},
		"1e30 images":            {`{"prompt":"a","numImages":1e30}`, "/numImages"},
		"two images of 2":        {`{"prompt":"a","numImages":2,"model":"nano-banana-2"}`, "/numImages"},
		"two images of pro":      {`{"prompt":"a","numImages":2,"model":"nano-banana-pro"}`, "/numImages"},
		"prompt as list":         {`{"prompt":["a"]}`, "/prompt"},
		"unknown model":          {`{"prompt":"a","model":"nano-banana-3"}`, "/model"},
		"resolution it lacks":    {`{"prompt":"a","resolution":"2K"}`, "/resolution"},
		"unknown resolution":     {`{"prompt":"a","model":"nano-banana-pro","resolution":"8K"}`, "/resolution"},
		"watermark it lacks":     {`{"prompt":"a","model":"nano-banana-pro","watermark":"x"}`, "/watermark"},
		"unknown ratio":          {`{"prompt":"a","aspectRatio":"7:5"}`, "/aspectRatio"},
		"ratio of another model": {`{"prompt":"a","aspectRatio":"8:1"}`, "/aspectRatio"},
		"eleven images":          {`{"prompt":"a","imageUrls":[` + many(11) + `]}`, "/imageUrls"},
		"nine images for pro":    {`{"prompt":"a","model":"nano-banana-pro","imageUrls":[` + many(9) + `]}`, "/imageUrls"},
		"the same twice":         {link("https://example.com/a.png"), "/imageUrls/1"},
		"target without id":      {`{"prompt":"a","target":{"kind":"moodboard"}}`, "/target/id"},
		"target in capitals":     {`{"prompt":"a","target":{"kind":"Moodboard","id":"1"}}`, "/target/kind"},
		"target with a space":    {`{"prompt":"a","target":{"kind":"moodboard","id":"a b"}}`, "/target/id"},
		"target too long":        {fmt.Sprintf(`{"prompt":"a","target":{"kind":"moodboard","id":%q}}`, strings.Repeat("x", 129)), "/target/id"},
		"metadata key":           {`{"prompt":"a","metadata":{"Key":"v"}}`, "/metadata"},
		"metadata value":         {fmt.Sprintf(`{"prompt":"a","metadata":{"k":%q}}`, strings.Repeat("x", 501)), "/metadata/k"},
		"metadata number":        {`{"prompt":"a","metadata":{"k":1}}`, "/metadata/k"},
		"seventeen keys":         {`{"prompt":"a","metadata":{` + keys(17) + `}}`, "/metadata"},
	}
	for _, u := range []string{
		"http://example.com/a.png", "ftp://example.com/a.png", "file:///etc/passwd", "data:image/png;base64,AAAA", "javascript:alert(1)",
		"https://user:pw@example.com/a.png", "https://127.0.0.1/a.png", "https://[::1]/a.png", "https://[::ffff:127.0.0.1]/a.png",
		"https://0.0.0.0/a.png", "https://2130706433/a.png", "https://0x7f000001/a.png", "https://127.1/a.png", "https://①②⑦.⓪.⓪.①/a.png",
		"https://169.254.169.254/latest/meta-data", "https://localhost/a.png", "https://db.internal/a.png", "https://printer.local/a.png",
		"https://intranet/a.png", "https://example.com:22/a.png", `https:\\example.com\a.png`, "https://example.com/" + strings.Repeat("a", 3000),
		"//example.com/a.png", "task:", "task:../../x/1", "upload:x", "",
	} {
		tests["link "+u[:min(len(u), 40)]] = struct{ body, pointer string }{link(u), "/imageUrls/1"}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			resp, body := s.post(test.body)
			var p httpapi.Problem
			if err := json.Unmarshal([]byte(body), &p); err != nil || resp.StatusCode != 422 || p.Code != task.CodeInvalidRequest {
				t.Fatalf("%s %.300s; want 422", resp.Status, body)
			}
			if len(p.Errors) != 1 || p.Errors[0].Pointer != test.pointer || p.Errors[0].Message == "" {
				t.Errorf("errors: %+v, want one at %s", p.Errors, test.pointer)
			}
			s.nothing()
		})
	}
}

func many(n int) string {
	var links []string
	for i := range n {
		links = append(links, fmt.Sprintf(`"https://example.com/%d.png"`, i))
	}
	return strings.Join(links, ",")
}

func keys(n int) string {
	var pairs []string
	for i := range n {
		pairs = append(pairs, fmt.Sprintf(`"k%d":"v"`, i))
	}
	return strings.Join(pairs, ",")
}

// All faults of a request are reported together.
func TestFaultsTogether(t *testing.T) {
	s := serve(t)
	_, body := s.post(`{"prompt":"","numImages":9,"aspectRatio":"7:5"}`)
	for _, pointer := range []string{"/prompt", "/numImages", "/aspectRatio"} {
		if !strings.Contains(body, `"pointer":"`+pointer+`"`) {
			t.Errorf("%s is not named: %s", pointer, body)
		}
	}
}

// The limits themselves are lawful.
func TestAtTheLimits(t *testing.T) {
	for name, body := range map[string]string{
		"prompt":    fmt.Sprintf(`{"prompt":%q}`, strings.Repeat("é", 5000)),
		"prompt 2":  fmt.Sprintf(`{"prompt":%q,"model":"nano-banana-2"}`, strings.Repeat("é", 20000)),
		"images":    `{"prompt":"a","numImages":4}`,
		"1e0":       `{"prompt":"a","numImages":1}`,
		"inputs":    `{"prompt":"a","imageUrls":[` + many(10) + `]}`,
		"inputs 2":  `{"prompt":"a","model":"nano-banana-2","imageUrls":[` + many(14) + `]}`,
		"metadata":  `{"prompt":"a","metadata":{` + keys(16) + `}}`,
		"target":    fmt.Sprintf(`{"prompt":"a","target":{"kind":"showcase","id":%q}}`, strings.Repeat("x", 128)),
		"no inputs": `{"prompt":"a","imageUrls":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			if resp, body := s.post(body); resp.StatusCode != http.StatusAccepted {
				t.Errorf("%s %.300s", resp.Status, body)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	tests := map[string]struct {
		name, value string
		status      int
	}{
		"text/plain":      {"Content-Type", "text/plain", 415},
		"no type":         {"Content-Type", "", 415},
		"form":            {"Content-Type", "application/x-www-form-urlencoded", 415},
		"UTF-16":          {"Content-Type", "application/json; charset=utf-16", 415},
		"gzip":            {"Content-Encoding", "gzip", 415},
		"empty key":       {"Idempotency-Key", " ", 400},
		"long key":        {"Idempotency-Key", strings.Repeat("k", 256), 400},
		"key with spaces": {"Idempotency-Key", "a b", 400},
		"non-ASCII key":   {"Idempotency-Key", "clé", 400},
		"two keys":        {"Idempotency-Key", "a\nb", 400},
		"no token":        {"Authorization", "", 401},
		"not a token":     {"Authorization", "Bearer x", 401},
		"basic":           {"Authorization", "Basic dTpw", 401},
		"12 kB token":     {"Authorization", "Bearer " + strings.Repeat("x", 12<<10), 401},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			resp, body := s.post(`{"prompt":"a"}`, test.name, test.value)
			if resp.StatusCode != test.status {
				t.Errorf("%s %.300s, want %d", resp.Status, body, test.status)
			}
			if test.status == 401 && resp.Header.Get("Www-Authenticate") == "" {
				t.Error("no WWW-Authenticate")
			}
			s.nothing()
		})
	}
}

func TestIdempotencyKey(t *testing.T) {
	s := serve(t)
	post := func(body, key string) (string, *http.Response) {
		t.Helper()
		resp, text := s.post(body, "Idempotency-Key", key)
		var got struct{ ID string }
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("%s %s", resp.Status, text)
		}
		return got.ID, resp
	}
	first, resp := post(`{"prompt":"a","numImages":1,"aspectRatio":"1:1"}`, "k")
	if resp.StatusCode != 202 || resp.Header.Get("Location") != "/v1/tasks/"+first || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	again, resp := post(`{"aspectRatio":"1:1", "prompt":" a "}`, "k")
	if again != first || resp.Header.Get("Idempotency-Replayed") != "true" || resp.StatusCode != 202 {
		t.Errorf("replay: %s, task %s, want %s", resp.Status, again, first)
	}
	if _, resp := post(`{"prompt":"b","aspectRatio":"1:1"}`, "k"); resp.StatusCode != 422 {
		t.Errorf("another prompt: %s", resp.Status)
	}
	if other, resp := post(`{"prompt":"a"}`, "../../QUOTA#bob"); resp.StatusCode != 202 || !task.ValidID(other) {
		t.Errorf("a strange key: %s %s", resp.Status, other)
	}
	if n := s.Sim.Posts(); n != 2 {
		t.Errorf("%d POSTs, want 2", n)
	}
}

func TestOtherMethods(t *testing.T) {
	s := serve(t)
	s.http.Transport = http.DefaultTransport // the contract has no such route
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, s.Settings.PublicURL+"/v1/tasks", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 405 || resp.Header.Get("Allow") != "POST" {
		t.Errorf("%s, Allow %q", resp.Status, resp.Header.Get("Allow"))
	}
}
