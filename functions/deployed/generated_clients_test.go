package deployed_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// The clients in local/clients, which generators made of openapi.yaml, make pictures with
// the functions as deployed. Without the clients the test is skipped; with
// CLIENT_TESTS=required, as in CI, it fails.
func TestGeneratedClients(t *testing.T) {
	const clients = "../../local/clients"
	_, err := os.Stat(clients + "/generated/oapi-codegen/images.go") // the last to be made
	switch {
	case err != nil && os.Getenv("CLIENT_TESTS") == "required":
		t.Fatalf("%v: run this by make test-clients", err)
	case err != nil:
		t.Skip("needs the clients, which make test-clients makes")
	}
	t.Parallel()
	h := newHarness(t, nil)
	switches := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var s struct{ Refuse string }
		if err := json.NewDecoder(r.Body).Decode(&s); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		h.sim.SetKnobs(func(k *nanobananatest.Knobs) {
			k.Outcome = nanobananatest.Outcome{}
			if s.Refuse == "policy" {
				k.Outcome.ErrorCode = 400
			}
		})
	}))
	defer switches.Close()

	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, clients+"/try")
	cmd.Env = append(os.Environ(), "API="+h.url, "TOKEN="+h.token("ada"), "SIMULATOR="+switches.URL)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		t.Errorf("the clients: %v\n%s", err, h.logs())
	}
	// Of each client: a picture, an edit, a failure, one to move and delete.
	if n := h.sim.Posts(); n != 3*4 {
		t.Errorf("%d orders at the provider, want %d", n, 3*4)
	}
}
