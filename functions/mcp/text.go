package mcp

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/preset/nanobanana-functions/shared/httpapi"
)

// quote returns text that came from outside as it stands in a tool's text: one JSON
// string, whose decoded value is the text. It has no line break of any kind, and
// nothing in it is hidden from a reader, so it cannot look like a line of ours. The
// sentence around it says whose text it is.
func quote(text string) string {
	encoded, err := httpapi.Encode(text)
	if err != nil {
		return `""` // no string fails to encode
	}
	return string(escapeHidden(encoded))
}

// escapeHidden replaces every character of JSON that is not seen as itself by its
// escape. The value stays the same: outside of strings JSON has no such character.
func escapeHidden(encoded []byte) []byte {
	if !strings.ContainsFunc(string(encoded), hidden) {
		return encoded
	}
	var b strings.Builder
	for _, r := range string(encoded) {
		switch {
		case !hidden(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return []byte(b.String())
}

// hidden reports whether a reader does not see a character as itself: it breaks or
// turns a line, has no width, or selects the look of the one before it.
func hidden(r rune) bool {
	return !unicode.IsGraphic(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// argument returns the name of the argument that a fault's pointer means. A name that
// cannot be one of ours is the caller's text.
func argument(pointer string) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_/"
	name := strings.TrimPrefix(pointer, "/")
	switch {
	case name == "":
		return "arguments"
	case strings.Trim(name, plain) == "":
		return name
	}
	return "the argument that the call names " + quote(name)
}
