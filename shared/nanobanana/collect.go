package nanobanana

import (
	"cmp"
	"slices"
	"strings"

	"github.com/preset/nanobanana-functions/shared/outbound"
)

// resultNames are the names under which results stand, folded, in the order in which they are
// read. originImageUrl is not among them: it is the upstream's own copy and lives for ten minutes.
var resultNames = []string{"resultimageurl", "resultimageurls", "resulturls", "images"}

// containers are what results stand in, folded, in the order in which they are read. Those of
// results alone may name a result just url.
var containers = []struct {
	key     string
	results bool
}{
	{"response", false}, {"info", false}, {"resultjson", true},
	{"output", true}, {"outputs", true}, {"result", true}, {"results", true},
}

// hints are what a folded name mentions that may be a result, the surest first.
var resultHints = [][]string{{"result", "output"}, {"image", "file"}, {"url", "link"}}

// strangers are what a folded name mentions that is no result.
var nonResultWords = []string{
	"input", "source", "reference", "origin", "mask", "thumb", "preview", "cover", "avatar", "callback", "hook", "doc", "help",
}

func isNoResult(key string) bool {
	return containsAny(key, nonResultWords) || isRequestPart(key)
}

// isEcho reports whether what the order supplied stands under a folded name.
func isRequestPart(key string) bool {
	return key == "imageurls" || containsAny(key, []string{"param", "prompt"})
}

// isSupplied reports the same, and whether what stands there may repeat what the order supplied.
func mayRepeatRequest(key string) bool {
	return isRequestPart(key) || containsAny(key, []string{"input", "callback", "hook"})
}

func containsAny(key string, words []string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(key, word) })
}

// collector gathers the links of one task.
type collector struct {
	origin       string          // of the provider, for relative links; empty where nobody knows it
	taskID       string          // what names another task is passed over
	requestLinks map[string]bool // what the order supplied, as target returns it
	links
	guesses []guess
	inline  bool // a picture stands in the answer itself
}

// guess is a link under a name that is not known.
type guess struct {
	link string
	rank int
}

// foreign reports whether n is about another task.
func (c *collector) foreign(n *node) bool {
	id := n.taskID()
	return id != "" && c.taskID != "" && id != c.taskID
}

// knownOfTask gathers the links under known names of every object in n that names the task: each
// of its pictures may have one.
func (c *collector) collectOfTask(n *node) {
	if n = n.decoded(); n == nil {
		return
	}
	if n.taskID() == c.taskID {
		c.collect(n)
		return
	}
	for _, m := range n.members {
		if !mayRepeatRequest(m.key) {
			c.collectOfTask(m.value)
		}
	}
}

// known gathers the links under known names, wherever in n they stand.
func (c *collector) collect(n *node) {
	n = n.decoded()
	if n == nil || c.foreign(n) {
		return
	}
	if n.kind == isList {
		for _, m := range n.members {
			c.collect(m.value)
		}
		return
	}
	c.collectNamed(n)
}

// named gathers the links under known names in an object.
func (c *collector) collectNamed(n *node) {
	for _, container := range containers {
		for _, value := range n.all(container.key) {
			c.collectContainer(value.decoded(), container.results)
		}
	}
	for _, name := range resultNames {
		for _, value := range n.all(name) {
			c.collectResult(value)
		}
	}
	for _, m := range n.members {
		if !isContainer(m.key) && !slices.Contains(resultNames, m.key) && !isNoResult(m.key) {
			if value := m.value.decoded(); value.kind == isObject || value.kind == isList {
				c.collect(value)
			}
		}
	}
}

func isContainer(key string) bool {
	for _, container := range containers {
		if container.key == key {
			return true
		}
	}
	return false
}

// container gathers the links of a value that is a container: links themselves, known names in
// it, what is numbered, and in one of results also what is just called url. A task that is named in
// it, the upstream's say, does not make it another's.
func (c *collector) collectContainer(n *node, results bool) {
	switch n.kind {
	case isText:
		c.collectResult(n)
	case isList:
		for _, m := range n.members {
			c.collectContainer(m.value.decoded(), true)
		}
	case isObject:
		c.collectNamed(n)
		for _, m := range n.members {
			if isIndex(m.key) || results && (m.key == "url" || m.key == "urls") {
				c.collectResult(m.value)
			}
		}
	}
}

func isIndex(key string) bool { return key != "" && strings.Trim(key, "0123456789") == "" }

// result gathers the links of the value of a known name: a text with one or several, a list, an
// object with a url, or an object whose names are only keys.
func (c *collector) collectResult(n *node) {
	n = n.decoded()
	switch n.kind {
	case isText:
		for _, piece := range splitLinks(n.text, true) {
			c.addResult(c.toURL(piece, true))
		}
	case isList:
		for _, m := range n.members {
			c.collectResult(m.value)
		}
	case isObject:
		if named := n.get("url", "urls"); named != nil {
			c.collectResult(named)
			return
		}
		for _, m := range n.members {
			switch value := m.value.decoded(); {
			case isNoResult(m.key):
			case value.kind != isText || isIndex(m.key) || containsAny(m.key, slices.Concat(resultHints...)):
				c.collectResult(value)
			default:
				for _, piece := range splitLinks(value.text, false) {
					c.addResult(c.toURL(piece, plainPath(piece)))
				}
			}
		}
	}
}

// keep adds a link that is not the order's own.
func (c *collector) addResult(link string) {
	if link != "" && !c.requestLinks[outbound.Location(link)] {
		c.add(link)
	}
}

// guess gathers the links under names that mention a result, or that stand within such a name,
// which is less sure.
func (c *collector) collectGuesses(n *node, key string, within int) {
	n = n.decoded()
	rank := hintRank(key)
	switch {
	case n == nil, c.foreign(n):
	case n.kind == isText:
		c.collectGuessesIn(n.text, min(rank, within))
	case n.kind == isList:
		for _, m := range n.members {
			c.collectGuesses(m.value, key, within)
		}
	case n.kind == isObject:
		if rank < unhinted {
			within = min(within, rank+len(resultHints)*2)
		}
		for _, m := range n.members {
			switch {
			case isNoResult(m.key):
			case isIndex(m.key): // as in a list
				c.collectGuesses(m.value, key, within)
			default:
				c.collectGuesses(m.value, m.key, within)
			}
		}
	}
}

// guessText gathers the links in a text. A guess is surer if it names a picture's file.
func (c *collector) collectGuessesIn(text string, rank int) {
	c.inline = c.inline || isInline(text, rank < unhinted)
	if rank >= unhinted {
		return
	}
	for _, piece := range splitLinks(text, false) {
		link := c.toURL(piece, plainPath(piece))
		switch {
		case link == "" || c.requestLinks[outbound.Location(link)]:
		case isPicture(link):
			c.guesses = append(c.guesses, guess{link, rank})
		default:
			c.guesses = append(c.guesses, guess{link, rank + 1})
		}
	}
}

// unhinted is the rank of a name that mentions nothing.
const unhinted = 100

// hint ranks a folded name: the less, the surer.
func hintRank(key string) int {
	for i, words := range resultHints {
		if containsAny(key, words) {
			return i * 2 // between them those that name no picture's file
		}
	}
	return unhinted
}

// guessed returns the guesses, the surest first.
func (c *collector) rankedGuesses() links {
	slices.SortStableFunc(c.guesses, func(a, b guess) int { return cmp.Compare(a.rank, b.rank) })
	var l links
	for _, g := range c.guesses {
		if !slices.Contains(c.list, g.link) {
			l.add(g.link)
		}
	}
	return l
}

// supplied notes the links that stand in n under names of what the order supplied.
func (c *collector) noteRequestLinks(n *node) {
	if n = n.decoded(); n == nil {
		return
	}
	for _, m := range n.members {
		if mayRepeatRequest(m.key) {
			c.noteLinks(m.value)
		} else {
			c.noteRequestLinks(m.value)
		}
	}
}

// echo notes every link in n as supplied by the order.
func (c *collector) noteLinks(n *node) {
	if n = n.decoded(); n == nil {
		return
	}
	if n.kind == isText {
		for _, piece := range splitLinks(n.text, true) {
			if link := c.toURL(piece, false); link != "" {
				c.requestLinks[outbound.Location(link)] = true
			}
		}
	}
	for _, m := range n.members {
		c.noteLinks(m.value)
	}
}
