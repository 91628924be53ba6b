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
	maxLinks     = 8        // of a record: twice the pictures that one task can have
	maxLinkBytes = 32 << 10 // of all links of a record, since they are kept on the task's row
)

// links is a bounded list of links, without repeats.
type links struct {
	list    []string
	bytes   int
	dropped int // links that did not fit
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

// toURL returns a piece of text as an absolute http or https URL, or "". It does not change a valid
// link, which may be signed. The fetcher decides whether a link may be fetched.
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

// absolute returns the URL of a path at the provider's origin. A path that begins with a host name is
// a URL without its scheme.
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

// isPath reports whether text looks like a path rather than a word, a media type or a picture in
// base64.
func isPath(text string) bool {
	first, rest, found := strings.Cut(text, "/")
	odd := func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("\"'<>{}|\\^`", r)
	}
	return found && rest != "" && !strings.EqualFold(text, "n/a") && !strings.Contains(first, ":") && !strings.ContainsFunc(text, odd) &&
		!isMediaType(text) && !isInline(text, true)
}

// plainPath reports whether text is a path even in a place where none is expected.
func plainPath(text string) bool { return strings.HasPrefix(text, "/") || isPicture(text) }

// isPathWithSpaces reports whether text is a path with raw spaces rather than a sentence.
func isPathWithSpaces(text string) bool {
	return plainPath(text) && isPath(strings.ReplaceAll(text, " ", "%20"))
}

func isMediaType(text string) bool {
	family, rest, _ := strings.Cut(strings.ToLower(text), "/")
	return slices.Contains([]string{"image", "application", "text", "video", "audio"}, family) &&
		!strings.ContainsAny(rest, "/.?")
}

// isPicture reports whether the path in text has a picture's extension.
func isPicture(text string) bool {
	text, _, _ = strings.Cut(text, "?")
	return slices.Contains([]string{".png", ".jpg", ".jpeg", ".webp"}, strings.ToLower(path.Ext(text)))
}

// inlineStarts are the first characters of PNG, JPEG, WebP and GIF in base64.
var inlineStarts = []string{"iVBORw0KGgo", "/9j/", "UklGR", "R0lGOD"}

const (
	minInline         = 64   // characters of a picture in base64
	minUnmarkedInline = 1024 // of any base64 in a picture's place
)

// isInline reports whether text is a picture instead of a link to one. It decides by the first
// characters, or if a picture is expected by the length alone.
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

// escape escapes raw spaces, and percent signs that are not part of an escape.
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

	maxSplit = 2 * maxLinks * maxLink // bytes of a text that are searched: all links that fit, and as much between them
)

// unquoted removes the backslashes of JSON that was quoted once too often.
var unquoted = strings.NewReplacer(`\/`, "/", `\"`, `"`)

// splitLinks returns the links in a text. A link may contain a separator: only one before another link
// separates. If the text has words before its first link, as in a sentence, links end at white space;
// without prose such a text has no links.
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
		if words || len(starts) > 1 { // the end of a single link may be part of it
			piece = strings.TrimRight(piece, separators+openings)
		}
		pieces = append(pieces, cutAtClosing(text[:start], piece))
	}
	if cut {
		pieces = pieces[:len(pieces)-1] // its end is missing
	}
	return pieces
}

func indexFunc(text string, f func(rune) bool) int {
	if i := strings.IndexFunc(text, f); i >= 0 {
		return i
	}
	return len(text)
}

// unwrap removes the brackets or quotes around a list that is not JSON.
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

// cutAtClosing cuts a piece at the bracket or quote that closes the one just before it.
func cutAtClosing(before, piece string) string {
	if before == "" {
		return piece
	}
	kind := strings.IndexByte(openings, before[len(before)-1])
	if kind < 0 {
		return piece
	}
	end := strings.LastIndexByte(piece, closings[kind])
	if closings[kind] == openings[kind] { // quotes do not nest
		end = strings.IndexByte(piece, closings[kind])
	}
	if end >= 0 {
		return piece[:end]
	}
	return piece
}

// linkStarts returns the offsets in text at which links begin. After a path, further paths must begin
// with the same folder. After a link at the very start, a bracket or quote inside a link is part of it.
func linkStarts(text string) (starts []int) {
	samePrefix := ""
	if !hasScheme(text) && !strings.HasPrefix(text, "//") && isPath(text[:indexFunc(text, unicode.IsSpace)]) {
		samePrefix = text[:1+strings.IndexByte(text, '/')]
	}
	for i := range text {
		before, _ := utf8.DecodeLastRuneInString(text[:i])
		switch {
		case i == 0 || strings.ContainsRune(separators, before):
		case !strings.ContainsRune(openings, before), len(starts) > 0 && starts[0] == 0 && !endsLink(text[:i-1]):
			continue
		}
		rest := text[i:]
		if hasScheme(rest) || len(rest) > 2 && rest[:2] == "//" && rest[2] != '/' || samePrefix != "" && strings.HasPrefix(rest, samePrefix) {
			starts = append(starts, i)
		}
	}
	return starts
}

// endsLink reports whether another link may begin after text.
func endsLink(text string) bool {
	last, _ := utf8.DecodeLastRuneInString(text)
	return strings.ContainsRune(separators+openings+closings, last)
}
