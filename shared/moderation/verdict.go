package moderation

import "slices"

// near is how many words may be between a minor and something suggestive.
const near = 8

// verdict returns the gravest category of a prompt's words, and whether there is one.
func (l *list) verdict(words []word) (Category, bool) {
	hits := l.hits(words)
	if len(hits) == 0 {
		return "", false
	}
	a := allowancesIn(hits, len(words))
	e := evidence{minorAt: -1, suggestiveAt: -1}
	for _, h := range hits {
		if h.kind < innocent && !a.excuses(h) {
			e.add(h, a.permits(h))
		}
	}
	return e.gravest()
}

// A hit is a term found in a prompt: words[begin:end].
type hit struct {
	kind       kind
	begin, end int
}

// hits returns all terms in words, in the order in which they begin.
func (l *list) hits(words []word) (found []hit) {
	for i, w := range words {
		for _, n := range l.startingWith(w.id) {
			t := &l.terms[n]
			if end := match(t.places[1:], words, i+1, t.kind >= innocent); end > 0 {
				found = append(found, hit{t.kind, i, end})
			}
		}
	}
	return found
}

// match returns the end of the words from words[at] on that fill places, or 0. With
// whole, no comma or full stop may be among them: punctuation ends an allowance, but it
// must not disguise what is refused.
func match(places []place, words []word, at int, whole bool) int {
	if len(places) == 0 {
		return at
	}
	p := &places[0]
	for skip := 0; skip <= p.gap && at+skip < len(words); skip++ {
		w := words[at+skip]
		if whole && w.stop && !p.comma {
			return 0
		}
		if slices.Contains(p.words, w.id) {
			if end := match(places[1:], words, at+skip+1, whole); end > 0 {
				return end
			}
		}
	}
	return 0
}

// allowances are the words of a prompt that are let pass.
type allowances struct {
	innocent  []bool // by word: it is in an innocent term
	permitted []int  // by word: the furthest end of the operator's allowed terms that begin here or before
}

// allowancesIn collects the allowances among the hits in n words.
func allowancesIn(hits []hit, n int) allowances {
	a := allowances{make([]bool, n), make([]int, n)}
	for _, h := range hits {
		switch h.kind {
		case innocent:
			for i := h.begin; i < h.end; i++ {
				a.innocent[i] = true
			}
		case allowed:
			a.permitted[h.begin] = max(a.permitted[h.begin], h.end)
		}
	}
	for i := 1; i < n; i++ {
		a.permitted[i] = max(a.permitted[i], a.permitted[i-1])
	}
	return a
}

// excuses reports whether a word of h is in an innocent term. The operator's refused
// terms have no excuse.
func (a allowances) excuses(h hit) bool {
	return h.kind != refusedTerm && slices.Contains(a.innocent[h.begin:h.end], true)
}

// permits reports whether h is within a term that the operator allows.
func (a allowances) permits(h hit) bool { return a.permitted[h.begin] >= h.end }

// evidence is what the hits that nothing excuses add up to.
type evidence struct {
	found                 [kinds]bool
	sexual                bool // also where the operator permits it
	minorAt, suggestiveAt int  // where the last one begins, or -1
}

// add adds a hit; permitted is whether the operator allows it.
func (e *evidence) add(h hit, permitted bool) {
	switch h.kind {
	case minor:
		e.minorAt = h.begin
	case suggestive:
		e.suggestiveAt = h.begin
	case sexualContent, realPersonNudity:
		e.sexual = true
	}
	apart := e.minorAt - e.suggestiveAt
	if e.minorAt >= 0 && e.suggestiveAt >= 0 && -near <= apart && apart <= near {
		e.found[minors] = true
	}
	if h.kind == minors || h.kind >= refusedTerm || !permitted {
		e.found[h.kind] = true
	}
}

// gravest returns the first category that the evidence supports.
func (e *evidence) gravest() (Category, bool) {
	e.found[minors] = e.found[minors] || e.found[minor] && e.sexual
	e.found[realPersonNudity] = e.found[realPersonNudity] || e.found[realPerson] && e.sexual
	for k, c := range categories {
		if e.found[k] {
			return c.Category, true
		}
	}
	return "", false
}
