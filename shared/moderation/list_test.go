package moderation

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// sample is a prompt of a list in testdata, with the category it is refused by, if any.
type sample struct {
	Category
	prompt string
}

// samples reads a list of testdata.
func samples(t testing.TB, name string) (found []sample) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "# ") {
			continue
		}
		category, prompt, refused := strings.Cut(line, "\t")
		if !refused {
			category, prompt = "", line
		}
		prompt, err := strconv.Unquote(`"` + strings.ReplaceAll(prompt, `"`, `\"`) + `"`)
		if err != nil {
			t.Fatalf("%s: %q: %v", name, line, err)
		}
		found = append(found, sample{Category(category), prompt})
	}
	return found
}

// The lists in testdata are judged as they say, all of them.
func TestLists(t *testing.T) {
	f := New(nil, nil)
	for name, least := range map[string]int{"pass.txt": 220, "refuse.txt": 150} {
		list := samples(t, name)
		right, seen := 0, map[string]bool{}
		for _, s := range list {
			got, refused := f.Check(s.prompt)
			if got != s.Category || refused != (s.Category != "") {
				t.Errorf("%s: %+q: refused %v by %q, want %q", name, s.prompt, refused, got, s.Category)
				continue
			}
			if seen[s.prompt] {
				t.Errorf("%s has %+q twice", name, s.prompt)
			}
			seen[s.prompt] = true
			right++
		}
		if len(list) < least {
			t.Errorf("%s has %d prompts, want at least %d", name, len(list), least)
		}
		t.Logf("%s: %d of %d judged as it says, %.1f %%", name, right, len(list), 100*float64(right)/float64(len(list)))
	}
}

// The list keeps at least these rates on prompts that it was not made with.
func TestHoldOut(t *testing.T) {
	f := New(nil, nil)
	for name, least := range map[string]int{"holdout-pass.txt": 44, "holdout-refuse.txt": 7} {
		list := samples(t, name)
		right := 0
		for _, s := range list {
			got, refused := f.Check(s.prompt)
			if refused != (s.Category != "") || got != s.Category {
				t.Logf("%s: %q is judged %q, should be %q", name, s.prompt, got, s.Category)
			}
			if refused == (s.Category != "") {
				right++
			}
		}
		if t.Logf("%s: %d of %d right", name, right, len(list)); right < least {
			t.Errorf("%s: %d of %d are judged right, want at least %d", name, right, len(list), least)
		}
	}
}
