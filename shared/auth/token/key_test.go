package token_test

import (
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/auth/token"
)

const (
	keyA = "aaaaaaaaaaaaaaaaaaaaaaaa"
	keyB = "bbbbbbbbbbbbbbbbbbbbbbbb"
)

func TestKeys(t *testing.T) {
	retiring, signing := token.Key{ID: "old", Key: keyA}, token.Key{ID: "new", Key: keyB}
	rolling := token.Keys{signing, retiring}
	signed := rolling.Sign("callback|id|1")
	// From: printf 'callback|id|1' | openssl dgst -sha256 -hmac bbbbbbbbbbbbbbbbbbbbbbbb -binary | basenc --base64url
	if want := "new.Z7Md3mDxwXo5MqSNQcGo2VIVFGEs_54wx9xddO8hB0o"; signed != want {
		t.Errorf("Sign = %q, want %q", signed, want)
	}
	oldToken := token.Keys{retiring}.Sign("callback|id|1")
	long := token.Key{ID: strings.Repeat("x", 32), Key: keyA}
	for _, tt := range []struct {
		name            string
		keys            token.Keys
		message, signed string
		want            bool
	}{
		{"the first key's token", rolling, "callback|id|1", signed, true},
		{"the second key's token", rolling, "callback|id|1", oldToken, true},
		{"a token of the longest id", token.Keys{long}, "m", token.Keys{long}.Sign("m"), true},
		{"a retired key's token", token.Keys{signing}, "callback|id|1", oldToken, false},
		{"another message", rolling, "callback|id|2", signed, false},
		{"another id before the same code", rolling, "callback|id|1", "old." + signed[4:], false},
		{"an unknown id", rolling, "callback|id|1", "nil." + signed[4:], false},
		{"cut short", rolling, "callback|id|1", signed[:len(signed)-1], false},
		{"one more character", rolling, "callback|id|1", signed + "A", false},
		{"padded", rolling, "callback|id|1", signed + "=", false},
		{"empty", rolling, "callback|id|1", "", false},
		{"the code alone", rolling, "callback|id|1", signed[4:], false},
		{"endless", rolling, "callback|id|1", strings.Repeat("a", 1<<20), false},
		{"no keys", nil, "callback|id|1", signed, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.keys.Verify(tt.message, tt.signed); got != tt.want {
				t.Errorf("Verify = %v", got)
			}
		})
	}
	t.Run("every single bit counts", func(t *testing.T) {
		for i := range len(signed) * 8 {
			b := []byte(signed)
			b[i/8] ^= 1 << (i % 8)
			if rolling.Verify("callback|id|1", string(b)) {
				t.Errorf("verified with bit %d off", i)
			}
		}
	})
}
