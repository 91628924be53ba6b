package deployed_test

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
	order := map[string]any{"prompt": "a lighthouse", "numImages": 2, "target": map[string]string{"kind": "moodboard", "id": "m1"}}
	lighthouse := w.submit("ada", order, "k")
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
	w.moved(first)
	w.erased(first, order, "k")
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

// erased fails the test unless a task's pictures go when its owner deletes it,
// by the stream and ingest; nobody else can, and its key stays used.
func (w *world) erased(got httpapi.Task, order map[string]any, key string) {
	w.t.Helper()
	path := "/v1/tasks/" + got.ID
	refused(w.t, w.call("bob", http.MethodDelete, path, nil), http.StatusNotFound, task.CodeNotFound)
	link := w.call("", http.MethodGet, got.Images[0].URL, nil).header.Get("Location")
	for range 2 { // the second as by somebody who lost the first answer
		if a := w.call("ada", http.MethodDelete, path, nil); a.status != http.StatusNoContent || len(a.body) != 0 {
			w.t.Fatalf("DELETE: %d %s", a.status, a.body)
		}
	}
	eventually(w.t, "the pictures are still there", func() bool { return w.fetched(link) == http.StatusNotFound })
	refused(w.t, w.call("ada", http.MethodGet, path, nil), http.StatusNotFound, task.CodeNotFound)
	refused(w.t, w.call("ada", http.MethodPut, path+"/target", map[string]string{"kind": "showcase", "id": "s1"}), http.StatusNotFound, task.CodeNotFound)
	refused(w.t, w.call("ada", http.MethodPost, "/v1/tasks", order, "Idempotency-Key", key), http.StatusUnprocessableEntity, task.CodeIdempotencyKeyReused)
	w.age(got.ID, 20*time.Minute)
	w.sweep() // by now nothing writes there any more: this erase is the last
	eventually(w.t, "it is still due", func() bool { x := w.stored(got.ID); return x.Work == "" && x.DueAt.IsZero() })
}

// moved fails the test unless the task goes from its target to another, by its
// owner alone.
func (w *world) moved(got httpapi.Task) {
	w.t.Helper()
	to := map[string]string{"kind": "showcase", "id": "s1"}
	refused(w.t, w.call("bob", http.MethodPut, "/v1/tasks/"+got.ID+"/target", to), http.StatusNotFound, task.CodeNotFound)
	var now httpapi.Task
	w.call("ada", http.MethodPut, "/v1/tasks/"+got.ID+"/target", to).into(w.t, http.StatusOK, &now)
	if now.Status != task.Succeeded || *now.Target != (task.Target{Kind: "showcase", ID: "s1"}) || len(now.Images) != len(got.Images) {
		w.t.Errorf("it is now %+v", now)
	}
	for target, n := range map[string]int{"moodboard:m1": 0, "showcase:s1": 1} {
		var list struct{ Tasks []httpapi.Task }
		w.call("ada", http.MethodGet, "/v1/tasks?target="+target, nil).into(w.t, http.StatusOK, &list)
		if len(list.Tasks) != n {
			w.t.Errorf("%s: %d tasks, want %d", target, len(list.Tasks), n)
		}
	}
}
