package moderation_test

import (
	"testing"

	"github.com/preset/nanobanana-functions/shared/moderation"
)

func TestCheck(t *testing.T) {
	f := moderation.New(
		moderation.Term{Text: "Forbidden", Category: "one"},
		moderation.Term{Text: "two words", Category: "two"},
		moderation.Term{Text: "straße", Category: "unicode"},
		moderation.Term{Text: " -- ", Category: "nothing"},
		moderation.Term{Text: "", Category: "nothing"},
	)
	for _, tt := range []struct{ name, prompt, category string }{
		{"an empty prompt passes", "", ""},
		{"a harmless prompt passes", "a cat on a roof -- at night", ""},
		{"a term is refused", "a forbidden thing", "one"},
		{"case does not matter", "FORBIDDEN", "one"},
		{"punctuation does not matter", "(forbidden!)", "one"},
		{"a term within a longer word passes", "unforbidden forbiddens", ""},
		{"two words across a line break are refused", "Two,\n  words", "two"},
		{"two words apart pass", "two other words", ""},
		{"letters beyond ASCII fold", "STRAßE", "unicode"},
		{"a zero-width character hides nothing", "for\u200bbidden", "one"},
		{"a long s hides nothing", "two wordſ", "two"},
		{"a combining mark makes another word", "forbidden\u0301", ""},
		{"invalid UTF-8 passes", "\xff\xfe", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			category, refused := f.Check(tt.prompt)
			if category != tt.category || refused != (tt.category != "") {
				t.Errorf("Check(%q) = %q, %v; want category %q", tt.prompt, category, refused, tt.category)
			}
		})
	}
}

func TestEmptyFilter(t *testing.T) {
	for _, f := range []moderation.Filter{{}, moderation.New(), moderation.New(moderation.Term{Text: "!"})} {
		if category, refused := f.Check("anything! at all"); refused || category != "" {
			t.Errorf("an empty filter refused: %q", category)
		}
	}
}
