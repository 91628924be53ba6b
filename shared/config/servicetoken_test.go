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

// withMember is a secret that has this member too.
func withMember(name, member string) []byte {
	return []byte(strings.TrimSuffix(string(value("")), "}") + `,"` + name + `":` + member + `}`)
}

// A token that is made is accepted once what is kept of it stands in the
// secret, and is not to be had from that.
func TestServiceToken(t *testing.T) {
	token, kept := config.NewServiceToken("preset")
	other, old := config.NewServiceToken("old")
	if !regexp.MustCompile(`^nbs_[A-Za-z0-9_-]{43}$`).MatchString(token) || token == other {
		t.Errorf("the tokens are %s and %s", token, other)
	}
	line, err := json.Marshal([]config.ServiceToken{old, kept})
	if err != nil || strings.Contains(string(line), token) || strings.Contains(string(line), token[len("nbs_"):]) {
		t.Fatalf("%s, %v", line, err)
	}
	if sum := sha256.Sum256([]byte(token)); kept.Hash != hex.EncodeToString(sum[:]) {
		t.Errorf("what is kept is %s", kept.Hash)
	}
	s, err := config.ParseSecret(withMember("serviceTokens", string(line)))
	if err != nil || !reflect.DeepEqual(s.ServiceTokens, config.ServiceTokens{old, kept}) {
		t.Fatalf("%+v, %v", s, err)
	}
	for candidate, want := range map[string]bool{
		token: true, other: true,
		"": false, "nbs_": false, token[:len(token)-1]: false, token + "A": false, " " + token: false, token[len("nbs_"):]: false,
		strings.ToUpper(token): false, kept.Hash: false, "nbs_" + kept.Hash: false,
	} {
		if s.ServiceTokens.Verify(candidate) != want {
			t.Errorf("%q is accepted: %v", candidate, !want)
		}
	}
	if config.ServiceTokens(nil).Verify(token) || config.ServiceTokens(nil).Verify("") || (config.ServiceTokens{{ID: "x"}}).Verify("") {
		t.Error("accepted with no token set")
	}
}

func TestServiceTokenFaults(t *testing.T) {
	hash := strings.Repeat("0a", 32)
	for name, test := range map[string]struct{ member, fault string }{
		"text":                       {`"nbs_hunter2"`, "serviceTokens is not a list"},
		"a list of texts":            {`["nbs_hunter2"]`, "serviceTokens is not a list"},
		"the token itself":           {`[{"id":"a","hash":"nbs_hunter2"}]`, "serviceTokens[0].hash is not a SHA-256"},
		"no hash":                    {`[{"id":"a"}]`, "serviceTokens[0].hash is not a SHA-256"},
		"a shorter hash":             {`[{"id":"a","hash":"` + hash[2:] + `"}]`, "serviceTokens[0].hash is not a SHA-256"},
		"upper case, never to match": {`[{"id":"a","hash":"` + strings.ToUpper(hash) + `"}]`, "serviceTokens[0].hash is not a SHA-256"},
		"no id":                      {`[{"hash":"` + hash + `"}]`, "serviceTokens[0].id is not"},
		"one id twice":               {`[{"id":"a","hash":"` + hash + `"},{"id":"a","hash":"` + hash + `"}]`, "serviceTokens[1].id stands there twice"},
		"an empty entry":             {`[{}]`, "serviceTokens[0].id is not"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.ParseSecret(withMember("serviceTokens", test.member))
			if err == nil || !strings.Contains(err.Error(), test.fault) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want %q", err, test.fault)
			}
		})
	}
	for _, none := range []string{`null`, `[]`} {
		if s, err := config.ParseSecret(withMember("serviceTokens", none)); err != nil || len(s.ServiceTokens) > 0 {
			t.Errorf("%s: %+v, %v", none, s, err)
		}
	}
}
