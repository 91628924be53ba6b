package moderation

import (
	"unicode"
	"unicode/utf8"
)

// A word is one of a prompt, by its number in the list; 0 where it is in no pattern.
type word struct {
	id   uint16
	stop bool // something ends before it: a comma, a sentence, a line
}

// A token is a run of letters, digits and of signs that stand for letters, within
// the folded text; what is between it and the one before are separators.
type token struct {
	start, end int
	stop       bool
	single     bool // one character
}

// fold gives the folded text and its tokens.
func fold(s string) (text []byte, tokens []token) {
	text = make([]byte, 0, len(s)+len(s)/8)
	tokens = make([]token, 0, len(s)/5+1)
	var at token
	within, length := false, 0
	flush := func() {
		if within {
			at.end, at.single = len(text), length == 1
			tokens = append(tokens, at)
			at, within = token{}, false
		}
	}
	for _, c := range s {
		before := len(text)
		text = appendFold(text, c)
		folded := text[before:]
		text = text[:before]
		for len(folded) > 0 {
			f, size := utf8.DecodeRune(folded)
			folded = folded[size:]
			if inToken(f) {
				if !within {
					at.start, within, length = len(text), true, 0
				}
				length++
			} else {
				flush()
				at.stop = at.stop || stops(f)
			}
			text = utf8.AppendRune(text, f)
		}
	}
	flush()
	return text, tokens
}

// inToken says whether a folded character is part of a token.
func inToken(c rune) bool {
	if c < utf8.RuneSelf {
		return letter(byte(c)) || '0' <= c && c <= '9' || c == '*' || c == '#' || leet[c] != 0
	}
	return unicode.IsLetter(c) || unicode.IsDigit(c)
}

func letter(c byte) bool { return 'a' <= c && c <= 'z' || c >= utf8.RuneSelf }

func digit(c byte) bool { return '0' <= c && c <= '9' }

func stops(c rune) bool {
	switch c {
	case '.', ',', '!', '?', ';', ':', '\n', '(', ')':
		return true
	}
	return false
}

// leet are the signs that stand for letters; 1 and | for a second one, too.
var leet = [utf8.RuneSelf]byte{
	'0': 'o', '1': 'i', '3': 'e', '4': 'a', '5': 's', '7': 't', '8': 'b', '9': 'g',
	'@': 'a', '$': 's', '!': 'i', '|': 'i',
}

// read gives a prompt's words.
func (l *list) read(prompt string) []word {
	text, tokens := fold(prompt)
	r := reader{list: l, text: text, tokens: tokens, words: make([]word, 0, len(tokens)+len(tokens)/4+1)}
	for i := 0; i < len(tokens); {
		i = r.next(i)
	}
	return r.words
}

type reader struct {
	*list
	text   []byte
	tokens []token
	words  []word
}

func (r *reader) of(i int) []byte { return r.text[r.tokens[i].start:r.tokens[i].end] }

// between gives the separators before token i.
func (r *reader) between(i int) []byte { return r.text[r.tokens[i-1].end:r.tokens[i].start] }

func (r *reader) put(id uint16, i int) {
	r.words = append(r.words, word{id, i < len(r.tokens) && r.tokens[i].stop})
}

// maxGlued is the length of the longest word that is looked at for parts; a longer
// one is nothing that an image model would read either.
const maxGlued = 48

// next reads the words that start with token i, and says where the next ones do.
func (r *reader) next(i int) int {
	if r.tokens[i].single {
		j := i + 1
		for j < len(r.tokens) && r.tokens[j].single {
			j++
		}
		if j-i >= 3 {
			r.spaced(i, j)
			return j
		}
	}
	if i > 0 && r.tokens[i].single && string(r.between(i)) == "'" && !r.tokens[i-1].single {
		return i + 1 // the girl's
	}
	if j := r.joined(i); j > i {
		return j
	}
	t := r.of(i)
	if id, ok := r.known(t); ok {
		r.put(id, i)
		return i + 1
	}
	var plain, rare [maxGlued]byte
	if len(t) > maxGlued || !r.parts(t, glued, i) && !r.parts(single(rare[:], unleet(plain[:], t, 'i'), 0, 0), glued, i) {
		r.pieces(t, i)
	}
	return i + 1
}

// spaced reads single characters in a row, which may be a word's letters spaced out,
// or several words', with wider gaps between them.
func (r *reader) spaced(i, j int) {
	if r.letters(i, j) {
		return
	}
	narrow := len(r.between(i + 1))
	for k := i + 2; k < j; k++ {
		narrow = min(narrow, len(r.between(k)))
	}
	for begin := i; begin < j; {
		end := begin + 1
		for end < j && len(r.between(end)) == narrow {
			end++
		}
		if !r.letters(begin, end) {
			r.put(0, begin) // V O G U E is one word, too
		}
		begin = end
	}
}

// letters reads the characters of tokens i to j as one word or as words.
func (r *reader) letters(i, j int) bool {
	joined := make([]byte, 0, j-i)
	for k := i; k < j; k++ {
		joined = append(joined, r.of(k)...)
	}
	if id, ok := r.known(joined); ok {
		r.put(id, i)
		return true
	}
	return r.parts(joined, glued|filler, i)
}

// joined reads tokens with one and the same sign between them as a refused word.
func (r *reader) joined(i int) int {
	const most = 8
	end := i + 1
	for end < len(r.tokens) && end-i < most && r.tokens[end].end-r.tokens[i].start <= maxGlued {
		if s := r.between(end); len(s) != 1 || s[0] == ' ' || s[0] == '\n' || s[0] == '\'' || s[0] != r.between(i + 1)[0] {
			break
		}
		end++
	}
	for ; end > i+1; end-- {
		var whole []byte
		for k := i; k < end; k++ {
			whole = append(whole, r.of(k)...)
		}
		if id, ok := r.known(whole); ok && r.uses[id]&refusedAlone != 0 {
			r.put(id, i)
			return end
		}
	}
	return i
}

// pieces reads a token that is no word as a whole: its letters and its numbers, or if
// none of these is known either, one word.
func (r *reader) pieces(t []byte, i int) {
	first, found := len(r.words), false
	for len(t) > 0 {
		n, isWord := piece(t)
		if isWord {
			id, ok := r.known(t[:n])
			r.put(id, i)
			found = found || ok
		}
		t = t[n:]
	}
	if !found {
		r.words = append(r.words[:first], word{0, r.tokens[i].stop})
	}
}

// piece gives the length of the letters, or the number, or the signs that t begins
// with, and whether it is a word.
func piece(t []byte) (n int, isWord bool) {
	n = 1
	for n < len(t) && letter(t[n]) == letter(t[0]) && digit(t[n]) == digit(t[0]) {
		n++
	}
	return n, letter(t[0]) || digit(t[0])
}
