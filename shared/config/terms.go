package config

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The bounds of a list of terms, against a file pasted by mistake. On Lambda all
// variables of a function share 4 KB, which template.yaml takes into account.
const (
	maxTerms = 500
	maxTerm  = 60 // characters
)

// terms reads words or phrases, in any script, as written.
func (r *reader) terms(name string) []string {
	entries := r.list(name, "")
	if len(entries) > maxTerms {
		r.fault(name, fmt.Sprintf("has more than %d entries: remove some", maxTerms))
		return nil
	}
	for i, e := range entries {
		wrong := ""
		switch {
		case !utf8.ValidString(e) || strings.ContainsFunc(e, func(c rune) bool { return !unicode.IsPrint(c) && !unicode.Is(unicode.Cf, c) }):
			wrong = "has characters that are not text: write words separated by single spaces"
		case utf8.RuneCountInString(e) > maxTerm:
			wrong = fmt.Sprintf("is longer than %d characters: write a word or a short phrase", maxTerm)
		case !strings.ContainsFunc(e, func(c rune) bool { return unicode.IsLetter(c) || unicode.IsDigit(c) }):
			wrong = "has no letter or digit: write a word or a short phrase"
		}
		if wrong != "" {
			r.fault(name, fmt.Sprintf("entry %d %s", i+1, wrong))
			return nil
		}
	}
	return entries
}
