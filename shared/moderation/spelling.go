package moderation

import (
	"bytes"
	"unicode/utf8"
)

// signs can stand around a word as well as for its letters: #tag, *word*, Now!
const signs = "#*|!"

// leet maps a sign to the letter that it stands for. 1 and | also stand for an l.
var leet = [utf8.RuneSelf]byte{
	'0': 'o', '1': 'i', '3': 'e', '4': 'a', '5': 's', '7': 't', '8': 'b', '9': 'g',
	'@': 'a', '$': 's', '!': 'i', '|': 'i',
}

// spelled returns the word of the list that t spells, and whether there is one: as it is
// written, with signs for letters, with letters repeated or with letters masked.
func (l *list) spelled(t []byte) (uint16, bool) {
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
	for _, try := range [...]struct {
		t   []byte
		one byte // what a 1 stands for
	}{{t, 'i'}, {t, 'l'}, {whole, 'i'}} {
		plain := unleet(room[:], try.t, try.one)
		if id, ok := l.ids[string(plain)]; ok {
			return id, true
		}
		if id, ok := l.repeated(plain); ok || letters == len(whole) {
			return id, ok
		}
	}
	return 0, false
}

// unleet replaces the signs that stand for letters; a 1 stands for one. Like collapse it
// writes into room, so that a token needs no memory of its own.
func unleet(room, t []byte, one byte) []byte {
	plain := append(room[:0], t...)
	for i, c := range plain {
		switch {
		case c == '1' || c == '|':
			plain[i] = one
		case c < utf8.RuneSelf && leet[c] != 0:
			plain[i] = leet[c]
		}
	}
	return plain
}

// repeated returns the word that t spells with letters repeated. It tries t with one
// letter for each run of the same letter, and with two in up to two of the runs. Of
// several words it prefers a refused one, then one of more than three letters: teen
// rather than ten.
func (l *list) repeated(t []byte) (uint16, bool) {
	const most = 14 // runs
	var room [maxGlued]byte
	runs := 0
	for i := 1; i < len(t); i++ {
		if t[i] == t[i-1] && (i == 1 || t[i] != t[i-2]) {
			runs++
		}
	}
	if runs == 0 || runs > most {
		return 0, false
	}
	if len(t) > 3 && len(collapse(room[:], t, 0, 0)) == 1 {
		id, ok := l.ids[string(t[:3])] // xxxxx
		return id, ok
	}
	if id, ok := l.ids[string(collapseEvenly(room[:], t))]; ok {
		return id, true
	}
	var best uint16
	for first := range runs + 1 {
		for second := range first + 1 {
			id, ok := l.ids[string(collapse(room[:], t, first, second))]
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

// collapse returns t with one letter for each run of the same letter, and with two for
// the runs first and second, counted from 1 among the runs of several letters.
func collapse(room, t []byte, first, second int) []byte {
	w, run := room[:0], 0
	for i, c := range t {
		switch {
		case i == 0 || c != t[i-1]:
			w = append(w, c)
		case i == 1 || c != t[i-2]:
			if run++; run == first || run == second {
				w = append(w, c)
			}
		}
	}
	return w
}

// collapseEvenly returns the word in which each letter of t is repeated equally often.
func collapseEvenly(room, t []byte) []byte {
	least, w := len(t), room[:0]
	for rest := t; len(rest) > 0; rest = rest[run(rest):] {
		least = min(least, run(rest))
	}
	for rest := t; len(rest) > 0; rest = rest[run(rest):] {
		w = append(w, rest[:run(rest)/least]...)
	}
	return w
}

// run returns how many letters at the head of t are the same.
func run(t []byte) int {
	n := 1
	for n < len(t) && t[n] == t[0] {
		n++
	}
	return n
}

// masked returns the refused word that t spells with masks for some of its letters,
// f*ck: at most half of them, and not the first.
func (l *list) masked(t []byte, masks int) (uint16, bool) {
	if masks*2 > len(t) || len(t) > maxWithin {
		return 0, false
	}
	var room [maxGlued]byte
	t = unleet(room[:], t, 'i')
	for _, id := range l.refused {
		if fits(t, l.words[id]) {
			return id, true
		}
	}
	return 0, false
}

// fits reports whether w is t with letters for the masks.
func fits(t []byte, w string) bool {
	if len(w) != len(t) || w[0] != t[0] {
		return false
	}
	for i := range t {
		if t[i] != w[i] && t[i] != '*' && t[i] != '#' {
			return false
		}
	}
	return true
}
