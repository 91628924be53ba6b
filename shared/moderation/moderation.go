// Package moderation refuses prompts before they cost anything. It is a seam: its
// list is empty until somebody fills it, and the provider judges every prompt anyway.
package moderation

import (
	"strings"
	"unicode"
)

// A Term is a word, or words in a row, that no prompt may contain.
type Term struct {
	Text     string
	Category string // what the refusal is counted under; never shown with the text
}

// A Filter judges prompts. The zero Filter refuses none. It is safe for concurrent use.
type Filter struct {
	terms []Term // Text as words gives it
}

// New gives a Filter that refuses these terms. A term without a letter or digit matches nothing.
func New(terms ...Term) Filter {
	var f Filter
	for _, t := range terms {
		if t.Text = words(t.Text); t.Text != "" {
			f.terms = append(f.terms, t)
		}
	}
	return f
}

// Check reports whether the prompt contains a term as whole words, in any case
// and with any punctuation or space between them, and the first such term's category.
func (f Filter) Check(prompt string) (category string, refused bool) {
	text := words(prompt)
	for _, t := range f.terms {
		if strings.Contains(text, t.Text) {
			return t.Category, true
		}
	}
	return "", false
}

// words gives the words of s in lower case, a space on each side of every one; ""
// if there are none.
func words(s string) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case unicode.Is(unicode.Cf, c):
			return -1 // a zero-width character within a word would hide it
		case unicode.IsLetter(c), unicode.IsDigit(c), unicode.IsMark(c):
			// By way of upper case, since some letters have two lower ones (ſ, ς).
			return unicode.ToLower(unicode.ToUpper(c))
		}
		return ' '
	}, s)
	fields := strings.Fields(s)
	if len(fields) == 0 {
		return ""
	}
	return " " + strings.Join(fields, " ") + " "
}
