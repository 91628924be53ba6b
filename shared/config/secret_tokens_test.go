package config_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/config"
)

// withMember returns a secret that has this member too.
func withMember(name, member string) []byte {
	return []byte(strings.TrimSuffix(string(value("")), "}") + `,"` + name + `":` + member + `}`)
}

func TestParseSecretTokens(t *testing.T) {
	hash, another := strings.Repeat("0a", 32), strings.Repeat("0b", 32)
	s, err := config.ParseSecret(withMember("serviceTokens", `[{"id":"old","hash":"`+hash+`"},{"id":"new","hash":"`+another+`"}]`))
	if want := (token.ServiceTokens{{ID: "old", Hash: hash}, {ID: "new", Hash: another}}); err != nil || !reflect.DeepEqual(s.ServiceTokens, want) || len(s.PersonalTokens) > 0 {
		t.Errorf("ParseSecret = %+v, %v", s, err)
	}
	s, err = config.ParseSecret(withMember("personalTokens", `[{"id":"a","owner":"ada","hash":"`+hash+`"},{"id":"b","owner":"ada","hash":"`+another+`"}]`))
	if want := (token.PersonalTokens{{ID: "a", Owner: "ada", Hash: hash}, {ID: "b", Owner: "ada", Hash: another}}); err != nil || !reflect.DeepEqual(s.PersonalTokens, want) || len(s.ServiceTokens) > 0 {
		t.Errorf("ParseSecret = %+v, %v", s, err)
	}
}

func TestServiceTokenFaults(t *testing.T) {
	hash := strings.Repeat("0a", 32)
	for name, test := range map[string]struct{ member, fault string }{
		"a string":           {`"nbs_hunter2"`, "serviceTokens is not a list"},
		"a list of strings":  {`["nbs_hunter2"]`, "serviceTokens is not a list"},
		"the token itself":   {`[{"id":"a","hash":"nbs_hunter2"}]`, "serviceTokens[0].hash is not a SHA-256"},
		"no hash":            {`[{"id":"a"}]`, "serviceTokens[0].hash is not a SHA-256"},
		"a shorter hash":     {`[{"id":"a","hash":"` + hash[2:] + `"}]`, "serviceTokens[0].hash is not a SHA-256"},
		"an upper-case hash": {`[{"id":"a","hash":"` + strings.ToUpper(hash) + `"}]`, "serviceTokens[0].hash is not a SHA-256"},
		"no id":              {`[{"hash":"` + hash + `"}]`, "serviceTokens[0].id is not"},
		"one id twice":       {`[{"id":"a","hash":"` + hash + `"},{"id":"a","hash":"` + hash + `"}]`, "serviceTokens[1].id occurs twice"},
		"an empty entry":     {`[{}]`, "serviceTokens[0].id is not"},
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

func TestPersonalTokenFaults(t *testing.T) {
	hash, another := strings.Repeat("0a", 32), strings.Repeat("0b", 32)
	entry := func(id, owner, hash string) string {
		return string(must(json.Marshal(token.PersonalToken{ID: id, Owner: owner, Hash: hash})))
	}
	for name, test := range map[string]struct{ member, fault string }{
		"a string":                  {`"nbp_hunter2"`, "personalTokens is not a list"},
		"an entry outside a list":   {entry("a", "hunter2", hash), "personalTokens is not a list"},
		"a list of strings":         {`["nbp_hunter2"]`, "personalTokens is not a list"},
		"an owner that is a number": {`[{"id":"a","owner":7,"hash":"` + hash + `"}]`, "personalTokens is not a list"},
		"the token itself":          {`[` + entry("a", "ada", "nbp_hunter2") + `]`, "personalTokens[0].hash is not a SHA-256 in 64 lower-case hex digits: enter what make token prints"},
		"no hash":                   {`[{"id":"a","owner":"ada"}]`, "personalTokens[0].hash is not a SHA-256"},
		"a shorter hash":            {`[` + entry("a", "ada", hash[2:]) + `]`, "personalTokens[0].hash is not a SHA-256"},
		"an upper-case hash":        {`[` + entry("a", "ada", strings.ToUpper(hash)) + `]`, "personalTokens[0].hash is not a SHA-256"},
		"no id":                     {`[{"owner":"ada","hash":"` + hash + `"}]`, "personalTokens[0].id is not"},
		"one id twice":              {`[` + entry("a", "ada", hash) + `,` + entry("a", "bob", another) + `]`, "personalTokens[1].id occurs twice"},
		"one token for two owners":  {`[` + entry("a", "ada", hash) + `,` + entry("b", "bob", hash) + `]`, "personalTokens[1].hash occurs twice"},
		"no owner":                  {`[{"id":"a","hash":"` + hash + `"}]`, "personalTokens[0].owner is not 1 to 128 visible ASCII characters"},
		"an empty owner":            {`[` + entry("a", "ada", hash) + `,` + entry("b", "", another) + `]`, "personalTokens[1].owner is not"},
		"an owner with a space":     {`[` + entry("a", "hunter2 ", hash) + `]`, "personalTokens[0].owner is not"},
		"an owner with a newline":   {`[` + entry("a", "hunter2\n", hash) + `]`, "personalTokens[0].owner is not"},
		"an owner beyond ASCII":     {`[` + entry("a", "hünter2", hash) + `]`, "personalTokens[0].owner is not"},
		"a longer owner":            {`[` + entry("a", strings.Repeat("x", 129), hash) + `]`, "personalTokens[0].owner is not"},
		"an empty entry":            {`[{}]`, "personalTokens[0].id is not"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := config.ParseSecret(withMember("personalTokens", test.member))
			if err == nil || !strings.Contains(err.Error(), test.fault) || !reflect.ValueOf(s).IsZero() {
				t.Fatalf("got %v, want %q", err, test.fault)
			}
			for _, quoted := range []string{"hunter2", "nter2", hash, "ada", "bob"} {
				if strings.Contains(err.Error(), quoted) {
					t.Errorf("the error quotes the value: %v", err)
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
