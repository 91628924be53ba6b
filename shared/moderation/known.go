package moderation

import (
	"bytes"
	"slices"
)

// signs stand around words, and not only for letters: #tag, *word*, Now!
const signs = "#*|!"

// known finds the word of the list that a token is, or stands for: with signs for
// letters, with repeated letters, with letters masked.
func (l *list) known(t []byte) (uint16, bool) {
	if id, ok := l.ids[string(t)]; ok {
		return id, true
	}
	whole := bytes.TrimLeft(t, "#*|")
	t = bytes.TrimRight(whole, signs)
	letters, masks := 0, 0
	for _, c := range t {
		switch {
		case letter(c):
			letters++
		case c == '*' || c == '#':
			masks++
		}
	}
	if len(t) < 2 || len(whole) > maxGlued || letters == 0 {
		return 0, false
	}
	if masks > 0 {
		return l.masked(t, masks)
	}
	var room [maxGlued]byte
	for _, signs := range [...]struct {
		t   []byte
		one byte
	}{{t, 'i'}, {t, 'l'}, {whole, 'i'}} {
		plain := unleet(room[:], signs.t, signs.one)
		if id, ok := l.ids[string(plain)]; ok {
			return id, true
		}
		if id, ok := l.repeated(plain); ok || letters == len(whole) {
			return id, ok
		}
	}
	return 0, false
}

// unleet replaces the signs that stand for letters; one is what a 1 does. Like the
// functions below it writes into room, so that a token costs no memory.
func unleet(room, t []byte, one byte) []byte {
	plain := append(room[:0], t...)
	for i, c := range plain {
		switch {
		case c == '1' || c == '|':
			plain[i] = one
		case c < '\x80' && leet[c] != 0:
			plain[i] = leet[c]
		}
	}
	return plain
}

// repeated finds a word that has fewer of some letters in a row: of each row in t it
// has one letter, but two in up to two of the rows.
func (l *list) repeated(t []byte) (uint16, bool) {
	const most = 14
	var room [maxGlued]byte
	rows := 0
	for i := 1; i < len(t); i++ {
		if t[i] == t[i-1] && (i == 1 || t[i] != t[i-2]) {
			rows++
		}
	}
	if rows == 0 || rows > most {
		return 0, false
	}
	if len(t) > 3 && len(single(room[:], t, 0, 0)) == 1 {
		id, ok := l.ids[string(t[:3])] // xxxxx
		return id, ok
	}
	if id, ok := l.ids[string(evenly(room[:], t))]; ok {
		return id, true
	}
	var best uint16 // of several a refused word, or else a longer one: rather teen than ten
	for first := range rows + 1 {
		for second := range first + 1 {
			id, ok := l.ids[string(single(room[:], t, first, second))]
			switch {
			case ok && l.uses[id]&refusedAlone != 0:
				return id, true
			case ok && (best == 0 || len(l.words[best]) == 3 && len(l.words[id]) > 3):
				best = id
			}
		}
	}
	return best, best != 0
}

// evenly gives the word that t is if all its letters are repeated as often.
func evenly(room, t []byte) []byte {
	least := len(t)
	for i, n := 0, 0; i < len(t); i += n {
		n = row(t[i:])
		least = min(least, n)
	}
	w := room[:0]
	for i := 0; i < len(t); i += row(t[i:]) {
		for range row(t[i:]) / least {
			w = append(w, t[i])
		}
	}
	return w
}

// row gives how many letters are the first one.
func row(t []byte) int {
	n := 1
	for n < len(t) && t[n] == t[0] {
		n++
	}
	return n
}

// single gives t with each letter but once in a row, but for two rows, counted from 1.
func single(room, t []byte, first, second int) []byte {
	w, row := room[:0], 0
	for i, c := range t {
		switch {
		case i == 0 || c != t[i-1]:
			w = append(w, c)
		case i == 1 || c != t[i-2]:
			if row++; row == first || row == second {
				w = append(w, c)
			}
		}
	}
	return w
}

// masked finds a refused word some of whose letters are masked, f*ck: at most half
// of them, and not the first.
func (l *list) masked(t []byte, masks int) (uint16, bool) {
	if masks*2 > len(t) || len(t) > longest {
		return 0, false
	}
	var room [maxGlued]byte
	t = unleet(room[:], t, 'i')
	for _, id := range l.alone {
		w := l.words[id]
		if len(w) != len(t) || w[0] != t[0] {
			continue
		}
		i := 1
		for i < len(t) && (t[i] == w[i] || t[i] == '*' || t[i] == '#') {
			i++
		}
		if i == len(t) {
			return id, true
		}
	}
	return 0, false
}

// longest is how long a word may be to be found masked, or within another.
const longest = 14

// parts reads a token that is several words written together, one of them refused
// and the others such as go with it. It finds, letter by letter, a reading of all
// that comes before, preferring one with a refused word in it.
func (r *reader) parts(t []byte, with use, i int) bool {
	var room [maxGlued + 1]part
	ends := room[:] // the last word of the reading that ends there; of no length where there is none
	if len(t) > maxGlued {
		ends = make([]part, len(t)+1)
	}
	for end := 1; end <= len(t); end++ {
		for n := 1; n <= min(end, longest); n++ {
			before := ends[end-n]
			if n < end && before.length == 0 {
				continue
			}
			id, ok := r.ids[string(t[end-n:end])]
			if !ok {
				continue
			}
			alone := r.uses[id]&refusedAlone != 0 && n > 2
			if refused := alone || before.refused; (alone || r.uses[id]&with != 0) && (refused || ends[end].length == 0) {
				ends[end] = part{id, uint8(n), refused}
			}
		}
	}
	if !ends[len(t)].refused {
		return false
	}
	first := len(r.words)
	for end := len(t); end > 0; end -= int(ends[end].length) {
		r.words = append(r.words, word{id: ends[end].id})
	}
	slices.Reverse(r.words[first:])
	r.words[first].stop = r.tokens[i].stop
	return true
}

type part struct {
	id      uint16
	length  uint8
	refused bool
}
