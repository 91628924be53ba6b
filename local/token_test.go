package main

import (
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/config"
)

// runTokenCommand runs a command that makes a token. It returns the token, and a
// secret with the printed entry.
func runTokenCommand(t *testing.T, member string, args ...string) (token string, secret config.Secret) {
	t.Helper()
	var out strings.Builder
	if err := run(t.Context(), args, os.Getenv, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile(`(?m)^  (nb[sp]_\S+)$`).FindStringSubmatch(out.String())
	list := regexp.MustCompile(`(?m)^  "` + member + `": (.*)$`).FindStringSubmatch(out.String())
	if shown == nil || list == nil || strings.Count(out.String(), shown[1]) != 1 {
		t.Fatalf("the command prints\n%s", out.String())
	}
	const key = `[{"id":"k","key":"0123456789abcdef0123456789abcdef"}]`
	secret, err := config.ParseSecret([]byte(`{"callbackKeys":` + key + `,"imageKeys":` + key + `,"` + member + `":` + list[1] + `}`))
	if err != nil {
		t.Fatalf("%v, from\n%s", err, out.String())
	}
	return shown[1], secret
}

// The printed entry for the secret accepts the printed token.
func TestServiceTokenCommand(t *testing.T) {
	for id, args := range map[string][]string{"preset": nil, "backend": {"backend"}} {
		token, secret := runTokenCommand(t, "serviceTokens", append([]string{"service-token"}, args...)...)
		if !secret.ServiceTokens.Verify(token) || secret.ServiceTokens[0].ID != id {
			t.Errorf("%+v does not accept the token", secret.ServiceTokens)
		}
	}
}

func TestPersonalTokenCommand(t *testing.T) {
	for id, args := range map[string][]string{"claude": {"auth0|ada"}, "laptop": {"auth0|ada", "laptop"}} {
		token, secret := runTokenCommand(t, "personalTokens", append([]string{"personal-token"}, args...)...)
		if owner := secret.PersonalTokens.Owner(token); owner != "auth0|ada" || secret.PersonalTokens[0].ID != id {
			t.Errorf("%+v says that the token belongs to %q", secret.PersonalTokens, owner)
		}
	}
}

// With invalid arguments the commands print their usage and no token.
func TestTokenCommandUsage(t *testing.T) {
	for name, args := range map[string][]string{
		"a service id with a space":      {"service-token", "a b"},
		"an empty service id":            {"service-token", ""},
		"two service ids":                {"service-token", "a", "b"},
		"a flag for a service":           {"service-token", "-h"},
		"no owner":                       {"personal-token"},
		"an empty owner":                 {"personal-token", ""},
		"an owner with a space":          {"personal-token", "a b"},
		"an owner that is not ASCII":     {"personal-token", "ädä"},
		"an owner that is too long":      {"personal-token", strings.Repeat("x", 129)},
		"a token id with a space":        {"personal-token", "ada", "a b"},
		"an empty token id":              {"personal-token", "ada", ""},
		"two token ids":                  {"personal-token", "ada", "a", "b"},
		"a flag instead of the owner":    {"personal-token", "-h"},
		"a flag instead of the token id": {"personal-token", "ada", "-h"},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			err := run(t.Context(), args, os.Getenv, &out, io.Discard)
			if err == nil || !strings.Contains(err.Error(), "usage: local "+args[0]) || out.Len() > 0 {
				t.Errorf("%v\n%s", err, out.String())
			}
		})
	}
}
