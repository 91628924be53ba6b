package moderation

import (
	_ "embed"
	"slices"
	"strings"
)

// A kind is what a term says about a prompt: a category, or a part of one.
type kind uint8

// The kinds. First come those that are refused by themselves, in the order of categories.
const (
	minors kind = iota
	realPersonNudity
	hate
	gore
	selfHarm
	sexualContent
	refusedTerm
	minor      // somebody young: refused with sexual content, or near something suggestive
	suggestive // refused near a minor
	realPerson // somebody real: refused with sexual content
	innocent   // a harmless phrase with a refused word in it
	allowed    // the operator's
	kinds
)

// sections are the names in terms.txt of the kinds that it has.
var sections = [...]string{
	minors: string(Minors), realPersonNudity: string(RealPersonNudity), hate: string(Hate), gore: string(Gore), selfHarm: string(SelfHarm),
	sexualContent: string(SexualContent), minor: "minor", suggestive: "suggestive", realPerson: "real_person", innocent: "innocent",
}

// A term is one word of a prompt or several in a row.
type term struct {
	kind   kind
	places []place
}

// A place is one word of a term.
type place struct {
	words []uint16 // any of these
	gap   int      // up to so many other words may be before it
	comma bool     // in an innocent term: a comma may be before it
}

// A use is a set of what a word serves for besides its terms.
type use uint8

const (
	refusedAlone use = 1 << iota // a refused term is this word alone
	glued                        // may be written together with a refused word
	filler                       // the same, but only where letters are spaced out
)

// A list is the terms, compiled. Its words have numbers; 0 is every word that no term has.
type list struct {
	ids     map[string]uint16
	words   []string            // by number
	uses    []use               // by number
	refused []uint16            // the words that are refusedAlone
	classes map[string][]uint16 // by name, with the @
	terms   []term
	starts  []uint16 // terms, ordered by the words that they can start with
	from    []uint16 // by number: where the terms of this word begin in starts

	allPlaces []place  // of all terms, which are parts of it: so a start allocates them at once
	allWords  []uint16 // of all places, likewise
}

// builtIn is the built-in list; its head explains the form.
//
//go:embed terms.txt
var builtIn string

// compile compiles a list in the form of terms.txt, and the operator's terms.
func compile(text string, extra, letPass []string) *list {
	const room = 3072 // words; a little more than there are
	l := &list{
		ids: make(map[string]uint16, room), words: make([]string, 1, room), uses: make([]use, 1, room),
		terms: make([]term, 0, room/2), classes: make(map[string][]uint16, 32),
		allPlaces: make([]place, 0, room/3*2), allWords: make([]uint16, 0, room*2),
	}
	folded := make([]byte, 0, len(text))
	for _, c := range text {
		folded = appendFold(folded, c)
	}
	section := ""
	for line := range strings.SplitSeq(string(folded), "\n") {
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = line[1 : len(line)-1]
		default:
			l.addLine(section, line)
		}
	}
	l.addOperatorTerms(refusedTerm, extra)
	l.addOperatorTerms(allowed, letPass)
	l.index()
	return l
}

// addLine adds a line of a section. The classes come before the first section.
func (l *list) addLine(section, line string) {
	switch section {
	case "":
		name, members, _ := strings.Cut(line, " ")
		for w := range strings.FieldsSeq(members) {
			l.classes[name] = append(l.classes[name], l.id(w))
		}
	case "glued":
		l.addUse(glued, line)
	case "filler":
		l.addUse(filler, line)
	default:
		k := kind(slices.Index(sections[:], section))
		for t := range strings.SplitSeq(line, ",") {
			l.addTerm(k, l.places(t))
		}
	}
}

func (l *list) addUse(u use, line string) {
	for w := range strings.FieldsSeq(line) {
		l.uses[l.id(w)] |= u
	}
}

// id returns a word's number; a new word gets the next one.
func (l *list) id(w string) uint16 {
	id, ok := l.ids[w]
	if !ok {
		id = uint16(len(l.words))
		l.ids[w] = id
		l.words = append(l.words, w)
		l.uses = append(l.uses, 0)
	}
	return id
}

// places parses the places of a term.
func (l *list) places(term string) []place {
	first := len(l.allPlaces)
	for field := range strings.FieldsSeq(term) {
		var p place
		if len(field) > 1 && field[1] == '~' {
			p.gap, field = int(field[0]-'0'), field[2:]
		}
		if p.comma = field[0] == ';'; p.comma {
			field = field[1:]
		}
		begin := len(l.allWords)
		for w := range strings.SplitSeq(field, "|") {
			if w[0] == '@' {
				l.allWords = append(l.allWords, l.classes[w]...)
			} else {
				l.allWords = append(l.allWords, l.id(w))
			}
		}
		p.words = l.allWords[begin:len(l.allWords):len(l.allWords)] // clipped: an append would reach the next place
		l.allPlaces = append(l.allPlaces, p)
	}
	return l.allPlaces[first:len(l.allPlaces):len(l.allPlaces)]
}

func (l *list) addTerm(k kind, places []place) {
	if len(places) == 0 {
		return
	}
	l.terms = append(l.terms, term{k, places})
	if k > refusedTerm || len(places) > 1 {
		return
	}
	for _, id := range places[0].words {
		l.uses[id] |= refusedAlone
		l.refused = append(l.refused, id)
	}
}

// addOperatorTerms adds terms of the operator's, cut into words as a prompt is.
func (l *list) addOperatorTerms(k kind, terms []string) {
	for _, t := range terms {
		var places []place
		text, tokens := tokenize(t)
		for _, t := range tokens {
			if w := strings.Trim(string(text[t.start:t.end]), signs); w != "" {
				places = append(places, place{words: []uint16{l.id(w)}})
			}
		}
		l.addTerm(k, places)
	}
}

// index prepares startingWith.
func (l *list) index() {
	l.from = make([]uint16, len(l.words)+1)
	for _, t := range l.terms {
		for _, id := range t.places[0].words {
			l.from[id]++
		}
	}
	for id := range l.words {
		l.from[id+1] += l.from[id]
	}
	l.starts = make([]uint16, l.from[len(l.words)])
	for n, t := range l.terms {
		for _, id := range t.places[0].words {
			l.from[id]-- // fills each word's part from its end, until from is its begin
			l.starts[l.from[id]] = uint16(n)
		}
	}
}

// startingWith returns the terms that can start with a word, by their places in l.terms.
func (l *list) startingWith(id uint16) []uint16 { return l.starts[l.from[id]:l.from[id+1]] }
