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

// A new token signs its owner in by the list that holds its entry, and the
// entry does not reveal it.
func TestPersonalToken(t *testing.T) {
	first, kept := token.NewPersonalToken("ada", "claude")
	second, keptToo := token.NewPersonalToken("ada", "laptop")
	other, others := token.NewPersonalToken(strings.Repeat("x", 128), "other")
	if !regexp.MustCompile(`^nbp_[A-Za-z0-9_-]{43}$`).MatchString(first) || first == second {
		t.Errorf("the tokens are %s and %s", first, second)
	}
	if sum := sha256.Sum256([]byte(first)); kept != (token.PersonalToken{ID: "claude", Owner: "ada", Hash: hex.EncodeToString(sum[:])}) {
		t.Errorf("the entry is %+v", kept)
	}
	line, err := json.Marshal([]token.PersonalToken{others, kept, keptToo})
	if err != nil || strings.Contains(string(line), first[len("nbp_"):]) {
		t.Fatalf("%s, %v", line, err)
	}
	var tokens token.PersonalTokens
	if err := json.Unmarshal(line, &tokens); err != nil || !reflect.DeepEqual(tokens, token.PersonalTokens{others, kept, keptToo}) {
		t.Fatalf("%+v, %v", tokens, err)
	}
	if err := tokens.Check("personalTokens"); err != nil {
		t.Errorf("Check: %v", err)
	}
	for candidate, want := range map[string]string{
		first: "ada", second: "ada", other: strings.Repeat("x", 128),
		"": "", "nbp_": "", first[:len(first)-1]: "", first + "A": "", " " + first: "", first[len("nbp_"):]: "",
		strings.ToUpper(first): "", kept.Hash: "", "nbp_" + kept.Hash: "", "ada": "", "claude": "",
	} {
		if owner := tokens.Owner(candidate); owner != want {
			t.Errorf("%q signs in %q, want %q", candidate, owner, want)
		}
	}
	if owner := (token.PersonalTokens{kept}).Owner(second); owner != "" {
		t.Errorf("the removed token still signs in %q", owner)
	}
	if token.PersonalTokens(nil).Owner(first) != "" || (token.PersonalTokens{{ID: "x", Owner: "ada"}}).Owner("") != "" {
		t.Error("accepted although the list has no token")
	}
}
