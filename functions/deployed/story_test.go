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

// The whole story: an order, its callback, the stream, the pictures' lasting
// links, and then an edit of a picture.
func TestStory(t *testing.T) {
	t.Parallel()
	h := newHarness(t, map[string]string{"DAILY_QUOTA": "10"})
	order := map[string]any{"prompt": "a lighthouse", "numImages": 2, "target": map[string]string{"kind": "moodboard", "id": "m1"}}
	lighthouse := h.submit("ada", order, "k")
	first := h.awaitEnd("ada", lighthouse.ID)
	h.checkImages(first, 0)
	h.checkImages(h.awaitEnd("ada", h.submit("ada", map[string]any{
		"prompt": "at night", "imageUrls": []string{"task:" + first.ID + "/2"},
	}, "e").ID), 1)
	if n := h.sim.Posts(); n != 2 {
		t.Errorf("%d POSTs, want 2", n)
	}

	var list struct{ Tasks []httpapi.Task }
	h.call("ada", http.MethodGet, "/v1/tasks?target=moodboard:m1", nil).decode(t, http.StatusOK, &list)
	if len(list.Tasks) != 1 || list.Tasks[0].ID != first.ID {
		t.Errorf("listed %+v", list.Tasks)
	}
	if other := h.call("bob", http.MethodGet, "/v1/tasks/"+first.ID, nil); other.status != http.StatusNotFound {
		t.Errorf("another's task: %d", other.status)
	}
	var left credits.Credits
	h.call("ada", http.MethodGet, "/v1/credits", nil).decode(t, http.StatusOK, &left)
	if left.Balance != h.sim.Balance() || left.Quota.Used != 3 || !left.CanGenerate {
		t.Errorf("credits %+v, the provider's %v", left, h.sim.Balance())
	}
	var models []credits.Model
	h.call("", http.MethodGet, "/v1/models", nil).decode(t, http.StatusOK, &models)
	if len(models) != len(task.Models()) {
		t.Errorf("%d models", len(models))
	}
	h.checkMove(first)
	h.checkErase(first, order, "k")
}

// checkImages fails the test unless the task's lasting links lead, without a
// token, to what the provider made of its nth order, byte for byte, and to
// thumbnails of it.
func (h *harness) checkImages(got httpapi.Task, n int) {
	h.t.Helper()
	made := h.sim.Tasks()[n]
	if got.Status != task.Succeeded || len(got.Images) != len(made.URLs) {
		h.t.Fatalf("%s, %+v, %d images of %d\n%s", got.Status, got.Error, len(got.Images), len(made.URLs), h.logs())
	}
	for i, picture := range got.Images {
		want := h.fetch(made.URLs[i])
		b := h.follow(picture.URL)
		sum := sha256.Sum256(b)
		if !bytes.Equal(b, want) || hex.EncodeToString(sum[:]) != picture.SHA256 || int64(len(b)) != picture.Bytes {
			h.t.Errorf("picture %d: %d bytes behind the link, the provider's %d; %+v", i+1, len(b), len(want), picture)
		}
		small, err := jpeg.DecodeConfig(bytes.NewReader(h.follow(picture.ThumbnailURL)))
		if err != nil || max(small.Width, small.Height) > media.ThumbnailSide {
			h.t.Errorf("thumbnail %d: %+v, %v", i+1, small, err)
		}
	}
}

// follow follows a lasting link as a browser does, without a token.
func (h *harness) follow(link string) []byte {
	h.t.Helper()
	a := h.call("", http.MethodGet, link, nil)
	if a.status != http.StatusFound {
		h.t.Fatalf("the link: %d %s", a.status, a.body)
	}
	return h.fetch(a.header.Get("Location"))
}

func (h *harness) fetch(link string) []byte {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, link, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("User-Agent", "story") // the simulator refuses Go's own
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		h.t.Fatalf("%s: %v", resp.Status, err)
	}
	return b
}

// checkErase fails the test unless a task's pictures disappear when its owner
// deletes it. Nobody else can delete it, and its key stays used.
func (h *harness) checkErase(got httpapi.Task, order map[string]any, key string) {
	h.t.Helper()
	path := "/v1/tasks/" + got.ID
	checkRefused(h.t, h.call("bob", http.MethodDelete, path, nil), http.StatusNotFound, task.CodeNotFound)
	link := h.call("", http.MethodGet, got.Images[0].URL, nil).header.Get("Location")
	for range 2 { // the second as by somebody who lost the first answer
		if a := h.call("ada", http.MethodDelete, path, nil); a.status != http.StatusNoContent || len(a.body) != 0 {
			h.t.Fatalf("DELETE: %d %s", a.status, a.body)
		}
	}
	eventually(h.t, "the pictures are still there", func() bool { return h.status(link) == http.StatusNotFound })
	checkRefused(h.t, h.call("ada", http.MethodGet, path, nil), http.StatusNotFound, task.CodeNotFound)
	checkRefused(h.t, h.call("ada", http.MethodPut, path+"/target", map[string]string{"kind": "showcase", "id": "s1"}), http.StatusNotFound, task.CodeNotFound)
	checkRefused(h.t, h.call("ada", http.MethodPost, "/v1/tasks", order, "Idempotency-Key", key), http.StatusUnprocessableEntity, task.CodeIdempotencyKeyReused)
	h.age(got.ID, 20*time.Minute)
	h.sweep() // by now no other function writes there: this erase is the last
	eventually(h.t, "it is still due", func() bool { x := h.row(got.ID); return x.Work == "" && x.Due().IsZero() })
}

// checkMove fails the test unless the owner, and nobody else, can move the task
// to another target.
func (h *harness) checkMove(got httpapi.Task) {
	h.t.Helper()
	to := map[string]string{"kind": "showcase", "id": "s1"}
	checkRefused(h.t, h.call("bob", http.MethodPut, "/v1/tasks/"+got.ID+"/target", to), http.StatusNotFound, task.CodeNotFound)
	var now httpapi.Task
	h.call("ada", http.MethodPut, "/v1/tasks/"+got.ID+"/target", to).decode(h.t, http.StatusOK, &now)
	if now.Status != task.Succeeded || *now.Target != (task.Target{Kind: "showcase", ID: "s1"}) || len(now.Images) != len(got.Images) {
		h.t.Errorf("it is now %+v", now)
	}
	for target, n := range map[string]int{"moodboard:m1": 0, "showcase:s1": 1} {
		var list struct{ Tasks []httpapi.Task }
		h.call("ada", http.MethodGet, "/v1/tasks?target="+target, nil).decode(h.t, http.StatusOK, &list)
		if len(list.Tasks) != n {
			h.t.Errorf("%s: %d tasks, want %d", target, len(list.Tasks), n)
		}
	}
}
