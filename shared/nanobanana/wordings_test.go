package nanobanana_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
)

// wording is a message of an image service and its meaning.
type wording struct{ text, language, means string }

func wordings(t *testing.T, name string) (list []wording) {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var means, language string
	for line := range strings.Lines(string(raw)) {
		switch line = strings.TrimSpace(line); {
		case line == "", line[0] == '#':
		case line[0] == '[':
			means, language, _ = strings.Cut(strings.Trim(line, "[]"), " ")
		default:
			list = append(list, wording{line, language, means})
		}
	}
	return list
}

// meaningOf returns how the reader understands a message with a bare code 500.
func meaningOf(text string) string {
	switch nanobanana.OutcomeReason(500, text) {
	case nanobanana.Policy:
		return "policy"
	case nanobanana.InputImage:
		return "input"
	}
	return "other"
}

// tally returns the rates of understood messages, by meaning and language.
func tally(t *testing.T, name string, wrong func(wording, string)) map[string]float64 {
	t.Helper()
	right, all := map[string]int{}, map[string]int{}
	for _, w := range wordings(t, name) {
		kind := w.means + " " + w.language
		all[kind]++
		if got := meaningOf(w.text); got == w.means {
			right[kind]++
		} else {
			wrong(w, got)
		}
	}
	rates := map[string]float64{}
	for _, kind := range slices.Sorted(maps.Keys(all)) {
		rates[kind] = float64(right[kind]) / float64(all[kind])
		t.Logf("%s, %s: %d of %d right", name, kind, right[kind], all[kind])
	}
	return rates
}

// The table was made from the training list. The other two lists measure how well it does on messages it
// has not seen, so their misses are not printed: do not read them while you change the table. The
// vendors' list is the harder one: its services were not considered for the table.
func TestWordings(t *testing.T) {
	tally(t, "wordings-training.txt", func(w wording, got string) {
		t.Errorf("%q is understood as %s, want %s", w.text, got, w.means)
	})
	for name, least := range map[string]map[string]float64{
		"wordings-holdout.txt": {"policy en": 0.9, "policy zh": 0.9, "input en": 0.9, "input zh": 0.9, "other en": 0.95, "other zh": 0.95},
		"wordings-vendors.txt": {"policy en": 0.8, "policy zh": 0.8, "input en": 0.7, "input zh": 0.7, "other en": 0.95, "other zh": 0.9},
	} {
		mistaken := map[string]int{}
		rates := tally(t, name, func(w wording, got string) { mistaken[fmt.Sprintf("%s %s for %s", w.means, w.language, got)]++ })
		t.Log(name, "mistaken: ", mistaken)
		for kind, least := range least {
			if rates[kind] < least {
				t.Errorf("%s, %s: %.2f is right, want %.2f", name, kind, rates[kind], least)
			}
		}
	}
}
