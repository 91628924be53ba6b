package moderation

import "slices"

// A word is one of a prompt's, by its number in the list; 0 if the list does not have it.
type word struct {
	id   uint16
	stop bool // a comma, a sentence or a line ends before it
}

// maxGlued is the length in bytes of the longest token that is searched for words written
// together. An image model would not read a longer one either.
const maxGlued = 48

// maxWithin is the length in bytes of the longest word that is found masked or within a
// longer token.
const maxWithin = 14

// read returns a prompt's words.
func (l *list) read(prompt string) []word {
	text, tokens := tokenize(prompt)
	r := reader{list: l, text: text, tokens: tokens, words: make([]word, 0, len(tokens)+len(tokens)/4+1)}
	for i := 0; i < len(tokens); {
		i = r.next(i)
	}
	return r.words
}

// A reader turns tokens into words.
type reader struct {
	*list
	text   []byte
	tokens []token
	words  []word // read so far
}

// token returns the text of token i.
func (r *reader) token(i int) []byte { return r.text[r.tokens[i].start:r.tokens[i].end] }

// separators returns the text between token i and the one before it.
func (r *reader) separators(i int) []byte { return r.text[r.tokens[i-1].end:r.tokens[i].start] }

// put appends a word that begins with token i.
func (r *reader) put(id uint16, i int) {
	r.words = append(r.words, word{id, r.tokens[i].stop})
}

// next reads the words that begin with token i and returns the token after them.
func (r *reader) next(i int) int {
	if end := r.singles(i); end-i >= 3 {
		r.readSpaced(i, end)
		return end
	}
	if i > 0 && r.tokens[i].single && string(r.separators(i)) == "'" && !r.tokens[i-1].single {
		return i + 1 // the girl's
	}
	if end := r.readJoined(i); end > i {
		return end
	}
	t := r.token(i)
	if id, ok := r.spelled(t); ok {
		r.put(id, i)
		return i + 1
	}
	var unleeted, collapsed [maxGlued]byte
	if len(t) > maxGlued || !r.readGlued(t, glued, i) && !r.readGlued(collapse(collapsed[:], unleet(unleeted[:], t, 'i'), 0, 0), glued, i) {
		r.readPieces(t, i)
	}
	return i + 1
}

// singles returns the end of the one-character tokens from token i on.
func (r *reader) singles(i int) int {
	for i < len(r.tokens) && r.tokens[i].single {
		i++
	}
	return i
}

// readSpaced reads one-character tokens in a row: the letters of one word, n u d e, or of
// several with wider gaps between them.
func (r *reader) readSpaced(i, end int) {
	if r.readLetters(i, end) {
		return
	}
	narrow := len(r.separators(i + 1))
	for k := i + 2; k < end; k++ {
		narrow = min(narrow, len(r.separators(k)))
	}
	for i < end {
		wordEnd := i + 1
		for wordEnd < end && len(r.separators(wordEnd)) == narrow {
			wordEnd++
		}
		if !r.readLetters(i, wordEnd) {
			r.put(0, i) // V O G U E is one word, too
		}
		i = wordEnd
	}
}

// readLetters reads the characters of tokens i to end as one word or as several, and
// reports whether they are.
func (r *reader) readLetters(i, end int) bool {
	letters := make([]byte, 0, end-i)
	for k := i; k < end; k++ {
		letters = append(letters, r.token(k)...)
	}
	if id, ok := r.spelled(letters); ok {
		r.put(id, i)
		return true
	}
	return r.readGlued(letters, glued|filler, i)
}

// readJoined reads tokens from i on with the same sign between them as a refused word,
// na-ked, and returns the token after them; i if they are none.
func (r *reader) readJoined(i int) int {
	const most = 8
	end := i + 1
	for end < len(r.tokens) && end-i < most && r.tokens[end].end-r.tokens[i].start <= maxGlued {
		if s := r.separators(end); len(s) != 1 || s[0] == ' ' || s[0] == '\n' || s[0] == '\'' || s[0] != r.separators(i + 1)[0] {
			break
		}
		end++
	}
	for ; end > i+1; end-- {
		var whole []byte
		for k := i; k < end; k++ {
			whole = append(whole, r.token(k)...)
		}
		if id, ok := r.spelled(whole); ok && r.uses[id]&refusedAlone != 0 {
			r.put(id, i)
			return end
		}
	}
	return i
}

// readPieces reads a token that is not a word as a whole: its letters and its numbers
// each, or one unknown word if the list has none of them.
func (r *reader) readPieces(t []byte, i int) {
	first, found := len(r.words), false
	for len(t) > 0 {
		n := pieceLength(t)
		if letter(t[0]) || digit(t[0]) {
			id, ok := r.spelled(t[:n])
			r.put(id, i)
			found = found || ok
		}
		t = t[n:]
	}
	if !found {
		r.words = r.words[:first]
		r.put(0, i)
	}
}

// pieceLength returns the length of the letters, the number or the signs that t begins with.
func pieceLength(t []byte) int {
	n := 1
	for n < len(t) && letter(t[n]) == letter(t[0]) && digit(t[n]) == digit(t[0]) {
		n++
	}
	return n
}

// readGlued reads a token as several words written together, one of them refused and the
// others such as go with it, nakedwoman, and reports whether it is. For each end it keeps
// the best split of the bytes before it, preferring one with a refused word.
func (r *reader) readGlued(t []byte, with use, i int) bool {
	var room [maxGlued + 1]split
	splits := room[:] // by end
	if len(t) > maxGlued {
		splits = make([]split, len(t)+1)
	}
	splits[0].ok = true
	for end := 1; end <= len(t); end++ {
		for n := 1; n <= min(end, maxWithin); n++ {
			before := splits[end-n]
			if !before.ok {
				continue
			}
			id, ok := r.ids[string(t[end-n:end])]
			if !ok {
				continue
			}
			alone := r.uses[id]&refusedAlone != 0 && n > 2
			refused := alone || before.refused
			if (alone || r.uses[id]&with != 0) && (refused || !splits[end].ok) {
				splits[end] = split{id, uint8(n), true, refused}
			}
		}
	}
	if !splits[len(t)].refused {
		return false
	}
	first := len(r.words)
	for end := len(t); end > 0; end -= int(splits[end].length) {
		r.words = append(r.words, word{id: splits[end].last})
	}
	slices.Reverse(r.words[first:])
	r.words[first].stop = r.tokens[i].stop
	return true
}

// A split is a way to read the first bytes of a token as words.
type split struct {
	last    uint16 // the last word
	length  uint8  // the last word's
	ok      bool   // there is one
	refused bool   // a refused word is among them
}
