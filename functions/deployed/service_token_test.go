package deployed_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// One of Preset's servers has a picture made for ada: it is hers, from her
// quota, and neither bob's nor the server's.
func TestServerToServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]string{"DAILY_QUOTA": "5"})
	service, kept := token.NewServiceToken("preset")
	w.hide(service)
	w.hide(kept.Hash)
	var secret map[string]any
	if err := json.Unmarshal([]byte(keys(nanobananatest.DefaultKey, callbackKey)), &secret); err != nil {
		t.Fatal(err)
	}
	secret["serviceTokens"] = []token.ServiceToken{kept}
	value, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	w.setSecret(string(value))

	bearer := []string{"Authorization", "Bearer " + service}
	forAda := append(bearer, "On-Behalf-Of", "ada")
	order := map[string]any{"prompt": "a lighthouse"}
	var made httpapi.Task
	w.call("", http.MethodPost, "/v1/tasks", order, append(forAda, "Idempotency-Key", "k")...).into(t, http.StatusAccepted, &made)
	w.same(w.ended("ada", made.ID), 0)
	w.call("", http.MethodGet, "/v1/tasks/"+made.ID, nil, forAda...).into(t, http.StatusOK, &made)
	refused(t, w.call("bob", http.MethodGet, "/v1/tasks/"+made.ID, nil), http.StatusNotFound, task.CodeNotFound)
	var left credits.Credits
	if w.call("ada", http.MethodGet, "/v1/credits", nil).into(t, http.StatusOK, &left); left.Quota.Used != 1 {
		t.Errorf("ada used %d", left.Quota.Used)
	}

	for _, path := range []string{"/v1/tasks/" + made.ID, "/v1/tasks?ids=" + made.ID, "/v1/credits"} {
		refused(t, w.call("", http.MethodGet, path, nil, bearer...), http.StatusBadRequest, task.CodeInvalidRequest)
		refused(t, w.call("", http.MethodGet, path, nil, append(forAda, "Origin", "https://app.example.com")...), http.StatusForbidden, task.CodeForbidden)
		refused(t, w.call("bob", http.MethodGet, path, nil, "On-Behalf-Of", "ada"), http.StatusForbidden, task.CodeForbidden)
	}
	refused(t, w.call("", http.MethodDelete, "/v1/tasks/"+made.ID, nil, bearer...), http.StatusBadRequest, task.CodeInvalidRequest)
}
