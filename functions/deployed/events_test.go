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

// eventsOwner is the owner in events/.
const eventsOwner = "7b0f6f0e-3f0a-4c57-9d0b-5d6f1f1b7a2c"

// eventCases are all of events/, in the order of one task's life, with the
// status of the answer to the gateway; 0 if the caller is not the gateway.
var eventCases = []struct {
	event  string
	status int
}{
	{"submit-words", 202}, {"submit-quote", 200}, {"submit-refused", 400}, {"credits-balance", 200}, {"credits-models", 200}, {"credits-contract", 200}, {"credits-check", 0},
	{"callback-forged", 404}, {"callback-success", 200}, {"callback-policy", 200}, {"sweep-due", 0}, {"ingest-store", 0}, {"notify-succeeded", 0},
	{"tasks-one", 200}, {"tasks-ids", 200}, {"tasks-target", 200}, {"tasks-all", 200}, {"tasks-target-put", 200}, {"images-show", 302}, {"images-download", 302},
	{"submit-edit", 202}, {"uploads-create", 201}, {"mcp-metadata", 200}, {"mcp-listen", 405}, {"mcp-credits", 200}, {"mcp-quote", 200}, {"mcp-generate", 200}, {"mcp-move", 200}, {"mcp-watch", 200}, {"mcp-page", 200},
	{"tasks-delete", 204}, {"mcp-delete", 200}, {"ingest-erase", 0}, {"notify-deleted", 0},
}

// Each function accepts its events from events/ unchanged: the real binaries
// get them one after the other, about one task.
func TestEvents(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	for _, f := range eventCases {
		name, _, _ := strings.Cut(f.event, "-")
		answer, err := h.function[name].Invoke(t.Context(), h.event(f.event))
		if err != nil {
			t.Errorf("%s: %v\n%s", f.event, err, h.function[name].Log())
			continue
		}
		var response struct {
			StatusCode int    `json:"statusCode"`
			Body       string `json:"body"`
		}
		if err := json.Unmarshal(answer, &response); f.status != 0 && (err != nil || response.StatusCode != f.status) {
			t.Errorf("%s: answered %d, want %d: %s", f.event, response.StatusCode, f.status, answer)
		}
		if f.event == "submit-words" {
			var x httpapi.Task
			if err := json.Unmarshal([]byte(response.Body), &x); err != nil {
				t.Fatal(err)
			}
			h.checkImages(h.awaitEnd(eventsOwner, x.ID), 0)
		}
	}
	h.checkAllEvents()
}

// event reads an event and replaces tokens with ones that this harness has
// signed.
func (h *harness) event(name string) []byte {
	h.t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "events", name+".json"))
	if err != nil {
		h.t.Fatal(err)
	}
	var e struct {
		PathParameters struct{ ID, Token, File string } `json:"pathParameters"`
	}
	if err := json.Unmarshal(b, &e); err != nil {
		h.t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), "put-a-token-here", h.token(eventsOwner))
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

// checkAllEvents fails the test unless eventCases covers all events and their
// task has succeeded and then been deleted.
func (h *harness) checkAllEvents() {
	h.t.Helper()
	files, err := filepath.Glob("../../events/*.json")
	if err != nil || len(files) != len(eventCases) {
		h.t.Errorf("%d events, %d of them sent: %v", len(files), len(eventCases), err)
	}
	row := h.row(task.NewID(eventsOwner, "3f6c2d0e-6f0b-4f0e-9a53-0c5d6f1f1b7a"))
	if row.Status != task.Succeeded || !row.Deleted() || len(row.Images) != 0 {
		h.t.Errorf("in the end it is %s, deleted %v, with %d images", row.Status, row.Deleted(), len(row.Images))
	}
}
