package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/functions/deployed/lambdatest"
)

// smallMemory is the memory of all functions but ingest, ingestMemory that of ingest, in
// MB, as in template.yaml. One CPU comes with fullCPU.
const (
	smallMemory  = 256
	ingestMemory = 1024
	fullCPU      = 1769
)

const gateway = "https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com"

// event returns what API Gateway makes of a request. The names are those of the
// route's last parameters.
func event(method, route, path, body, token string, names ...string) ([]byte, error) {
	r := httptest.NewRequest(method, gateway+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Accept", "application/json, text/event-stream")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if method == http.MethodPost {
		r.Header.Set("Idempotency-Key", "3f6c2d0e-6f0b-4f0e-9a53-0c5d6f1f1b7a")
	}
	params := map[string]string{}
	parts := strings.Split(path, "/")
	for i, name := range names {
		params[name] = parts[len(parts)-len(names)+i]
	}
	text, _ := io.ReadAll(r.Body)
	return json.Marshal(lambdatest.Event(r, route, params, text))
}

// A stage makes scenes: it plays each one once.
type stage struct {
	world    *world
	binaries map[string]string
	pictures int
	scenes   map[string]*scene
	err      error // the first
}

// play adds a scene and returns its answer and the rows after it. After an error it does
// nothing.
func (s *stage) play(ctx context.Context, name string, before rows, want string, text []byte, err error) (answer string, after rows) {
	if s.err = errors.Join(s.err, err); s.err != nil {
		return "", nil
	}
	one := &scene{function: name, world: s.world, event: text, want: want, rows: before, keep: true, pictures: s.pictures, memory: smallMemory}
	s.scenes[name] = one
	m, err := one.run(ctx, s.binaries[name])
	if err != nil {
		s.err = fmt.Errorf("making the scene of %s: %w", name, err)
		return "", nil
	}
	one.keep = false
	return string(m.answer), s.world.table()
}

// scenes makes a task of so many pictures by the functions themselves, and returns a
// scene for each: with the event and the rows that it would find.
func scenes(ctx context.Context, w *world, binaries map[string]string, pictures int) (map[string]*scene, error) {
	token, err := w.mint.Token("7b0f6f0e-3f0a-4c57-9d0b-5d6f1f1b7a2c", 12*time.Hour)
	if err != nil {
		return nil, err
	}
	s := &stage{world: w, binaries: binaries, pictures: pictures, scenes: map[string]*scene{}}
	text, err := event("POST", "POST /v1/tasks", "/v1/tasks", fmt.Sprintf(`{"prompt":"A lighthouse at dusk","aspectRatio":"16:9","numImages":%d}`, pictures), token)
	_, table := s.play(ctx, "submit", rows{}, `"statusCode":202`, text, err)
	table = s.finish(ctx, table)
	if s.err != nil {
		return nil, s.err
	}
	id := slices.Collect(maps.Keys(table))[0]
	text, err = event("GET", "GET /v1/tasks/{id}", "/v1/tasks/"+id, "", token, "id")
	answer, _ := s.play(ctx, "tasks", table, `succeeded`, text, err)
	path, err := imagePath(answer)
	if err != nil {
		return nil, errors.Join(s.err, err)
	}
	text, err = event("GET", "GET /v1/images/{id}/{token}/{file}", path, "", "", "id", "token", "file")
	s.play(ctx, "images", nil, `"statusCode":302`, text, err)
	s.others(ctx, token)
	return s.scenes, s.err
}

// finish plays what follows on submit until the task's pictures are stored and Preset
// has its notice. It returns the rows after that.
func (s *stage) finish(ctx context.Context, table rows) rows {
	s.world.mu.Lock()
	called, err := url.Parse(s.world.callback)
	s.world.mu.Unlock()
	if err != nil || s.err != nil {
		s.err = errors.Join(s.err, err)
		return nil
	}
	body := fmt.Sprintf(`{"code":200,"msg":"Image generated successfully.","data":{"taskId":%q,"info":{"resultImageUrl":"%s/result/0.png"}}}`, providerID, s.world.web.URL)
	text, err := event("POST", "POST /v1/callbacks/{id}/{attempt}/{token}", called.Path, body, "", "id", "attempt", "token")
	_, table = s.play(ctx, "callback", table, `"statusCode":200`, text, err)
	text, err = streamed(table)
	_, table = s.play(ctx, "ingest", table, ``, text, err)
	if s.err != nil {
		return nil
	}
	s.scenes["ingest"].memory = ingestMemory
	text, err = streamed(table)
	_, table = s.play(ctx, "notify", table, ``, text, err)
	return table
}

// streamed returns what the table's stream makes of its only row.
func streamed(table rows) ([]byte, error) {
	var records []any
	for id, row := range table {
		key := map[string]any{"id": map[string]any{"S": id}}
		records = append(records, map[string]any{"eventID": "1", "eventName": "MODIFY", "dynamodb": map[string]any{"Keys": key, "NewImage": row}})
	}
	return json.Marshal(map[string]any{"Records": records})
}

// others plays the functions that are no part of a task's way: a sweep that finds nothing
// due, and a tool's call that makes a task.
func (s *stage) others(ctx context.Context, token string) {
	text, err := event("POST", "POST /v1/uploads", "/v1/uploads", `{"contentType":"image/png","bytes":100000}`, token)
	s.play(ctx, "uploads", rows{}, `"statusCode":201`, text, err)
	text, err = event("GET", "GET /v1/credits", "/v1/credits", "", token)
	s.play(ctx, "credits", rows{}, `"statusCode":200`, text, err)
	text, err = event("POST", "POST /mcp", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"generate_image","arguments":{"requestKey":"lighthouse-4f2a","prompt":"A lighthouse at dawn"}}}`, token)
	s.play(ctx, "mcp", rows{}, `"statusCode":200`, text, err)
	s.play(ctx, "sweep", rows{}, ``, []byte(`{"source":"aws.scheduler","detail-type":"Scheduled Event","detail":"{}"}`), nil)
}

// imagePath returns the path of the picture in a task's answer.
func imagePath(answer string) (string, error) {
	var out struct{ Body string }
	var shown struct{ Images []struct{ URL string } }
	err := json.Unmarshal([]byte(answer), &out)
	if err == nil {
		err = json.Unmarshal([]byte(out.Body), &shown)
	}
	if err == nil && len(shown.Images) == 0 {
		err = errors.New("it has no picture")
	}
	if err != nil {
		return "", fmt.Errorf("the answer of tasks: %w: %s", err, answer)
	}
	u, err := url.Parse(shown.Images[0].URL)
	if err != nil {
		return "", err
	}
	return u.Path, nil
}

// table returns a copy of the rows.
func (w *world) table() rows {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.rows)
}
