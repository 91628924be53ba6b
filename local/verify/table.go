package verify

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// finding is one line of the table.
type finding struct {
	What  string
	Guess string // what the code assumes
	Seen  string
	Set   string // what to change; setNothing if the guess is right
}

const (
	setNothing = "nothing"
	notSeen    = "not seen"
)

// found returns a finding; change is what to change unless it is as guessed.
func found(what, guess, seen string, asGuessed bool, change string) finding {
	if asGuessed {
		change = setNothing
	}
	return finding{what, guess, seen, change}
}

// unseen returns the finding of something that was not seen, with the reason.
func unseen(what, guess, why string) finding {
	return finding{what, guess, notSeen + ": " + why, "-"}
}

// tableWidths are the widths of the columns, in characters.
var tableWidths = [...]int{16, 32, 42, 30}

// printTable prints findings in columns. Long cells take several lines.
func printTable(out io.Writer, findings []finding) {
	printRow(out, finding{"", "guess", "seen", "set this"})
	rule := finding{strings.Repeat("-", tableWidths[0]), strings.Repeat("-", tableWidths[1]), strings.Repeat("-", tableWidths[2]), strings.Repeat("-", tableWidths[3])}
	printRow(out, rule)
	differ, missed := 0, 0
	for _, f := range findings {
		printRow(out, f)
		switch {
		case strings.HasPrefix(f.Seen, notSeen):
			missed++
		case f.Set != setNothing:
			differ++
		}
	}
	fmt.Fprintf(out, "\n%d as guessed, %d to look at, %d not seen\n", len(findings)-differ-missed, differ, missed)
}

func printRow(out io.Writer, f finding) {
	var cells [len(tableWidths)][]string
	height := 0
	for i, text := range []string{f.What, f.Guess, f.Seen, f.Set} {
		cells[i] = wrap(text, tableWidths[i])
		height = max(height, len(cells[i]))
	}
	for n := range height {
		var line strings.Builder
		for i, cell := range cells {
			text := ""
			if n < len(cell) {
				text = cell[n]
			}
			line.WriteString(text + strings.Repeat(" ", tableWidths[i]-utf8.RuneCountInString(text)+2))
		}
		fmt.Fprintln(out, strings.TrimRight(line.String(), " "))
	}
}

// wrap breaks text into lines of at most width characters, at spaces if possible.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		for {
			room := width - utf8.RuneCountInString(line)
			if line != "" {
				room--
			}
			if utf8.RuneCountInString(word) <= room {
				break
			}
			if line != "" {
				lines, line = append(lines, line), ""
				continue
			}
			head := string([]rune(word)[:width])
			lines, word = append(lines, head), word[len(head):]
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// appendNew appends text unless seen already contains it.
func appendNew(seen []string, text string) []string {
	if slices.Contains(seen, text) {
		return seen
	}
	return append(seen, text)
}
