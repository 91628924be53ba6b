package token_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/auth/token"
)

// A new token is accepted by the list that holds its entry, and the entry does
// not reveal it.
func TestServiceToken(t *testing.T) {
	current, kept := token.NewServiceToken("preset")
	old, keptToo := token.NewServiceToken("old")
	if !regexp.MustCompile(`^nbs_[A-Za-z0-9_-]{43}$`).MatchString(current) || current == old {
		t.Errorf("the tokens are %s and %s", current, old)
	}
	line, err := json.Marshal([]token.ServiceToken{keptToo, kept})
	if err != nil || strings.Contains(string(line), current[len("nbs_"):]) {
		t.Fatalf("%s, %v", line, err)
	}
	if sum := sha256.Sum256([]byte(current)); kept.Hash != hex.EncodeToString(sum[:]) {
		t.Errorf("the entry's hash is %s", kept.Hash)
	}
	var tokens token.ServiceTokens
	if err := json.Unmarshal(line, &tokens); err != nil || !reflect.DeepEqual(tokens, token.ServiceTokens{keptToo, kept}) {
		t.Fatalf("%+v, %v", tokens, err)
	}
	if err := tokens.Check("serviceTokens"); err != nil {
		t.Errorf("Check: %v", err)
	}
	for candidate, want := range map[string]bool{
		current: true, old: true,
		"": false, "nbs_": false, current[:len(current)-1]: false, current + "A": false, " " + current: false, current[len("nbs_"):]: false,
		strings.ToUpper(current): false, kept.Hash: false, "nbs_" + kept.Hash: false,
	} {
		if tokens.Verify(candidate) != want {
			t.Errorf("Verify(%q) = %v", candidate, !want)
		}
	}
	if token.ServiceTokens(nil).Verify(current) || token.ServiceTokens(nil).Verify("") || (token.ServiceTokens{{ID: "x"}}).Verify("") {
		t.Error("accepted although the list has no token")
	}
}
