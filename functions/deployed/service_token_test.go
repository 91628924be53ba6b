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

// One of Preset's servers orders a picture on ada's behalf: it is hers and from
// her quota, not bob's or the server's.
func TestServiceToken(t *testing.T) {
	t.Parallel()
	h := newHarness(t, map[string]string{"DAILY_QUOTA": "5"})
	service, kept := token.NewServiceToken("preset")
	h.hide(service)
	h.hide(kept.Hash)
	var secret map[string]any
	if err := json.Unmarshal([]byte(secretValue(nanobananatest.DefaultKey, callbackKey)), &secret); err != nil {
		t.Fatal(err)
	}
	secret["serviceTokens"] = []token.ServiceToken{kept}
	value, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	h.setSecret(string(value))

	bearer := []string{"Authorization", "Bearer " + service}
	forAda := append(bearer, "On-Behalf-Of", "ada")
	order := map[string]any{"prompt": "a lighthouse"}
	var made httpapi.Task
	h.call("", http.MethodPost, "/v1/tasks", order, append(forAda, "Idempotency-Key", "k")...).decode(t, http.StatusAccepted, &made)
	h.checkImages(h.awaitEnd("ada", made.ID), 0)
	h.call("", http.MethodGet, "/v1/tasks/"+made.ID, nil, forAda...).decode(t, http.StatusOK, &made)
	checkRefused(t, h.call("bob", http.MethodGet, "/v1/tasks/"+made.ID, nil), http.StatusNotFound, task.CodeNotFound)
	var left credits.Credits
	if h.call("ada", http.MethodGet, "/v1/credits", nil).decode(t, http.StatusOK, &left); left.Quota.Used != 1 {
		t.Errorf("ada used %d", left.Quota.Used)
	}

	for _, path := range []string{"/v1/tasks/" + made.ID, "/v1/tasks?ids=" + made.ID, "/v1/credits"} {
		checkRefused(t, h.call("", http.MethodGet, path, nil, bearer...), http.StatusBadRequest, task.CodeInvalidRequest)
		checkRefused(t, h.call("", http.MethodGet, path, nil, append(forAda, "Origin", "https://app.example.com")...), http.StatusForbidden, task.CodeForbidden)
		checkRefused(t, h.call("bob", http.MethodGet, path, nil, "On-Behalf-Of", "ada"), http.StatusForbidden, task.CodeForbidden)
	}
	checkRefused(t, h.call("", http.MethodDelete, "/v1/tasks/"+made.ID, nil, bearer...), http.StatusBadRequest, task.CodeInvalidRequest)
}
