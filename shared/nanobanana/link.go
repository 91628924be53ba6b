package nanobanana

import (
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

// link makes a piece of text an absolute http or https URL, or returns nothing. A valid link
// stays as it is, to the letter: it may be signed. Whether it may be fetched is decided where it
// is fetched.
func (c *collector) toURL(piece string, relative bool) string {
	switch {
	case hasScheme(piece):
	case strings.HasPrefix(piece, "//"):
		piece = "https:" + piece
	case relative && (isPath(piece) || isPathWithSpaces(piece)):
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

// isPathWithSpaces reports whether text is a path with raw spaces, and certainly no sentence.
func isPathWithSpaces(text string) bool {
	return (strings.HasPrefix(text, "/") || isPicture(text)) && isPath(strings.ReplaceAll(text, " ", "%20"))
}

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
	minInline         = 64   // characters of a picture in base64
	minUnmarkedInline = 1024 // of anything in base64
)

// isInline reports whether text is not a link to a picture but a picture: by its beginning, and
// where a picture is expected also by nothing but its length.
func isInline(text string, expected bool) bool {
	text = strings.TrimSpace(text)
	if len(text) > 5 && strings.EqualFold(text[:5], "data:") {
		return !strings.Contains(text, " ")
	}
	if len(text) < minInline {
		return false
	}
	starts := slices.ContainsFunc(inlineStarts, func(start string) bool { return strings.HasPrefix(text, start) })
	foreign := func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("+/=-_\r\n", r)
	}
	return (starts || expected && len(text) >= minUnmarkedInline) && !strings.ContainsFunc(text, foreign)
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

	maxSplit = 2 * maxLinks * maxLink // bytes of a text that are looked at: all links that are kept, and as much between them
)

// unquoted takes off the backslashes of JSON that was quoted once more than it should be.
var unquoted = strings.NewReplacer(`\/`, "/", `\"`, `"`)

// split takes a text apart into the links that it holds. A separator is lawful inside a link: it
// parts two only where another begins. Where words stand before the first link, a sentence say, it
// ends at white space; without prose such a text holds none.
func splitLinks(text string, prose bool) []string {
	cut := len(text) > maxSplit
	text = unwrap(strings.TrimSpace(unquoted.Replace(text[:min(len(text), maxSplit)])))
	if text == "" {
		return nil
	}
	starts := linkStarts(text)
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
		if words || len(starts) > 1 { // what ends a link that stands alone may be part of it
			piece = strings.TrimRight(piece, separators+openings)
		}
		pieces = append(pieces, cutAtClosing(text[:start], piece))
	}
	if cut {
		pieces = pieces[:len(pieces)-1] // nobody knows where it ends
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
func cutAtClosing(before, piece string) string {
	if before == "" {
		return piece
	}
	kind := strings.IndexByte(openings, before[len(before)-1])
	if kind < 0 {
		return piece
	}
	end := strings.LastIndexByte(piece, closings[kind])
	if closings[kind] == openings[kind] { // a quote holds no other
		end = strings.IndexByte(piece, closings[kind])
	}
	if end >= 0 {
		return piece[:end]
	}
	return piece
}

// beginnings returns where in text links begin. A text that begins with a path holds more paths
// where they begin alike. Where it begins with a link, a bracket or quote within one is part of it.
func linkStarts(text string) (starts []int) {
	alike := ""
	if !hasScheme(text) && !strings.HasPrefix(text, "//") && isPath(text[:indexFunc(text, unicode.IsSpace)]) {
		alike = text[:1+strings.IndexByte(text, '/')]
	}
	for i := range text {
		before, _ := utf8.DecodeLastRuneInString(text[:i])
		switch {
		case i == 0 || strings.ContainsRune(separators, before):
		case !strings.ContainsRune(openings, before), len(starts) > 0 && starts[0] == 0 && !endsLink(text[:i-1]):
			continue
		}
		rest := text[i:]
		if hasScheme(rest) || len(rest) > 2 && rest[:2] == "//" && rest[2] != '/' || alike != "" && strings.HasPrefix(rest, alike) {
			starts = append(starts, i)
		}
	}
	return starts
}

// parted reports whether another link may begin after text.
func endsLink(text string) bool {
	last, _ := utf8.DecodeLastRuneInString(text)
	return strings.ContainsRune(separators+openings+closings, last)
}
