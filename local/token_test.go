package main

import (
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/config"
)

// printed runs a command that makes a token. It gives the token, and the secret
// that holds what is printed for its member.
func printed(t *testing.T, member string, args ...string) (token string, secret config.Secret) {
	t.Helper()
	var out strings.Builder
	if err := run(t.Context(), args, os.Getenv, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile(`(?m)^  (nb[sp]_\S+)$`).FindStringSubmatch(out.String())
	list := regexp.MustCompile(`(?m)^  "` + member + `": (.*)$`).FindStringSubmatch(out.String())
	if shown == nil || list == nil || strings.Count(out.String(), shown[1]) != 1 {
		t.Fatalf("it prints\n%s", out.String())
	}
	const key = `[{"id":"k","key":"0123456789abcdef0123456789abcdef"}]`
	secret, err := config.ParseSecret([]byte(`{"callbackKeys":` + key + `,"imageKeys":` + key + `,"` + member + `":` + list[1] + `}`))
	if err != nil {
		t.Fatalf("%v, from\n%s", err, out.String())
	}
	return shown[1], secret
}

// What is printed for the secret is what accepts the token that is printed.
func TestServiceTokenCommand(t *testing.T) {
	for id, args := range map[string][]string{"preset": nil, "backend": {"backend"}} {
		token, secret := printed(t, "serviceTokens", append([]string{"service-token"}, args...)...)
		if !secret.ServiceTokens.Verify(token) || secret.ServiceTokens[0].ID != id {
			t.Errorf("%+v does not accept the token", secret.ServiceTokens)
		}
	}
}

func TestPersonalTokenCommand(t *testing.T) {
	for id, args := range map[string][]string{"claude": {"auth0|ada"}, "laptop": {"auth0|ada", "laptop"}} {
		token, secret := printed(t, "personalTokens", append([]string{"personal-token"}, args...)...)
		if owner := secret.PersonalTokens.Owner(token); owner != "auth0|ada" || secret.PersonalTokens[0].ID != id {
			t.Errorf("by %+v the token is %q's", secret.PersonalTokens, owner)
		}
	}
}

// Who asks for what cannot be is told how to ask, and gets no token.
func TestTokenCommandUsage(t *testing.T) {
	for name, args := range map[string][]string{
		"a server with a space":       {"service-token", "a b"},
		"a server without a name":     {"service-token", ""},
		"two servers":                 {"service-token", "a", "b"},
		"a server's flag":             {"service-token", "-h"},
		"nobody's":                    {"personal-token"},
		"an empty owner's":            {"personal-token", ""},
		"an owner's with a space":     {"personal-token", "a b"},
		"an owner's beyond ASCII":     {"personal-token", "ädä"},
		"an owner's who is too long":  {"personal-token", strings.Repeat("x", 129)},
		"ada's, a name with a space":  {"personal-token", "ada", "a b"},
		"ada's, without a name":       {"personal-token", "ada", ""},
		"ada's, with two names":       {"personal-token", "ada", "a", "b"},
		"a flag in the owner's place": {"personal-token", "-h"},
		"a flag in the name's place":  {"personal-token", "ada", "-h"},
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
