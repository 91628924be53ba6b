package moderation_test

import (
	"log"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/preset/nanobanana-functions/shared/moderation"
)

var categories = []moderation.Category{
	moderation.SexualContent, moderation.Minors, moderation.Gore, moderation.Hate, moderation.RealPersonNudity,
	moderation.SelfHarm, moderation.RefusedTerm,
}

func TestCategories(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range categories {
		text := c.Text()
		if text == "" || seen[text] || !strings.HasSuffix(text, ".") {
			t.Errorf("%s has the text %q", c, text)
		}
		seen[text] = true
		if strings.Trim(string(c), "abcdefghijklmnopqrstuvwxyz_") != "" {
			t.Errorf("%q does not fit the contract's pattern", c)
		}
	}
	if text := moderation.Category("other").Text(); text != "" {
		t.Errorf("an unknown category has the text %q", text)
	}
}

// The filter finds the operator's terms in the same disguises as the built-in ones.
func TestRefusedTerms(t *testing.T) {
	f := moderation.New([]string{"Forbidden", "two words", "straße", "ガラス", "запрет", "A1 sauce", "c3po", " -- ", ""}, nil)
	for _, tt := range []struct {
		name, prompt string
		refused      bool
	}{
		{"an empty prompt passes", "", false},
		{"a harmless prompt passes", "a cat on a roof -- at night", false},
		{"a term is refused", "a forbidden thing", true},
		{"case does not matter", "FORBIDDEN", true},
		{"punctuation does not matter", "(forbidden!)", true},
		{"a term within a longer word passes", "unforbidden forbiddens", false},
		{"two words across a line break are refused", "Two,\n  words", true},
		{"two words apart pass", "two other words", false},
		{"letters beyond ASCII are folded", "STRASSE", true},
		{"other scripts are read", "ガラス 写真", true},
		{"other scripts have capitals, too", "ЗАПРЕТ", true},
		{"digits are read", "with A1 sauce", true},
		{"digits in a word are read", "C3PO in the desert", true},
		{"a zero-width character hides nothing", "for\u200bbidden", true},
		{"a long s hides nothing", "two wordſ", true},
		{"a combining mark hides nothing", "forbidden\u0301", true},
		{"letters spaced out hide nothing", "f o r b i d d e n", true},
		{"invalid UTF-8 passes", "\xff\xfe", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			category, refused := f.Check(tt.prompt)
			if refused != tt.refused || refused && category != moderation.RefusedTerm {
				t.Errorf("Check(%q) = %q, %v; want %v", tt.prompt, category, refused, tt.refused)
			}
		})
	}
}

// The operator's allowed terms pass by themselves, and nothing more does.
func TestAllowedTerms(t *testing.T) {
	f := moderation.New([]string{"acme", "bust"}, []string{"nude", "Bust Study", "acme", "naked truth club", "suicide", "naked child"})
	for _, tt := range []struct {
		prompt string
		want   moderation.Category
	}{
		{"nude", ""},
		{"a N.U.D.E. figure, charcoal", ""},
		{"a naked figure", moderation.SexualContent},
		{"a nude, naked figure", moderation.SexualContent},
		{"join the naked truth club", ""},
		{"suicide", ""},
		{"nude child", moderation.Minors},
		{"naked child", moderation.Minors},
		{"a nude beside an apple tree, children at play", moderation.Minors},
		{"nude Taylor Swift", moderation.RealPersonNudity},
		{"make her nude", moderation.RealPersonNudity},
		{"acme", moderation.RefusedTerm}, // on both lists: it is refused
		{"a bust study", moderation.RefusedTerm},
	} {
		if category, _ := f.Check(tt.prompt); category != tt.want {
			t.Errorf("Check(%q) = %q, want %q", tt.prompt, category, tt.want)
		}
	}
}

// A refusal names the gravest of several reasons.
func TestGravest(t *testing.T) {
	f := moderation.New([]string{"acme"}, nil)
	parts := []string{"acme", "penis", "suicide", "gore", "swastika", "nudify", "lolicon"}
	want := []moderation.Category{
		moderation.RefusedTerm, moderation.SexualContent, moderation.SelfHarm, moderation.Gore, moderation.Hate,
		moderation.RealPersonNudity, moderation.Minors,
	}
	for i := range parts {
		prompt := strings.Join(parts[:i+1], " and then ")
		if category, _ := f.Check(prompt); category != want[i] {
			t.Errorf("Check(%q) = %q, want %q", prompt, category, want[i])
		}
	}
}

func TestConcurrentChecks(t *testing.T) {
	f := moderation.New(nil, []string{"nude"})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, prompt := range []string{"nude", "ｎｕｄｅ", "a lighthouse"} {
				if _, refused := f.Check(prompt); refused {
					t.Errorf("%s is refused", prompt)
				}
			}
		})
	}
	wg.Wait()
}

// Neither the log nor the category's text quotes the prompt.
func TestQuotesNothing(t *testing.T) {
	var written strings.Builder
	log.SetOutput(&written)
	defer log.SetOutput(os.Stderr)
	const prompt = "hunter2 naked woman acme"
	category, refused := moderation.New([]string{"acme"}, nil).Check(prompt)
	if !refused || !slices.Contains(categories, category) {
		t.Fatalf("Check = %q, %v", category, refused)
	}
	for word := range strings.FieldsSeq(prompt) {
		if strings.Contains(written.String()+category.Text(), word) {
			t.Errorf("%s is quoted: %s %s", word, category.Text(), written.String())
		}
	}
}
