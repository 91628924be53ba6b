package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/shared/config"
)

// What a picture cost shows soon after, though nobody who looks makes the
// provider be asked: the check does, as often as the sweep.
func TestCreditsFollow(t *testing.T) {
	r := runLocal(t, hurry)
	balance := func() float64 {
		resp, body := r.ask("GET", "/v1/credits", "", "Authorization", "Bearer "+r.token)
		var c credits.Credits
		if err := json.Unmarshal([]byte(body), &c); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", resp.StatusCode, body)
		}
		return c.Balance
	}
	follows := func(want float64) {
		eventually(t, func() error {
			if got := balance(); got != want {
				return fmt.Errorf("the balance is %v, want %v", got, want)
			}
			return nil
		})
	}
	follows(1000)
	r.ended(t, r.submit(t, map[string]any{"prompt": "a lighthouse"}, "k").ID)
	follows(996)
	eventually(t, func() error {
		kept, err := r.store.Balance(t.Context())
		if err != nil || kept.Credits != 996 {
			return fmt.Errorf("kept is %+v, %v", kept, err)
		}
		return nil
	})
}

// What is printed for the secret is what accepts the token that is printed.
func TestServiceTokenCommand(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"service-token", "backend"}, os.Getenv, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	token := regexp.MustCompile(`(?m)^  (nbs_\S+)$`).FindStringSubmatch(out.String())
	member := regexp.MustCompile(`(?m)^  "serviceTokens": (.*)$`).FindStringSubmatch(out.String())
	if token == nil || member == nil {
		t.Fatalf("it prints\n%s", out.String())
	}
	const key = `[{"id":"k","key":"0123456789abcdef0123456789abcdef"}]`
	secret, err := config.ParseSecret([]byte(`{"callbackKeys":` + key + `,"imageKeys":` + key + `,"serviceTokens":` + member[1] + `}`))
	if err != nil || !secret.ServiceTokens.Verify(token[1]) || secret.ServiceTokens[0].ID != "backend" {
		t.Errorf("%v, from\n%s", err, out.String())
	}
	for _, args := range [][]string{{"service-token", "a b"}, {"service-token", ""}, {"service-token", "a", "b"}, {"service-token", "-h"}} {
		out.Reset()
		if err := run(t.Context(), args, os.Getenv, &out, io.Discard); err == nil || out.Len() > 0 {
			t.Errorf("%q: %v\n%s", args, err, out.String())
		}
	}
}
