package moderation

import (
	"bytes"
	"compress/flate"
	"errors"
	"flag"
	"io"
	"os"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

var update = flag.Bool("update", false, "pack the table of folds anew")

// lookalikes reads lookalikes.txt.
func lookalikes(t *testing.T) map[rune]string {
	t.Helper()
	text, err := os.ReadFile("lookalikes.txt")
	if err != nil {
		t.Fatal(err)
	}
	found := map[rune]string{}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") {
			continue
		}
		latin, alike, _ := strings.Cut(line, " ")
		for _, c := range alike {
			if found[c] != "" {
				t.Errorf("%c stands beside %s and %s", c, found[c], latin)
			}
			found[c] = latin
		}
	}
	return found
}

// skeleton is what appendFold promises, by x/text's tables.
func skeleton(c rune, alike map[rune]string) string {
	seen := ""
	for _, r := range norm.NFKD.String(string(c)) {
		switch {
		case alike[r] != "":
			seen += alike[r]
		case unseen(r):
		case alike[lower(r)] != "":
			seen += alike[lower(r)]
		default:
			seen += string(lower(r))
		}
	}
	return seen
}

// left says what the table leaves as it is, for its size: what no Latin letter is
// written with, and no list of words needs.
func left(c rune, seen string) bool {
	if c >= 0xAC00 && c < 0xD7A4 || c == 'ﾞ' || c == 'ﾟ' || !utf8.ValidRune(c) {
		return true
	}
	ascii := !strings.ContainsFunc(seen, func(r rune) bool { return r >= utf8.RuneSelf })
	first, size := utf8.DecodeRuneInString(seen)
	return !ascii && (size < len(seen) || unicode.In(first, unicode.Han, unicode.Arabic))
}

// What is embedded is what it is made of.
func TestPacked(t *testing.T) {
	want := foldTable(t)
	if *update {
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, flate.BestCompression)
		if err == nil {
			_, err = io.WriteString(w, want)
		}
		if err = errors.Join(err, w.Close(), os.WriteFile("fold.deflate", b.Bytes(), 0o644)); err != nil {
			t.Fatal(err)
		}
		return
	}
	if foldRuns() != want {
		t.Error("fold.deflate is not what it is made of: run go generate")
	}
}

// The table is read as it was meant, at each code point that there is.
func TestFold(t *testing.T) {
	alike := lookalikes(t)
	wrong := 0
	for c := rune(utf8.RuneSelf); c <= unicode.MaxRune && wrong < 20; c++ {
		seen := skeleton(c, alike)
		if left(c, seen) {
			continue
		}
		if got := string(appendFold(nil, c)); got != seen {
			wrong++
			t.Errorf("%U %c folds to %q, want %q", c, c, got, seen)
		}
	}
	for c := range rune(utf8.RuneSelf) {
		if got := string(appendFold(nil, c)); got != strings.ToLower(string(c)) {
			t.Errorf("%q folds to %q", c, got)
		}
	}
}

// foldTable makes what foldRuns gives.
func foldTable(t *testing.T) string {
	alike := lookalikes(t)
	type run struct {
		first, n, target rune
		up               bool
		text             string
	}
	var runs []run
	for c := rune(utf8.RuneSelf); c <= unicode.MaxRune; c++ {
		seen := skeleton(c, alike)
		if left(c, seen) || seen == string(lower(c)) || seen == "" {
			continue
		}
		target, size := utf8.DecodeRuneInString(seen)
		if size < len(seen) {
			runs = append(runs, run{first: c, text: seen})
			continue
		}
		if len(runs) > 0 {
			r := &runs[len(runs)-1]
			up := target == r.target+r.n+1
			if c == r.first+r.n+1 && r.n < 0x7f && r.text == "" && (target == r.target && !r.up || up && (r.up || r.n == 0)) {
				r.n, r.up = r.n+1, up
				continue
			}
		}
		runs = append(runs, run{first: c, target: target})
	}
	texts, places := "", map[string]rune{}
	planes := make([]byte, 3+len(runs)*runSize)
	put := func(at, step int, c rune) {
		planes[at], planes[at+step], planes[at+2*step] = byte(c>>16), byte(c>>8), byte(c)
	}
	put(0, 1, rune(len(runs)))
	for i, r := range runs {
		if _, ok := places[r.text]; !ok && r.text != "" {
			places[r.text] = unicode.MaxRune + 1 + rune(len(planes)+len(texts))
			texts += string(rune(len(r.text))) + r.text
		}
		if r.text != "" {
			r.target = places[r.text]
		}
		if r.up {
			r.n |= 0x80
		}
		put(3+i, len(runs), r.first)
		planes[3+3*len(runs)+i] = byte(r.n)
		put(3+4*len(runs)+i, len(runs), r.target)
	}
	return string(planes) + texts
}
