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

// wording is a text of an image service's, and what it means.
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

// understood is what the reader makes of a text that comes with a bare code 500.
func understood(text string) string {
	switch nanobanana.OutcomeReason(500, text) {
	case nanobanana.Policy:
		return "policy"
	case nanobanana.InputImage:
		return "input"
	}
	return "other"
}

// tally counts, by meaning and language, how many texts are understood.
func tally(t *testing.T, name string, wrong func(wording, string)) map[string]float64 {
	t.Helper()
	right, all := map[string]int{}, map[string]int{}
	for _, w := range wordings(t, name) {
		kind := w.means + " " + w.language
		all[kind]++
		if got := understood(w.text); got == w.means {
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

// The table is made by the training list. The hold-out list, which nobody looks at while changing
// the table, tells how well it does on what it has not seen; its misses are not printed.
func TestWordings(t *testing.T) {
	tally(t, "wordings-training.txt", func(w wording, got string) {
		t.Errorf("%q is understood as %s, want %s", w.text, got, w.means)
	})
	mistaken := map[string]int{}
	rates := tally(t, "wordings-holdout.txt", func(w wording, got string) { mistaken[fmt.Sprintf("%s %s for %s", w.means, w.language, got)]++ })
	t.Log("hold-out, mistaken: ", mistaken)
	for kind, least := range map[string]float64{
		"policy en": 0.9, "policy zh": 0.9, "input en": 0.9, "input zh": 0.9, "other en": 0.95, "other zh": 0.95,
	} {
		if rates[kind] < least {
			t.Errorf("%s: %.2f of the hold-out is right, want %.2f", kind, rates[kind], least)
		}
	}
}
