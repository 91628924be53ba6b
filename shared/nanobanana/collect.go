package nanobanana

import (
	"slices"
	"sort"
	"strings"

	"github.com/preset/nanobanana-functions/shared/outbound"
)

// resultNames are the folded names of results, in reading order. originImageUrl is not one: it is the
// upstream's own copy and lives for ten minutes.
var resultNames = []string{"resultimageurl", "resultimageurls", "resulturls", "images"}

// containers are the folded names of what contains results, in reading order. In one with only results
// a result may be called just url.
var containers = []struct {
	key     string
	results bool // only results
}{
	{"response", false}, {"info", false}, {"resultjson", true},
	{"output", true}, {"outputs", true}, {"result", true}, {"results", true},
}

// resultHints are what the folded names of possible results contain, the surest first.
var resultHints = [][]string{{"result", "output"}, {"image", "file"}, {"url", "link"}}

// nonResultWords are what the folded names of other things contain.
var nonResultWords = []string{
	"input", "source", "reference", "origin", "mask", "thumb", "preview", "cover", "avatar", "callback", "hook", "doc", "help",
}

// isNoResult reports whether a folded name is not of a result.
func isNoResult(key string) bool {
	return containsAny(key, nonResultWords) || isRequestPart(key)
}

// isRequestPart reports whether a folded name is of a part of the request.
func isRequestPart(key string) bool {
	return key == "imageurls" || containsAny(key, []string{"param", "prompt"})
}

// mayRepeatRequest reports whether a value under a folded name may repeat a part of the request.
func mayRepeatRequest(key string) bool {
	return isRequestPart(key) || containsAny(key, []string{"input", "callback", "hook"})
}

func containsAny(key string, words []string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(key, word) })
}

// collector gathers the links of one task.
type collector struct {
	origin       string          // the provider's, for relative links; may be empty
	taskID       string          // objects that name another task are skipped
	requestLinks map[string]bool // the request's own links, by outbound.Location
	links
	guesses []guess
	inline  bool // a picture is in the answer itself
}

// guess is a link under an unknown name.
type guess struct {
	link string
	rank int
}

// foreign reports whether n is about another task.
func (c *collector) foreign(n *node) bool {
	id := n.taskID()
	return id != "" && c.taskID != "" && id != c.taskID
}

// collectOfTask collects the links under known names in every object in n that names the task: each
// picture may have one.
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

// collect collects the links under known names anywhere in n.
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

// collectNamed collects the links under known names in an object.
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

// collectContainer collects the links in a container: plain links, known names, numbered names, and in
// one with only results also the name url. A task id in it does not make it another task's: it may be
// the upstream's.
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

// collectResult collects the links in the value of a known name: a text with one or several links, a
// list, an object with a url, or an object used as a map.
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

// addResult adds a link unless it is the request's own.
func (c *collector) addResult(link string) {
	if link != "" && !c.requestLinks[outbound.Location(link)] {
		c.add(link)
	}
}

// collectGuesses collects the links under names that hint at a result, or less surely inside the value
// of such a name.
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

// collectGuessesIn collects the links in a text. A link to a picture file is a surer guess.
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

// unhinted is the rank of a name without a hint.
const unhinted = 100

// hintRank ranks a folded name: the lower, the surer.
func hintRank(key string) int {
	for i, words := range resultHints {
		if containsAny(key, words) {
			return i * 2 // the odd ranks are of links that are not picture files
		}
	}
	return unhinted
}

// rankedGuesses returns the guesses, the surest first.
func (c *collector) rankedGuesses() links {
	sort.SliceStable(c.guesses, func(i, j int) bool { return c.guesses[i].rank < c.guesses[j].rank })
	var l links
	for _, g := range c.guesses {
		if !slices.Contains(c.list, g.link) {
			l.add(g.link)
		}
	}
	return l
}

// noteRequestLinks notes the links in n under names of parts of the request.
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

// noteLinks notes every link in n as the request's own.
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
