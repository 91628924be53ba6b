package submit_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/task"
)

// A task that one of our own servers orders on ada's behalf is ada's: her own
// repetition under the same key is a replay of it, bob's is not.
func TestOnBehalfOf(t *testing.T) {
	h := newHarness(t)
	service, kept := token.NewServiceToken("preset")
	h.Secret.SetServiceTokens(kept)
	const body = `{"prompt":"a lighthouse"}`
	server := []string{"Authorization", "Bearer " + service, "Idempotency-Key", "k"}
	made := h.accepted(body, append(server, "On-Behalf-Of", "ada")...)
	if stands, err := h.Store.Task(t.Context(), made.ID); err != nil || stands.Owner != "ada" {
		t.Errorf("%+v, %v", stands, err)
	}
	if again := h.accepted(body, "Idempotency-Key", "k"); again.ID != made.ID {
		t.Errorf("ada's own request made %s besides %s", again.ID, made.ID)
	}
	if other := h.accepted(body, append(server, "On-Behalf-Of", "bob")...); other.ID == made.ID {
		t.Error("bob's request found ada's task")
	}
	if logged := h.Logged.Take(); strings.Contains(logged, service) || strings.Contains(logged, kept.Hash) {
		t.Errorf("logged %s", logged)
	}
}

// A service token without an owner or from a browser is refused, and so is a
// user's token with On-Behalf-Of.
func TestOnBehalfOfRefused(t *testing.T) {
	h := newHarness(t)
	service, kept := token.NewServiceToken("preset")
	h.Secret.SetServiceTokens(kept)
	stranger, _ := token.NewServiceToken("preset")
	for name, test := range map[string]struct {
		status int
		code   task.Code
		header []string
	}{
		"for nobody":                    {http.StatusBadRequest, task.CodeInvalidRequest, []string{"Authorization", "Bearer " + service}},
		"for two, joined by a gateway":  {http.StatusBadRequest, task.CodeInvalidRequest, []string{"Authorization", "Bearer " + service, "On-Behalf-Of", "ada,bob"}},
		"in a browser":                  {http.StatusForbidden, task.CodeForbidden, []string{"Authorization", "Bearer " + service, "On-Behalf-Of", "ada", "Origin", "https://app.example.com"}},
		"a token that is not ours":      {http.StatusUnauthorized, task.CodeUnauthorized, []string{"Authorization", "Bearer " + stranger, "On-Behalf-Of", "ada"}},
		"ada's own, for bob":            {http.StatusForbidden, task.CodeForbidden, []string{"On-Behalf-Of", "bob"}},
		"ada's own, though for herself": {http.StatusForbidden, task.CodeForbidden, []string{"On-Behalf-Of", "ada"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := h.with(t).refused(test.status, test.code, `{"prompt":"a lighthouse"}`, test.header...)
			if test.status == http.StatusBadRequest && (len(p.Errors) != 1 || !strings.Contains(p.Detail, "On-Behalf-Of")) {
				t.Errorf("%+v", p)
			}
			for _, text := range []string{service, "bob", "app.example.com"} {
				if strings.Contains(p.Detail+p.Hint+h.Logged.Take(), text) {
					t.Errorf("it says %q", text)
				}
			}
		})
	}
}
