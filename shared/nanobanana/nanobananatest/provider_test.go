package nanobananatest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// patience is how long a test may hang before it fails.
const patience = time.Minute

// provider is a Server and a client of it. Neither uses the product's client.
type provider struct {
	*nanobananatest.Server
	t      testing.TB
	client *http.Client
	key    string
}

func serve(t testing.TB, adjust ...func(*nanobananatest.Knobs)) *provider {
	t.Helper()
	small := func(k *nanobananatest.Knobs) { k.PictureSide = 32 }
	return attach(t, nanobananatest.NewServer(append([]func(*nanobananatest.Knobs){small}, adjust...)...))
}

func attach(t testing.TB, s *nanobananatest.Server) *provider {
	t.Cleanup(s.Close)
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       patience,
	}
	return &provider{s, t, client, nanobananatest.DefaultKey}
}

type object = map[string]any

// answer is an answer; body is nil if it is not a JSON object.
type answer struct {
	status int
	header http.Header
	raw    []byte
	body   object
}

func (a answer) code() int { code, _ := a.body["code"].(float64); return int(code) }

func (a answer) data() object { data, _ := a.body["data"].(object); return data }

func (p *provider) ask(method, url string, body []byte) answer {
	p.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, url, bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.key)
	req.Header.Set("User-Agent", "test/1")
	resp, err := p.client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if a.raw, err = io.ReadAll(resp.Body); err != nil {
		p.t.Fatal(err)
	}
	_ = json.Unmarshal(a.raw, &a.body)
	return a
}

func (p *provider) submit(endpoint string, params object) answer {
	p.t.Helper()
	body, err := json.Marshal(params)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.ask("POST", p.URL+"/api/v1/nanobanana/"+endpoint, body)
}

func (p *provider) record(id string) answer {
	p.t.Helper()
	return p.ask("GET", p.URL+"/api/v1/nanobanana/record-info?taskId="+id, nil)
}

func (p *provider) credit() answer {
	p.t.Helper()
	return p.ask("GET", p.URL+"/api/v1/common/credit", nil)
}

// nowhere is a callback address where nothing listens.
const nowhere = "http://127.0.0.1:1/callback"

// params returns the fields of a request that the endpoint accepts.
func params(endpoint string, more ...object) object {
	o := object{"prompt": "a harbour", "callBackUrl": nowhere}
	switch endpoint {
	case "generate":
		o["type"] = "TEXTTOIAMGE"
	case "generate-pro":
		o["resolution"] = "1K"
	}
	for _, fields := range more {
		for name, value := range fields {
			o[name] = value
		}
	}
	return o
}

// mustSubmit submits, expects acceptance, and returns the task id.
func (p *provider) mustSubmit(endpoint string, more ...object) string {
	p.t.Helper()
	a := p.submit(endpoint, params(endpoint, more...))
	id, _ := a.data()["taskId"].(string)
	if a.status != 200 || a.code() != 200 || id == "" {
		p.t.Fatalf("submit answered %d %s", a.status, a.raw)
	}
	return id
}

// done waits until the task is done.
func (p *provider) done(id string) (got nanobananatest.Task) {
	p.t.Helper()
	await(p.t, "the end of the task", func() bool {
		got = p.task(id)
		return got.Flag != nanobananatest.FlagRunning
	})
	return got
}

// over waits until the task is done and its last callback sent.
func (p *provider) over(id string) nanobananatest.Task {
	p.t.Helper()
	await(p.t, "the last callback", func() bool { return p.task(id).CallbacksDone })
	return p.task(id)
}

func (p *provider) task(id string) nanobananatest.Task {
	p.t.Helper()
	got, known := p.Task(id)
	if !known {
		p.t.Fatalf("task %q is unknown", id)
	}
	return got
}

// await polls until a condition is true.
func await(t testing.TB, what string, come func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !come(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// callbackServer receives callbacks. It answers with the statuses first, and then with 200.
type callbackServer struct {
	url    string
	bodies chan []byte

	mu       sync.Mutex
	statuses []int
	paths    []string
}

// visited returns the paths called so far.
func (s *callbackServer) visited() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.paths)
}

func receive(t testing.TB, statuses ...int) *callbackServer {
	s := &callbackServer{bodies: make(chan []byte, 1000), statuses: statuses}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL + "/callback"
	return s
}

func (s *callbackServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" || strings.Contains(r.UserAgent(), "Go-http-client") {
		body = nil
	}
	s.mu.Lock()
	s.paths = append(s.paths, r.URL.Path)
	status := http.StatusOK
	if len(s.statuses) > 0 {
		status, s.statuses = s.statuses[0], s.statuses[1:]
	}
	s.mu.Unlock()
	w.Header().Set("Location", "/elsewhere") // for 302
	w.WriteHeader(status)
	s.bodies <- body
}

// next waits for a callback.
func (s *callbackServer) next(t testing.TB) (raw []byte, body object) {
	t.Helper()
	select {
	case raw = <-s.bodies:
	case <-time.After(patience):
		t.Fatal("no callback came")
	}
	if err := json.Unmarshal(raw, &body); err != nil {
		t.Fatalf("callback %q: %v", raw, err)
	}
	return raw, body
}

// none fails the test if there is another callback.
func (s *callbackServer) none(t testing.TB) {
	t.Helper()
	select {
	case body := <-s.bodies:
		t.Errorf("callback %s, want none", body)
	default:
	}
}

// at returns the value in an object at a place such as data.info.
func at(body object, place string) any {
	var found any = body
	for _, key := range strings.Split(place, ".") {
		inside, _ := found.(object)
		found = inside[key]
	}
	return found
}
