package moderation

import (
	_ "embed"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

//go:embed lookalikes.txt
var lookalikesText string

// lookalikes maps a character to the Latin letter that a reader takes it for. Only text
// beyond ASCII needs it.
var lookalikes = sync.OnceValue(func() map[rune]string {
	m := make(map[rune]string, 512)
	for line := range strings.Lines(lookalikesText) {
		letter, alike, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if letter == "#" {
			continue
		}
		for _, c := range alike {
			m[c] = letter
		}
	}
	return m
})

// appendFold appends what a reader sees in c, in small Latin letters where possible: its
// compatibility decomposition in lower case, with look-alikes replaced and without marks.
// It appends nothing for a character that shows nothing.
func appendFold(b []byte, c rune) []byte {
	if c < utf8.RuneSelf {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		return append(b, byte(c))
	}
	alike := lookalikes()
	if letter, ok := alike[c]; ok {
		return append(b, letter...)
	}
	var encoded [utf8.UTFMax]byte
	parts := utf8.AppendRune(encoded[:0], c)
	if d := norm.NFKD.Properties(parts).Decomposition(); d != nil {
		parts = d
	}
	for len(parts) > 0 {
		c, size := utf8.DecodeRune(parts)
		parts = parts[size:]
		if alike[c] == "" {
			if unseen(c) {
				continue
			}
			c = lower(c)
		}
		if letter, ok := alike[c]; ok {
			b = append(b, letter...)
		} else {
			b = utf8.AppendRune(b, c)
		}
	}
	return b
}

// unseen reports whether c shows nothing by itself: a mark, or a character without width.
func unseen(c rune) bool {
	return unicode.In(c, unicode.Mn, unicode.Me, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point)
}

// lower maps c to upper case first, since some letters have two small forms (ſ, ς).
func lower(c rune) rune { return unicode.ToLower(unicode.ToUpper(c)) }
