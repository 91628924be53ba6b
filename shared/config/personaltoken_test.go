package config_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/config"
)

// A token that is made stands for its owner once what is kept of it is in the
// secret, and is not to be had from that.
func TestPersonalToken(t *testing.T) {
	token, kept := config.NewPersonalToken("ada", "claude")
	second, keptToo := config.NewPersonalToken("ada", "laptop")
	other, others := config.NewPersonalToken(strings.Repeat("x", 128), "other")
	if !regexp.MustCompile(`^nbp_[A-Za-z0-9_-]{43}$`).MatchString(token) || token == second {
		t.Errorf("the tokens are %s and %s", token, second)
	}
	if sum := sha256.Sum256([]byte(token)); kept != (config.PersonalToken{ID: "claude", Owner: "ada", Hash: hex.EncodeToString(sum[:])}) {
		t.Errorf("what is kept is %+v", kept)
	}
	line, err := json.Marshal([]config.PersonalToken{others, kept, keptToo})
	if err != nil || strings.Contains(string(line), token[len("nbp_"):]) {
		t.Fatalf("%s, %v", line, err)
	}
	s, err := config.ParseSecret(withMember("personalTokens", string(line)))
	if err != nil || !reflect.DeepEqual(s.PersonalTokens, config.PersonalTokens{others, kept, keptToo}) || len(s.ServiceTokens) > 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	for candidate, want := range map[string]string{
		token: "ada", second: "ada", other: strings.Repeat("x", 128),
		"": "", "nbp_": "", token[:len(token)-1]: "", token + "A": "", " " + token: "", token[len("nbp_"):]: "",
		strings.ToUpper(token): "", kept.Hash: "", "nbp_" + kept.Hash: "", "ada": "", "claude": "",
	} {
		if owner := s.PersonalTokens.Owner(candidate); owner != want {
			t.Errorf("%q is %q's, want %q", candidate, owner, want)
		}
	}
	if owner := (config.PersonalTokens{kept}).Owner(second); owner != "" {
		t.Errorf("taken out, the token is still %q's", owner)
	}
	if config.PersonalTokens(nil).Owner(token) != "" || (config.PersonalTokens{{ID: "x", Owner: "ada"}}).Owner("") != "" {
		t.Error("somebody's with no token set")
	}
}

func TestPersonalTokenFaults(t *testing.T) {
	hash, another := strings.Repeat("0a", 32), strings.Repeat("0b", 32)
	entry := func(id, owner, hash string) string {
		return string(must(json.Marshal(config.PersonalToken{ID: id, Owner: owner, Hash: hash})))
	}
	for name, test := range map[string]struct{ member, fault string }{
		"text":                       {`"nbp_hunter2"`, "personalTokens is not a list"},
		"one entry, not in a list":   {entry("a", "hunter2", hash), "personalTokens is not a list"},
		"a list of texts":            {`["nbp_hunter2"]`, "personalTokens is not a list"},
		"an owner who is a number":   {`[{"id":"a","owner":7,"hash":"` + hash + `"}]`, "personalTokens is not a list"},
		"the token itself":           {`[` + entry("a", "ada", "nbp_hunter2") + `]`, "personalTokens[0].hash is not a SHA-256 in 64 lower-case hex digits: put in what make token prints"},
		"no hash":                    {`[{"id":"a","owner":"ada"}]`, "personalTokens[0].hash is not a SHA-256"},
		"a shorter hash":             {`[` + entry("a", "ada", hash[2:]) + `]`, "personalTokens[0].hash is not a SHA-256"},
		"upper case, never to match": {`[` + entry("a", "ada", strings.ToUpper(hash)) + `]`, "personalTokens[0].hash is not a SHA-256"},
		"no id":                      {`[{"owner":"ada","hash":"` + hash + `"}]`, "personalTokens[0].id is not"},
		"one id twice":               {`[` + entry("a", "ada", hash) + `,` + entry("a", "bob", another) + `]`, "personalTokens[1].id stands there twice"},
		"one token for two owners":   {`[` + entry("a", "ada", hash) + `,` + entry("b", "bob", hash) + `]`, "personalTokens[1].hash stands there twice"},
		"no owner":                   {`[{"id":"a","hash":"` + hash + `"}]`, "personalTokens[0].owner is not 1 to 128 visible ASCII characters"},
		"an empty owner":             {`[` + entry("a", "ada", hash) + `,` + entry("b", "", another) + `]`, "personalTokens[1].owner is not"},
		"an owner with a space":      {`[` + entry("a", "hunter2 ", hash) + `]`, "personalTokens[0].owner is not"},
		"an owner with a newline":    {`[` + entry("a", "hunter2\n", hash) + `]`, "personalTokens[0].owner is not"},
		"an owner beyond ASCII":      {`[` + entry("a", "hünter2", hash) + `]`, "personalTokens[0].owner is not"},
		"a longer owner":             {`[` + entry("a", strings.Repeat("x", 129), hash) + `]`, "personalTokens[0].owner is not"},
		"an empty entry":             {`[{}]`, "personalTokens[0].id is not"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := config.ParseSecret(withMember("personalTokens", test.member))
			if err == nil || !strings.Contains(err.Error(), test.fault) || !reflect.ValueOf(s).IsZero() {
				t.Fatalf("got %v, want %q", err, test.fault)
			}
			for _, quoted := range []string{"hunter2", "nter2", hash, "ada", "bob"} {
				if strings.Contains(err.Error(), quoted) {
					t.Errorf("the value is quoted: %v", err)
				}
			}
		})
	}
	for _, none := range []string{`null`, `[]`} {
		if s, err := config.ParseSecret(withMember("personalTokens", none)); err != nil || len(s.PersonalTokens) > 0 {
			t.Errorf("%s: %+v, %v", none, s, err)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
