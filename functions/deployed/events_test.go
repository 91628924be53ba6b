package deployed_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
)

// whoseEvents is the owner in events/.
const whoseEvents = "7b0f6f0e-3f0a-4c57-9d0b-5d6f1f1b7a2c"

// feedings are all of events/, in the order of one task's life, and the status
// that the gateway is answered; 0: the answer is nobody's to look at.
var feedings = []struct {
	event  string
	status int
}{
	{"submit-words", 202}, {"submit-refused", 400}, {"credits-balance", 200}, {"credits-models", 200}, {"credits-contract", 200}, {"credits-check", 0},
	{"callback-forged", 404}, {"callback-success", 200}, {"callback-policy", 200}, {"sweep-due", 0}, {"sweep-redrive", 0}, {"ingest-store", 0}, {"notify-succeeded", 0},
	{"tasks-one", 200}, {"tasks-ids", 200}, {"tasks-target", 200}, {"tasks-target-put", 200}, {"images-show", 302}, {"images-download", 302},
	{"submit-edit", 202}, {"uploads-create", 201}, {"mcp-metadata", 200}, {"mcp-listen", 405}, {"mcp-credits", 200}, {"mcp-generate", 200}, {"tasks-delete", 204}, {"ingest-erase", 0},
}

// Each event of events/ is what its function takes, as it stands: the real
// binaries get them one after the other, about one task.
func TestEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, f := range feedings {
		name, _, _ := strings.Cut(f.event, "-")
		answer, err := w.function[name].Invoke(t.Context(), w.event(f.event))
		if err != nil {
			t.Errorf("%s: %v\n%s", f.event, err, w.function[name].Log())
			continue
		}
		var said struct {
			StatusCode int    `json:"statusCode"`
			Body       string `json:"body"`
		}
		if err := json.Unmarshal(answer, &said); f.status != 0 && (err != nil || said.StatusCode != f.status) {
			t.Errorf("%s: answered %d, want %d: %s", f.event, said.StatusCode, f.status, answer)
		}
		if f.event == "submit-words" {
			var x httpapi.Task
			if err := json.Unmarshal([]byte(said.Body), &x); err != nil {
				t.Fatal(err)
			}
			w.same(w.ended(whoseEvents, x.ID), 0)
		}
	}
	w.fed()
}

// event reads an event, and puts into it what only this world can sign.
func (w *world) event(name string) []byte {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "events", name+".json"))
	if err != nil {
		w.t.Fatal(err)
	}
	var e struct {
		PathParameters struct{ ID, Token, File string } `json:"pathParameters"`
	}
	if err := json.Unmarshal(b, &e); err != nil {
		w.t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), "put-a-token-here", w.token(whoseEvents))
	switch p := e.PathParameters; {
	case strings.HasPrefix(name, "callback-") && name != "callback-forged":
		signer := token.Keys{{ID: "c1", Key: callbackKey}}
		text = strings.ReplaceAll(text, p.Token, signer.Sign(lifecycle.CallbackMessage(p.ID, 1)))
	case strings.HasPrefix(name, "images-"):
		signer := token.Keys{{ID: "i1", Key: imageKey}}
		text = strings.ReplaceAll(text, p.Token, signer.Sign(httpapi.ImageMessage(p.ID, p.File)))
	}
	return []byte(text)
}

// fed fails the test unless all events have been fed, and the task that they are
// about has succeeded and was deleted in the end.
func (w *world) fed() {
	w.t.Helper()
	files, err := filepath.Glob("../../events/*.json")
	if err != nil || len(files) != len(feedings) {
		w.t.Errorf("%d events, of which %d are fed: %v", len(files), len(feedings), err)
	}
	row := w.stored(task.NewID(whoseEvents, "3f6c2d0e-6f0b-4f0e-9a53-0c5d6f1f1b7a"))
	if row.Status != task.Succeeded || !row.Deleted() || len(row.Images) != 0 {
		w.t.Errorf("in the end it is %s, deleted %v, with %d images", row.Status, row.Deleted(), len(row.Images))
	}
}
