package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/media"
)

// demo makes one picture and then edits it, through the API of a running
// server, and prints where the pictures are.
func demo(ctx context.Context, o options, out io.Writer) error {
	base := origin(o.Addr, "")
	mint, err := openMint(o.Data, base)
	if err != nil {
		return err
	}
	token, err := mint.Token("demo", time.Hour)
	if err != nil {
		return err
	}
	c := client{base: base, token: token, data: o.Data, out: out, http: &http.Client{Timeout: 30 * time.Second}}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	first, err := c.picture(ctx, map[string]any{
		"prompt": "A lighthouse at dusk, warm light, film grain", "aspectRatio": "4:3",
		"target": map[string]string{"kind": "moodboard", "id": "demo"},
	})
	if err != nil {
		return err
	}
	_, err = c.picture(ctx, map[string]any{
		"prompt": "The same, in deep snow", "imageUrls": []string{"task:" + first.ID + "/1"},
		"target": map[string]string{"kind": "moodboard", "id": "demo"},
	})
	return err
}

// client is a user of the API.
type client struct {
	base, token, data string
	out               io.Writer
	http              *http.Client
}

// picture submits a request, waits until it has ended and prints the pictures.
func (c client) picture(ctx context.Context, request map[string]any) (httpapi.Task, error) {
	key := rand.Text()
	t, err := c.call(ctx, http.MethodPost, "/v1/tasks", request, key)
	if err != nil {
		return t, err
	}
	fmt.Fprintf(c.out, "task %s: %q\n", t.ID, t.Prompt)
	text := ""
	for {
		if t.StatusText != text {
			text = t.StatusText
			fmt.Fprintf(c.out, "  %s\n", text)
		}
		if t.Done {
			break
		}
		if t, err = c.call(ctx, http.MethodGet, "/v1/tasks/"+t.ID+"?wait=20", nil, ""); err != nil {
			return t, err
		}
	}
	if t.Error != nil {
		return t, fmt.Errorf("task %s failed: %s %s", t.ID, t.Error.Message, t.Error.Hint)
	}
	return t, c.show(ctx, t)
}

// show prints each picture's file and size, and follows its lasting link.
func (c client) show(ctx context.Context, t httpapi.Task) error {
	for _, image := range t.Images {
		file := image.URL[strings.LastIndexByte(image.URL, '/')+1:]
		path := filepath.Join(c.data, "pictures", filepath.FromSlash(media.Prefix(t.ID)+file))
		stored, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("the stored picture: %w (is -data that of the server?)", err)
		}
		served, err := c.get(ctx, image.URL)
		if err != nil {
			return fmt.Errorf("the picture's link: %w", err)
		}
		if !bytes.Equal(stored, served) {
			return errors.New("the picture's link serves other bytes than are stored")
		}
		fmt.Fprintf(c.out, "  %s  %d bytes, %dx%d %s\n  %s\n", path, len(stored), image.Width, image.Height, image.ContentType, image.URL)
	}
	return nil
}

func (c client) get(ctx context.Context, link string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "nanobanana-demo")
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, errors.New(answer.Status)
	}
	return io.ReadAll(io.LimitReader(answer.Body, media.MaxBytes+1))
}

// call calls the API and reads a task.
func (c client) call(ctx context.Context, method, path string, body any, key string) (t httpapi.Task, err error) {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return t, err
		}
		content = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return t, err
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", key)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return t, fmt.Errorf("%w\nis the server running? start it with: make local", err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return t, err
	}
	if answer.StatusCode >= 300 {
		var p httpapi.Problem
		if json.Unmarshal(b, &p) != nil || p.Title == "" {
			return t, errors.New(answer.Status)
		}
		return t, fmt.Errorf("%s: %s %s", answer.Status, p.Title, p.Hint)
	}
	return t, json.Unmarshal(b, &t)
}
