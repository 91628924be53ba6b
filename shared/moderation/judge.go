package moderation

import "slices"

// A hit is a pattern that is there, from its first word to before its end.
type hit struct {
	kind       kind
	begin, end int
}

// near is how many words may be between somebody young and what is refused only near them.
const near = 8

// judge gives the gravest category of a prompt's words.
func (l *list) judge(words []word) (Category, bool) {
	hits := l.hits(words)
	if len(hits) == 0 {
		return "", false
	}
	excused, let := excuses(hits, len(words))
	var by [kinds]bool
	sexual := false          // whether the operator lets it pass by itself or not
	young, teasing := -1, -1 // where they were last
	for _, h := range hits {
		if h.kind >= innocent || h.kind != refusedTerm && slices.Contains(excused[h.begin:h.end], true) {
			continue
		}
		switch h.kind {
		case minor:
			young = h.begin
		case suggestive:
			teasing = h.begin
		case sexualContent, realPersonNudity:
			sexual = true
		}
		if d := young - teasing; young >= 0 && teasing >= 0 && -near <= d && d <= near {
			by[minors] = true
		}
		if h.kind == minors || h.kind >= refusedTerm || let[h.begin] < h.end {
			by[h.kind] = true
		}
	}
	by[minors] = by[minors] || by[minor] && sexual
	by[realPersonNudity] = by[realPersonNudity] || by[realPerson] && sexual
	for k, c := range categories {
		if by[k] {
			return c.Category, true
		}
	}
	return "", false
}

// excuses says which words stand in something innocent, and up to where a term that
// the operator lets pass goes that begins there or before.
func excuses(hits []hit, n int) (excused []bool, let []int) {
	excused, let = make([]bool, n), make([]int, n)
	for _, h := range hits {
		switch h.kind {
		case innocent:
			for i := h.begin; i < h.end; i++ {
				excused[i] = true
			}
		case allowed:
			let[h.begin] = max(let[h.begin], h.end)
		}
	}
	for i := 1; i < n; i++ {
		let[i] = max(let[i], let[i-1])
	}
	return excused, let
}

// hits finds the patterns, in the order in which they begin.
func (l *list) hits(words []word) (found []hit) {
	for i, w := range words {
		for _, n := range l.starts[l.from[w.id]:l.from[w.id+1]] {
			p := &l.patterns[n]
			if end := match(p.elements[1:], words, i+1, p.kind >= innocent); end > 0 {
				found = append(found, hit{p.kind, i, end})
			}
		}
	}
	return found
}

// match says where elements end that stand from words[at] on, or 0. What excuses a
// word is whole: no comma or full stop may be in it. What is refused is not so easily
// disguised.
func match(elements []element, words []word, at int, whole bool) int {
	if len(elements) == 0 {
		return at
	}
	e := &elements[0]
	for skip := 0; skip <= e.gap && at+skip < len(words); skip++ {
		w := words[at+skip]
		if whole && w.stop && !e.comma {
			return 0
		}
		if slices.Contains(e.words, w.id) {
			if end := match(elements[1:], words, at+skip+1, whole); end > 0 {
				return end
			}
		}
	}
	return 0
}
