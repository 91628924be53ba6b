package ops

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// width is how many characters a line of a page has at most.
const width = 80

// Page is a text for people, at most 80 characters wide. What is printed has no control
// characters: some of it comes from outside.
type Page struct {
	Now time.Time // from which ages are counted

	text strings.Builder
}

// String returns the text.
func (p *Page) String() string { return p.text.String() }

// Line prints a paragraph, broken into lines.
func (p *Page) Line(format string, args ...any) {
	p.paragraph("", "", fmt.Sprintf(format, args...))
}

// Item prints a paragraph that is indented, such as an entry of a list.
func (p *Page) Item(format string, args ...any) {
	p.paragraph("  ", "  ", fmt.Sprintf(format, args...))
}

// Blank prints an empty line, unless it is the first, or the one before is empty.
func (p *Page) Blank() {
	if s := p.text.String(); s != "" && !strings.HasSuffix(s, "\n\n") {
		p.text.WriteByte('\n')
	}
}

// Field prints a name and a value, in two columns.
func (p *Page) Field(name, format string, args ...any) {
	p.paragraph(fmt.Sprintf("  %-12s ", name), strings.Repeat(" ", 15), fmt.Sprintf(format, args...))
}

func (p *Page) paragraph(first, indent, text string) {
	line, words := first, strings.Fields(clean(text))
	empty := true
	for _, w := range words {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(w) > width {
			p.write(line)
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+w, false
	}
	p.write(line)
}

// number matches a cell that stands at the right of its column.
var number = regexp.MustCompile(`^(-|now|\d[\d.,]*( (%|s|min|h|d|KB)( \d\d (s|min|h))?)?)$`)

// Table prints rows in columns under their names, numbers and durations at the right. A
// column is as wide as its widest cell; the last one is cut where the page ends.
func (p *Page) Table(names []string, rows ...[]string) {
	all := append([][]string{names}, rows...)
	widths, right := make([]int, len(names)), make([]bool, len(names))
	for i := range names {
		right[i] = len(rows) > 0
	}
	for n, row := range all {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(clean(cell)))
			right[i] = right[i] && (n == 0 || number.MatchString(cell))
		}
	}
	for _, row := range all {
		line := ""
		for i, cell := range row {
			cell = clean(cell)
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if right[i] {
				line += "  " + space + cell
			} else {
				line += "  " + cell + space
			}
		}
		p.write(cut(strings.TrimRight(line, " "), width))
	}
}

// Raw prints a line as it is, whatever its length, such as a command.
func (p *Page) Raw(line string) { p.write(clean(line)) }

func (p *Page) write(line string) {
	p.text.WriteString(strings.TrimRight(line, " "))
	p.text.WriteByte('\n')
}

// Ago returns how long ago a time was, in words; "-" for a zero one.
func (p *Page) Ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return Span(p.Now.Sub(t))
}

// In returns in how long a time is: "now" if it has passed, "-" for a zero one.
func (p *Page) In(t time.Time) string {
	switch {
	case t.IsZero():
		return "-"
	case !t.After(p.Now):
		return "now"
	}
	return Span(t.Sub(p.Now))
}

// At returns a time as people read it, in UTC.
func At(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// clock returns a time of day, in UTC, with its day if that is not the day of ref.
func clock(t, ref time.Time) string {
	switch t, ref = t.UTC(), ref.UTC(); {
	case t.IsZero():
		return "-"
	case t.Format(time.DateOnly) == ref.Format(time.DateOnly):
		return t.Format("15:04:05")
	}
	return t.UTC().Format("01-02 15:04:05")
}

// Span returns a duration in its two largest units, such as 2 h 05 min.
func Span(d time.Duration) string {
	d = max(0, d)
	switch s := int(d / time.Second); {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 600:
		return fmt.Sprintf("%d min %02d s", s/60, s%60)
	case s < 3600:
		return fmt.Sprintf("%d min", s/60)
	case s < 48*3600:
		return fmt.Sprintf("%d h %02d min", s/3600, s/60%60)
	default:
		return fmt.Sprintf("%d d %02d h", s/86400, s/3600%24)
	}
}

// Count returns a number with its noun: "1 task", "2 tasks".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// clean replaces what could act on a terminal, or hide text.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return '\uFFFD'
		}
		return r
	}, s)
}

// cut shortens s to n characters.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	r := []rune(s)
	return string(r[:n-1]) + "…"
}
