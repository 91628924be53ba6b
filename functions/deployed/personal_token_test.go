package deployed_test

import (
	"net/http"
	"testing"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

// The token that ada gave to Claude Code is refused by the API's routes,
// whatever it claims, while her session still works.
func TestPersonalToken(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	personal, kept := token.NewPersonalToken("ada", "claude")
	stranger, _ := token.NewPersonalToken("ada", "claude")
	h.hide(personal)
	h.hide(stranger)
	h.setPersonalTokens(kept)

	made := h.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k")
	h.checkImages(h.awaitEnd("ada", made.ID), 0)
	for _, route := range []struct {
		method, path string
		body         any
	}{
		{http.MethodPost, "/v1/tasks", map[string]any{"prompt": "a lighthouse"}},
		{http.MethodGet, "/v1/tasks/" + made.ID, nil},
		{http.MethodGet, "/v1/tasks?ids=" + made.ID, nil},
		{http.MethodPut, "/v1/tasks/" + made.ID + "/target", map[string]any{"kind": "moodboard", "id": "m"}},
		{http.MethodDelete, "/v1/tasks/" + made.ID, nil},
		{http.MethodPost, "/v1/uploads", map[string]any{"contentType": "image/png", "bytes": 100}},
		{http.MethodGet, "/v1/credits", nil},
	} {
		bearer := []string{"Authorization", "Bearer " + personal}
		checkRefused(t, h.call("", route.method, route.path, route.body, bearer...), http.StatusForbidden, task.CodeForbidden)
		checkRefused(t, h.call("", route.method, route.path, route.body, append(bearer, "On-Behalf-Of", "ada")...), http.StatusForbidden, task.CodeForbidden)
		checkRefused(t, h.call("", route.method, route.path, route.body, "Authorization", "Bearer "+stranger), http.StatusUnauthorized, task.CodeUnauthorized)
	}
	var stands httpapi.Task
	h.call("ada", http.MethodGet, "/v1/tasks/"+made.ID, nil).decode(t, http.StatusOK, &stands)
	if stands.Status != task.Succeeded || stands.Target != nil || h.sim.Posts() != 1 {
		t.Errorf("it is now %+v, after %d POSTs", stands, h.sim.Posts())
	}
}
