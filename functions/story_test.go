package functions_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"image/jpeg"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/task"
)

// The whole story, by the real binaries: an order, its callback, the stream,
// the pictures' lasting links; then an edit of what was made.
func TestStory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]string{"DAILY_QUOTA": "10"})
	lighthouse := w.submit("ada", map[string]any{
		"prompt": "a lighthouse", "numImages": 2, "target": map[string]string{"kind": "moodboard", "id": "m1"},
	}, "k")
	first := w.ended("ada", lighthouse.ID)
	w.same(first, 0)
	w.same(w.ended("ada", w.submit("ada", map[string]any{
		"prompt": "at night", "imageUrls": []string{"task:" + first.ID + "/2"},
	}, "e").ID), 1)
	if n := w.sim.Posts(); n != 2 {
		t.Errorf("%d POSTs, want 2", n)
	}

	var list struct{ Tasks []httpapi.Task }
	w.call("ada", http.MethodGet, "/v1/tasks?target=moodboard:m1", nil).into(t, http.StatusOK, &list)
	if len(list.Tasks) != 1 || list.Tasks[0].ID != first.ID {
		t.Errorf("listed %+v", list.Tasks)
	}
	if other := w.call("bob", http.MethodGet, "/v1/tasks/"+first.ID, nil); other.status != http.StatusNotFound {
		t.Errorf("another's task: %d", other.status)
	}
	var left credits.Credits
	w.call("ada", http.MethodGet, "/v1/credits", nil).into(t, http.StatusOK, &left)
	if left.Balance != w.sim.Balance() || left.Quota.Used != 3 || !left.CanGenerate {
		t.Errorf("credits %+v, the provider's %v", left, w.sim.Balance())
	}
	var models []credits.Model
	w.call("", http.MethodGet, "/v1/models", nil).into(t, http.StatusOK, &models)
	if len(models) != len(task.Models()) {
		t.Errorf("%d models", len(models))
	}
	w.erased(first)
}

// same fails the test unless the task's lasting links lead anybody to what the
// provider made of its nth order, byte for byte, and to thumbnails of it.
func (w *world) same(got httpapi.Task, n int) {
	w.t.Helper()
	made := w.sim.Tasks()[n]
	if got.Status != task.Succeeded || len(got.Images) != len(made.URLs) {
		w.t.Fatalf("%s, %+v, %d images of %d\n%s", got.Status, got.Error, len(got.Images), len(made.URLs), w.logs())
	}
	for i, picture := range got.Images {
		want := w.fetch(made.URLs[i])
		b := w.follow(picture.URL)
		sum := sha256.Sum256(b)
		if !bytes.Equal(b, want) || hex.EncodeToString(sum[:]) != picture.SHA256 || int64(len(b)) != picture.Bytes {
			w.t.Errorf("picture %d: %d bytes behind the link, the provider's %d; %+v", i+1, len(b), len(want), picture)
		}
		small, err := jpeg.DecodeConfig(bytes.NewReader(w.follow(picture.ThumbnailURL)))
		if err != nil || max(small.Width, small.Height) > media.ThumbnailSide {
			w.t.Errorf("thumbnail %d: %+v, %v", i+1, small, err)
		}
	}
}

// follow follows a lasting link as a browser does that is not signed in.
func (w *world) follow(link string) []byte {
	w.t.Helper()
	a := w.call("", http.MethodGet, link, nil)
	if a.status != http.StatusFound {
		w.t.Fatalf("the link: %d %s", a.status, a.body)
	}
	return w.fetch(a.header.Get("Location"))
}

func (w *world) fetch(link string) []byte {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, link, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("User-Agent", "story") // the provider turns Go's own away
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %v", resp.Status, err)
	}
	return b
}

// erased fails the test unless a task's pictures go when it is deleted: the row
// is written here as DELETE does, the rest is the stream's and ingest's.
func (w *world) erased(got httpapi.Task) {
	w.t.Helper()
	link := w.call("", http.MethodGet, got.Images[0].URL, nil).header.Get("Location")
	w.change(got.ID, func(x *task.Task) error { return x.Delete(task.DefaultRules(), time.Now()) })
	eventually(w.t, "the pictures are still there", func() bool {
		resp, err := http.Get(link)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusNotFound
	})
	if a := w.call("ada", http.MethodGet, "/v1/tasks/"+got.ID, nil); a.status != http.StatusNotFound {
		w.t.Errorf("a deleted task: %d", a.status)
	}
}
