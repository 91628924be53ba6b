package nanobanana

import (
	"cmp"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxLink      = 8 << 10  // bytes of one link
	maxLinks     = 8        // of a record: twice what one task can be asked for
	maxLinkBytes = 32 << 10 // of all links of a record: they are kept on the task's row
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
var hints = [][]string{{"result", "output"}, {"image", "file"}, {"url", "link"}}

// strangers are what a folded name mentions that is no result.
var strangers = []string{
	"input", "source", "reference", "origin", "mask", "thumb", "preview", "cover", "avatar", "callback", "hook", "doc", "help",
}

func isStranger(key string) bool {
	return mentions(key, strangers) || isEcho(key)
}

// isEcho reports whether what the order supplied stands under a folded name.
func isEcho(key string) bool {
	return key == "imageurls" || mentions(key, []string{"param", "prompt"})
}

func mentions(key string, words []string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(key, word) })
}

// links is a bounded list of links, without repeats.
type links struct {
	list    []string
	bytes   int
	dropped int // links for which there was no room
}

func (l *links) add(link string) {
	switch {
	case slices.Contains(l.list, link):
	case len(link) > maxLink || len(l.list) >= maxLinks || l.bytes+len(link) > maxLinkBytes:
		l.dropped++
	default:
		l.list = append(l.list, link)
		l.bytes += len(link)
	}
}

// collector gathers the links of one task.
type collector struct {
	origin string          // of the provider, for relative links; empty where nobody knows it
	taskID string          // what names another task is passed over
	echoed map[string]bool // what the order supplied, as target returns it
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

// known gathers the links under known names, wherever in n they stand.
func (c *collector) known(n *node) {
	n = n.open()
	if n == nil || c.foreign(n) {
		return
	}
	if n.kind == isList {
		for _, m := range n.members {
			c.known(m.value)
		}
		return
	}
	for _, container := range containers {
		for _, value := range n.all(container.key) {
			c.container(value.open(), container.results)
		}
	}
	for _, name := range resultNames {
		for _, value := range n.all(name) {
			c.result(value)
		}
	}
	for _, m := range n.members {
		if !isContainer(m.key) && !slices.Contains(resultNames, m.key) && !isStranger(m.key) {
			if value := m.value.open(); value.kind == isObject || value.kind == isList {
				c.known(value)
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
// it, what is numbered, and in one of results also what is just called url.
func (c *collector) container(n *node, results bool) {
	switch n.kind {
	case isText:
		c.result(n)
	case isList:
		for _, m := range n.members {
			c.container(m.value.open(), true)
		}
	case isObject:
		c.known(n)
		for _, m := range n.members {
			if !c.foreign(n) && (isIndex(m.key) || results && (m.key == "url" || m.key == "urls")) {
				c.result(m.value)
			}
		}
	}
}

func isIndex(key string) bool { return key != "" && strings.Trim(key, "0123456789") == "" }

// result gathers the links of the value of a known name: a text with one or several, a list, an
// object with a url, or an object whose names are only keys.
func (c *collector) result(n *node) {
	n = n.open()
	switch n.kind {
	case isText:
		for _, piece := range split(n.text, true) {
			c.keep(c.link(piece, true))
		}
	case isList:
		for _, m := range n.members {
			c.result(m.value)
		}
	case isObject:
		if named := n.get("url", "urls"); named != nil {
			c.result(named)
			return
		}
		for _, m := range n.members {
			switch value := m.value.open(); {
			case isStranger(m.key):
			case value.kind != isText || isIndex(m.key) || mentions(m.key, slices.Concat(hints...)):
				c.result(value)
			default:
				for _, piece := range split(value.text, false) {
					c.keep(c.link(piece, plainPath(piece)))
				}
			}
		}
	}
}

// keep adds a link that is not the order's own.
func (c *collector) keep(link string) {
	if link != "" && !c.echoed[target(link)] {
		c.add(link)
	}
}

// guess gathers the links under names that mention a result, or that stand within such a name,
// which is less sure. A guess is surer where it names a picture's file.
func (c *collector) guess(n *node, key string, within int) {
	if n = n.open(); n == nil {
		return
	}
	rank := hint(key)
	switch n.kind {
	case isText:
		rank = min(rank, within)
		c.inline = c.inline || isInline(n.text, rank < unhinted)
		if rank >= unhinted {
			return
		}
		for _, piece := range split(n.text, false) {
			if link := c.link(piece, plainPath(piece)); link != "" && !c.echoed[target(link)] {
				if !isPicture(link) {
					rank++
				}
				c.guesses = append(c.guesses, guess{link, rank})
			}
		}
	case isList:
		for _, m := range n.members {
			c.guess(m.value, key, within)
		}
	case isObject:
		if c.foreign(n) {
			return
		}
		if rank < unhinted {
			within = min(within, rank+len(hints)*2)
		}
		for _, m := range n.members {
			switch {
			case isStranger(m.key):
			case isIndex(m.key): // as in a list
				c.guess(m.value, key, within)
			default:
				c.guess(m.value, m.key, within)
			}
		}
	}
}

// unhinted is the rank of a name that mentions nothing.
const unhinted = 100

// hint ranks a folded name: the less, the surer.
func hint(key string) int {
	for i, words := range hints {
		if mentions(key, words) {
			return i * 2 // between them those that name no picture's file
		}
	}
	return unhinted
}

// guessed returns the guesses, the surest first.
func (c *collector) guessed() links {
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
func (c *collector) supplied(n *node) {
	if n = n.open(); n == nil {
		return
	}
	for _, m := range n.members {
		if isEcho(m.key) || mentions(m.key, []string{"input", "callback", "hook"}) {
			c.echo(m.value)
		} else {
			c.supplied(m.value)
		}
	}
}

// echo notes every link in n as supplied by the order.
func (c *collector) echo(n *node) {
	if n = n.open(); n == nil {
		return
	}
	if n.kind == isText {
		for _, piece := range split(n.text, true) {
			if link := c.link(piece, false); link != "" {
				c.echoed[target(link)] = true
			}
		}
	}
	for _, m := range n.members {
		c.echo(m.value)
	}
}

// target is what a link leads to, query and scheme aside.
func target(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return link
	}
	return strings.ToLower(u.Host) + u.Path
}

// link makes a piece of text an absolute http or https URL, or returns nothing. A valid link
// stays as it is, to the letter: it may be signed. Whether it may be fetched is decided where it
// is fetched.
func (c *collector) link(piece string, relative bool) string {
	switch {
	case hasScheme(piece):
	case strings.HasPrefix(piece, "//"):
		piece = "https:" + piece
	case relative && isPath(piece):
		if piece = c.absolute(piece); piece == "" {
			return ""
		}
	default:
		return ""
	}
	piece = escape(piece)
	if u, err := url.Parse(piece); err != nil || u.Hostname() == "" {
		return ""
	}
	return piece
}

func hasScheme(text string) bool {
	for _, scheme := range []string{"https://", "http://"} {
		if len(text) > len(scheme) && strings.EqualFold(text[:len(scheme)], scheme) {
			return true
		}
	}
	return false
}

// absolute returns the URL of a path at the provider's origin; a path that begins with a host's
// name has only lost its scheme.
func (c *collector) absolute(p string) string {
	if host, rest, _ := strings.Cut(p, "/"); rest != "" && isHostname(host) {
		return "https://" + p
	}
	if c.origin == "" {
		return ""
	}
	return c.origin + "/" + strings.TrimPrefix(p, "/")
}

func isHostname(text string) bool {
	dot := strings.LastIndexByte(text, '.')
	if dot <= 0 || isPicture(text) {
		return false
	}
	top := text[dot+1:]
	letters := func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') }
	return len(top) >= 2 && !strings.ContainsFunc(top, letters)
}

// isPath reports whether text looks like a path, and not like a word, a media type or a picture
// in base64.
func isPath(text string) bool {
	first, rest, found := strings.Cut(text, "/")
	odd := func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("\"'<>{}|\\^`", r)
	}
	return found && rest != "" && !strings.EqualFold(text, "n/a") && !strings.Contains(first, ":") && !strings.ContainsFunc(text, odd) &&
		!isMediaType(text) && !isInline(text, true)
}

// plainPath reports whether a text is a path even where none is expected.
func plainPath(text string) bool { return strings.HasPrefix(text, "/") || isPicture(text) }

func isMediaType(text string) bool {
	family, rest, _ := strings.Cut(strings.ToLower(text), "/")
	return slices.Contains([]string{"image", "application", "text", "video", "audio"}, family) &&
		!strings.ContainsAny(rest, "/.?")
}

// isPicture reports whether the path in text ends as the name of a picture's file.
func isPicture(text string) bool {
	text, _, _ = strings.Cut(text, "?")
	return slices.Contains([]string{".png", ".jpg", ".jpeg", ".webp"}, strings.ToLower(path.Ext(text)))
}

// inlineStarts are how PNG, JPEG, WebP and GIF begin in base64.
var inlineStarts = []string{"iVBORw0KGgo", "/9j/", "UklGR", "R0lGOD"}

const (
	inlineLeast = 64   // characters of a picture in base64
	inlineBlind = 1024 // of anything in base64
)

// isInline reports whether text is not a link to a picture but a picture: by its beginning, and
// where a picture is expected also by nothing but its length.
func isInline(text string, expected bool) bool {
	text = strings.TrimSpace(text)
	if len(text) > 5 && strings.EqualFold(text[:5], "data:") {
		return !strings.Contains(text, " ")
	}
	if len(text) < inlineLeast {
		return false
	}
	starts := slices.ContainsFunc(inlineStarts, func(start string) bool { return strings.HasPrefix(text, start) })
	foreign := func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("+/=-_\r\n", r)
	}
	return (starts || expected && len(text) >= inlineBlind) && !strings.ContainsFunc(text, foreign)
}

// escape writes a raw space and a percent sign that begins no escape as the escapes they lack.
func escape(link string) string {
	var b strings.Builder
	for i := range len(link) {
		switch {
		case link[i] == ' ':
			b.WriteString("%20")
		case link[i] == '%' && (i+2 >= len(link) || !isHex(link[i+1]) || !isHex(link[i+2])):
			b.WriteString("%25")
		default:
			b.WriteByte(link[i])
		}
	}
	return b.String()
}

func isHex(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F'
}

const (
	separators = ",;，；、 \t\r\n"
	openings   = "([{<\"'`"
	closings   = ")]}>\"'`"
)

// split takes a text apart into the links that it holds. A separator is lawful inside a link: it
// parts two only where another begins. Where words stand before the first link, a sentence say, it
// ends at white space; without prose such a text holds none.
func split(text string, prose bool) []string {
	text = unwrap(strings.TrimSpace(strings.ReplaceAll(text, `\/`, "/")))
	if text == "" {
		return nil
	}
	starts := beginnings(text)
	words := len(starts) > 0 && starts[0] > 0
	if len(starts) == 0 || words && !prose {
		return nil
	}
	var pieces []string
	for i, start := range starts {
		piece := text[start:]
		if i+1 < len(starts) {
			piece = text[start:starts[i+1]]
		}
		if words {
			piece = strings.TrimRight(piece[:indexFunc(piece, unicode.IsSpace)], ".!?。！？")
		}
		pieces = append(pieces, closed(text[:start], strings.TrimRight(piece, separators+openings)))
	}
	return pieces
}

func indexFunc(text string, f func(rune) bool) int {
	if i := strings.IndexFunc(text, f); i >= 0 {
		return i
	}
	return len(text)
}

// unwrap takes off the brackets or quotes around a list that is no JSON.
func unwrap(text string) string {
	for len(text) >= 2 {
		kind := strings.IndexByte(openings, text[0])
		if kind < 0 || text[len(text)-1] != closings[kind] {
			break
		}
		text = strings.TrimSpace(text[1 : len(text)-1])
	}
	return text
}

// closed cuts a piece at the bracket or quote that closes what opened just before it.
func closed(before, piece string) string {
	if before == "" {
		return piece
	}
	kind := strings.IndexByte(openings, before[len(before)-1])
	if kind < 0 {
		return piece
	}
	if end := strings.LastIndexByte(piece, closings[kind]); end >= 0 {
		return piece[:end]
	}
	return piece
}

// beginnings returns where in text links begin. A text that begins with a path holds more paths
// where they begin alike.
func beginnings(text string) (starts []int) {
	alike := ""
	if !hasScheme(text) && !strings.HasPrefix(text, "//") && isPath(text[:indexFunc(text, unicode.IsSpace)]) {
		alike = text[:1+strings.IndexByte(text, '/')]
	}
	for i := range text {
		before, _ := utf8.DecodeLastRuneInString(text[:i])
		if i > 0 && !strings.ContainsRune(separators+openings, before) {
			continue
		}
		rest := text[i:]
		if hasScheme(rest) || len(rest) > 2 && rest[:2] == "//" && rest[2] != '/' || alike != "" && strings.HasPrefix(rest, alike) {
			starts = append(starts, i)
		}
	}
	return starts
}
