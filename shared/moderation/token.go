package moderation

import (
	"unicode"
	"unicode/utf8"
)

// A token is a run of letters, digits and signs that can stand for letters, in the
// folded text. Between two tokens are separators.
type token struct {
	start, end int
	stop       bool // a comma, a sentence or a line ends before it
	single     bool // it has one character
}

// tokenize returns the folded text and its tokens.
func tokenize(s string) (text []byte, tokens []token) {
	text = make([]byte, 0, len(s)+len(s)/8)
	tokens = make([]token, 0, len(s)/5+1)
	var open token
	length := 0 // characters of the open token; 0: none is open
	flush := func() {
		if length > 0 {
			open.end, open.single = len(text), length == 1
			tokens = append(tokens, open)
			open, length = token{}, 0
		}
	}
	for _, c := range s {
		start := len(text)
		folded := appendFold(text, c)[start:]
		for len(folded) > 0 {
			f, size := utf8.DecodeRune(folded)
			folded = folded[size:]
			if inToken(f) {
				if length == 0 {
					open.start = len(text)
				}
				length++
			} else {
				flush()
				open.stop = open.stop || stops(f)
			}
			text = utf8.AppendRune(text, f)
		}
	}
	flush()
	return text, tokens
}

// inToken reports whether a folded character can be part of a token.
func inToken(c rune) bool {
	if c < utf8.RuneSelf {
		return letter(byte(c)) || digit(byte(c)) || c == '*' || c == '#' || leet[c] != 0
	}
	return unicode.IsLetter(c) || unicode.IsDigit(c)
}

func letter(c byte) bool { return 'a' <= c && c <= 'z' || c >= utf8.RuneSelf }

func digit(c byte) bool { return '0' <= c && c <= '9' }

// stops reports whether c ends a part of a sentence.
func stops(c rune) bool {
	switch c {
	case '.', ',', '!', '?', ';', ':', '\n', '(', ')':
		return true
	}
	return false
}
