package moderation

import (
	_ "embed"
	"strings"
)

// A kind is what a pattern says of a prompt: a category, or a part of one.
type kind uint8

// The kinds: first the refused ones, the gravest first, as judge weighs them, in the
// order of categories; then those that the other sections of terms.txt name.
const (
	minors kind = iota
	realPersonNudity
	hate
	gore
	selfHarm
	sexualContent
	refusedTerm
	minor      // somebody young: grave beside sexual content
	suggestive // refused near somebody young
	realPerson // somebody real: grave beside sexual content
	innocent   // what a refused word stands in without harm
	allowed    // the operator's
	kinds
)

// sections are the kinds' names in terms.txt, for those that stand there.
var sections = [...]string{
	minors: string(Minors), realPersonNudity: string(RealPersonNudity), hate: string(Hate), gore: string(Gore), selfHarm: string(SelfHarm),
	sexualContent: string(SexualContent), minor: "minor", suggestive: "suggestive", realPerson: "real_person", innocent: "innocent",
}

// An element is one place of a pattern.
type element struct {
	words []uint16 // any of these
	gap   int      // up to so many other words before it
	comma bool     // in an innocent pattern: there may be a comma before it
}

type pattern struct {
	kind     kind
	elements []element
}

// A use is what a word serves for beside its patterns.
type use uint8

const (
	refusedAlone use = 1 << iota // a refused pattern is this word alone
	glued                        // may be written together with a refused word
	filler                       // the same, but only where letters are spaced out
)

// A list is the terms, compiled. Words have numbers; 0 is every word that no pattern has.
type list struct {
	ids      map[string]uint16
	words    []string // by number
	uses     []use    // by number
	alone    []uint16 // those that are refusedAlone
	classes  map[string][]uint16
	patterns []pattern
	starts   []uint16 // patterns, by the word that they start with
	from     []uint16 // where those of a word are in starts; the next word's follow
}

// builtIn says itself how it is written.
//
//go:embed terms.txt
var builtIn string

// compile reads a list in the form of terms.txt, and the operator's terms.
func compile(text string, extra, letPass []string) *list {
	const room = 2048 // a little more than there is
	l := &list{
		ids: make(map[string]uint16, room), words: make([]string, 1, room), uses: make([]use, 1, room),
		patterns: make([]pattern, 0, room/2), classes: make(map[string][]uint16, 32),
	}
	section := ""
	for line := ""; text != ""; {
		line, text, _ = strings.Cut(text, "\n")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = line[1 : len(line)-1]
		default:
			l.line(section, line)
		}
	}
	l.own(refusedTerm, extra)
	l.own(allowed, letPass)
	l.index()
	return l
}

// line reads a line of a section; before the first one the classes stand.
func (l *list) line(section, line string) {
	switch section {
	case "":
		members := strings.Fields(line)
		ids := make([]uint16, len(members)-1)
		for i, w := range members[1:] {
			ids[i] = l.id(w)
		}
		l.classes[members[0]] = ids
	case "glued":
		l.use(glued, line)
	case "filler":
		l.use(filler, line)
	default:
		k := kind(0)
		for int(k) < len(sections) && sections[k] != section {
			k++
		}
		for term := ""; line != ""; {
			term, line, _ = strings.Cut(line, ",")
			l.add(k, l.elements(strings.Fields(term)))
		}
	}
}

func (l *list) use(u use, line string) {
	for _, w := range strings.Fields(line) {
		l.uses[l.id(w)] |= u
	}
}

// id returns a word's number.
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

// elements reads the places of a term as terms.txt says they are written.
func (l *list) elements(places []string) []element {
	found := make([]element, len(places))
	for i, place := range places {
		e := &found[i]
		if len(place) > 1 && place[1] == '~' {
			e.gap, place = int(place[0]-'0'), place[2:]
		}
		if e.comma = place[0] == ';'; e.comma {
			place = place[1:]
		}
		if e.words = l.classes[place]; e.words != nil {
			continue
		}
		for w := ""; place != ""; {
			w, place, _ = strings.Cut(place, "|")
			if w[0] == '@' {
				e.words = append(e.words, l.classes[w]...)
			} else {
				e.words = append(e.words, l.id(w))
			}
		}
	}
	return found
}

func (l *list) add(k kind, elements []element) {
	if len(elements) == 0 {
		return
	}
	l.patterns = append(l.patterns, pattern{k, elements})
	if k > refusedTerm || len(elements) > 1 {
		return
	}
	for _, id := range elements[0].words {
		l.uses[id] |= refusedAlone
		l.alone = append(l.alone, id)
	}
}

// own adds terms of the operator's, taken apart as a prompt is.
func (l *list) own(k kind, terms []string) {
	for _, term := range terms {
		var elements []element
		text, tokens := fold(term)
		for _, t := range tokens {
			if w := strings.Trim(string(text[t.start:t.end]), signs); w != "" {
				elements = append(elements, element{words: []uint16{l.id(w)}})
			}
		}
		l.add(k, elements)
	}
}

// index prepares what matching looks up.
func (l *list) index() {
	l.from = make([]uint16, len(l.words)+1)
	for _, p := range l.patterns {
		for _, id := range p.elements[0].words {
			l.from[id]++
		}
	}
	for id := range l.words {
		l.from[id+1] += l.from[id]
	}
	l.starts = make([]uint16, l.from[len(l.words)])
	for n, p := range l.patterns {
		for _, id := range p.elements[0].words {
			l.from[id]-- // from behind, until it is where the word's begin
			l.starts[l.from[id]] = uint16(n)
		}
	}
}
