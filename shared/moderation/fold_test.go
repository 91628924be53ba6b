package moderation

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

func TestLookalikes(t *testing.T) {
	seen := map[rune]string{}
	for line := range strings.Lines(lookalikesText) {
		letter, alike, _ := strings.Cut(strings.TrimSpace(line), " ")
		if letter == "#" {
			continue
		}
		for _, c := range alike {
			if seen[c] != "" {
				t.Errorf("%c is listed for %s and for %s", c, seen[c], letter)
			}
			if seen[c] = letter; string(appendFold(nil, c)) != letter {
				t.Errorf("%c folds to %q, want %q", c, appendFold(nil, c), letter)
			}
		}
	}
	if len(seen) < 200 {
		t.Errorf("only %d look-alikes were read", len(seen))
	}
}

func TestFold(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"small letters and signs stay", "a b-c 1!", "a b-c 1!"},
		{"capitals become small", "AbC ÀÉ ЖΩ", "abc ae жw"},
		{"marks are dropped, composed or not", "ńu\u0308dẹ́", "nude"},
		{"fullwidth, bold, circled and squared letters are plain", "ｎ𝐮ⓓ🅴", "nude"},
		{"Cyrillic, Greek and small capitals are read as Latin", "пυᴅе", "nude"},
		{"ligatures and sharp s are two letters", "æœßﬁ", "aeoessfi"},
		{"a long s and a final sigma are an s", "ſς", "ss"},
		{"characters without width are dropped", "n\u200bu\u00add\u2060e\ufeff", "nude"},
		{"other scripts stay", "東京 한국 سوق", "東京 한국 سوق"},
		{"Japanese sounds lose their marks, halfwidth or not", "ヌード ﾇｰﾄﾞ", "ヌート ヌート"},
		{"invalid bytes become the replacement character", "a\xffb", "a\ufffdb"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []byte
			for _, c := range tt.text {
				got = appendFold(got, c)
			}
			if string(got) != tt.want {
				t.Errorf("%+q folds to %q, want %q", tt.text, got, tt.want)
			}
		})
	}
}

// At every code point the fold is what Unicode's own decomposition and the list of
// look-alikes make of it. Hangul syllables stay whole, as words are found faster so.
func TestFoldOfEveryCodePoint(t *testing.T) {
	alike, wrong := lookalikes(), 0
	for c := rune(utf8.RuneSelf); c <= unicode.MaxRune && wrong < 20; c++ {
		if !utf8.ValidRune(c) || unicode.Is(unicode.Hangul, c) && c >= 0xAC00 {
			continue
		}
		want := ""
		parts := norm.NFKD.String(string(c))
		if alike[c] != "" {
			parts = string(c)
		}
		for _, part := range parts {
			switch {
			case alike[part] != "":
				want += alike[part]
			case unseen(part):
			case alike[lower(part)] != "":
				want += alike[lower(part)]
			default:
				want += string(lower(part))
			}
		}
		if got := string(appendFold(nil, c)); got != want {
			wrong++
			t.Errorf("%U %c folds to %q, want %q", c, c, got, want)
		}
	}
}
