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

// scenes makes a task of so many pictures by the functions themselves, and returns a scene for each:
// with the event and the rows that it would find.
func scenes(ctx context.Context, w *world, binaries map[string]string, pictures int) (map[string]*scene, error) {
	token, err := w.mint.Token("7b0f6f0e-3f0a-4c57-9d0b-5d6f1f1b7a2c", 12*time.Hour)
	if err != nil {
		return nil, err
	}
	all := map[string]*scene{}
	// play adds a scene and returns its answer and the rows after it.
	play := func(name string, before rows, want string, text []byte, err error) (string, rows, error) {
		if err != nil {
			return "", nil, err
		}
		s := &scene{function: name, world: w, event: text, want: want, rows: before, keep: true, pictures: pictures, memory: smallMemory}
		all[name] = s
		m, err := s.run(ctx, binaries[name])
		if err != nil {
			return "", nil, fmt.Errorf("making a picture: %w", err)
		}
		s.keep = false
		return string(m.answer), w.table(), nil
	}

	text, err := event("POST", "POST /v1/tasks", "/v1/tasks", fmt.Sprintf(`{"prompt":"A lighthouse at dusk","aspectRatio":"16:9","numImages":%d}`, pictures), token)
	_, table, err := play("submit", rows{}, `"statusCode":202`, text, err)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	called, err := url.Parse(w.callback)
	w.mu.Unlock()
	if err != nil {
		return nil, err
	}
	id := slices.Collect(maps.Keys(table))[0]
	body := fmt.Sprintf(`{"code":200,"msg":"Image generated successfully.","data":{"taskId":%q,"info":{"resultImageUrl":"%s/result/0.png"}}}`, providerID, w.web.URL)
	text, err = event("POST", "POST /v1/callbacks/{id}/{attempt}/{token}", called.Path, body, "", "id", "attempt", "token")
	_, table, err = play("callback", table, `"statusCode":200`, text, err)
	if err != nil {
		return nil, err
	}
	key := map[string]any{"id": map[string]any{"S": id}}
	text, err = json.Marshal(map[string]any{"Records": []any{map[string]any{"eventID": "1", "eventName": "MODIFY", "dynamodb": map[string]any{"Keys": key, "NewImage": table[id]}}}})
	_, table, err = play("ingest", table, ``, text, err)
	if err != nil {
		return nil, err
	}
	all["ingest"].memory = ingestMemory
	text, err = event("GET", "GET /v1/tasks/{id}", "/v1/tasks/"+id, "", token, "id")
	answer, _, err := play("tasks", table, `succeeded`, text, err)
	if err != nil {
		return nil, err
	}
	path, err := imagePath(answer)
	if err != nil {
		return nil, err
	}
	text, err = event("GET", "GET /v1/images/{id}/{token}/{file}", path, "", "", "id", "token", "file")
	_, _, err = play("images", nil, `"statusCode":302`, text, err)
	return all, err
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
