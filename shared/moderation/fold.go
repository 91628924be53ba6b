package moderation

import (
	"unicode"
	"unicode/utf8"
)

// A run is seven bytes: the first code point (three), how many follow it, in the low
// seven bits (one; the high bit: the target counts up with them), and what the first
// folds to (three): a character, or beyond Unicode the place in foldRuns of a text that
// has its length before it. After their number stand the runs' first bytes, then their
// second ones and so on, which deflates better.
//
// The table is our own since x/text/unicode/norm would add 100 KB to the functions; a
// test holds it against that, code point by code point.
const runSize = 7

// three reads three bytes that are step apart.
func three(s string, step int) rune { return rune(s[0])<<16 | rune(s[step])<<8 | rune(s[2*step]) }

// appendFold appends what a reader sees in c, as plain small letters where it is any:
// its compatibility decomposition without marks, in lower case, and instead of a
// look-alike the Latin letter. Characters that show nothing give nothing.
func appendFold(b []byte, c rune) []byte {
	if c < utf8.RuneSelf {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		return append(b, byte(c))
	}
	table := foldRuns()
	count := int(three(table, 1))
	low, high := 0, count // the run is in [low, high), or there is none
	for low < high {
		middle := (low + high) / 2
		run := table[3+middle:]
		d := c - three(run, count)
		switch {
		case d < 0:
			high = middle
		case d > rune(run[3*count]&0x7f):
			low = middle + 1
		default:
			target := three(run[4*count:], count)
			if target > unicode.MaxRune {
				text := table[target-unicode.MaxRune-1:]
				return append(b, text[1:1+text[0]]...)
			}
			if run[3*count] >= 0x80 {
				target += d
			}
			return utf8.AppendRune(b, target)
		}
	}
	if unseen(c) {
		return b
	}
	return utf8.AppendRune(b, lower(c))
}

// unseen says whether nobody sees c by itself: marks, and what has no width.
func unseen(c rune) bool {
	return unicode.In(c, unicode.Mn, unicode.Me, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point)
}

// lower goes by way of upper case, since some letters have two lower ones (ſ, ς).
func lower(c rune) rune { return unicode.ToLower(unicode.ToUpper(c)) }
