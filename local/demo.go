package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/local/client"
	"github.com/preset/nanobanana-functions/local/signin"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/media"
)

// demo makes a picture and then edits it, through the API of a running server,
// and prints where the pictures are.
func demo(ctx context.Context, addr, data string, out io.Writer) error {
	origin := signin.Origin(addr, "")
	mint, err := signin.Open(data, origin)
	if err != nil {
		return err
	}
	token, err := mint.Token(signin.SampleOwner, time.Hour)
	if err != nil {
		return err
	}
	d := demonstration{
		Client: client.Client{Base: origin, Token: token, HTTP: &http.Client{Timeout: 30 * time.Second}},
		data:   data, out: out,
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	first, err := d.makePicture(ctx, map[string]any{
		"prompt": "A lighthouse at dusk, warm light, film grain", "aspectRatio": "4:3",
		"target": map[string]string{"kind": "moodboard", "id": "demo"},
	})
	if err != nil {
		return err
	}
	_, err = d.makePicture(ctx, map[string]any{
		"prompt": "The same, in deep snow", "imageUrls": []string{"task:" + first.ID + "/1"},
		"target": map[string]string{"kind": "moodboard", "id": "demo"},
	})
	return err
}

// demonstration is one run of the demo.
type demonstration struct {
	client.Client
	data string // the server's data folder
	out  io.Writer
}

// call adds a hint to the error of a server that cannot be reached.
func (d demonstration) call(ctx context.Context, method, path string, body any, key string) (httpapi.Task, error) {
	t, err := d.Call(ctx, method, path, body, key)
	if errors.As(err, new(*url.Error)) {
		err = fmt.Errorf("%w\nIs the server running? Start it with: make local", err)
	}
	return t, err
}

// makePicture submits a request, waits for the task to end and shows the pictures.
func (d demonstration) makePicture(ctx context.Context, request map[string]any) (httpapi.Task, error) {
	t, err := d.call(ctx, http.MethodPost, "/v1/tasks", request, rand.Text())
	if err != nil {
		return t, err
	}
	fmt.Fprintf(d.out, "task %s: %q\n", t.ID, t.Prompt)
	text := ""
	for {
		if t.StatusText != text {
			text = t.StatusText
			fmt.Fprintf(d.out, "  %s\n", text)
		}
		if t.Done {
			break
		}
		if t, err = d.call(ctx, http.MethodGet, "/v1/tasks/"+t.ID+"?wait=20", nil, ""); err != nil {
			return t, err
		}
	}
	if t.Error != nil {
		return t, fmt.Errorf("task %s failed: %s %s", t.ID, t.Error.Message, t.Error.Hint)
	}
	return t, d.show(ctx, t)
}

// show prints each picture's file, size and lasting link, and checks that the
// link serves the file.
func (d demonstration) show(ctx context.Context, t httpapi.Task) error {
	for _, image := range t.Images {
		file := image.URL[strings.LastIndexByte(image.URL, '/')+1:]
		path := filepath.Join(d.data, "pictures", filepath.FromSlash(media.Prefix(t.ID)+file))
		stored, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("cannot read the stored picture: %w (is -data the folder that the server uses?)", err)
		}
		served, err := d.Get(ctx, image.URL)
		if err != nil {
			return fmt.Errorf("cannot follow the picture's link: %w", err)
		}
		if string(stored) != string(served) {
			return fmt.Errorf("the link of %s serves different bytes", path)
		}
		fmt.Fprintf(d.out, "  %s  %d bytes, %dx%d %s\n  %s\n", path, len(stored), image.Width, image.Height, image.ContentType, image.URL)
	}
	return nil
}
