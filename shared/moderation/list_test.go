package moderation

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A sample is a prompt in testdata, with the category that it is refused for, if any.
type sample struct {
	Category
	prompt string
}

// samples reads a file of testdata.
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

// The filter judges every prompt of pass.txt and refuse.txt as they say.
func TestLists(t *testing.T) {
	f := New(nil, nil)
	for name, least := range map[string]int{"pass.txt": 220, "refuse.txt": 150} {
		list := samples(t, name)
		right, seen := 0, map[string]bool{}
		for _, s := range list {
			got, refused := f.Check(s.prompt)
			if got != s.Category || refused != (s.Category != "") {
				t.Errorf("%s: %+q: refused %v as %q, want %q", name, s.prompt, refused, got, s.Category)
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
		t.Logf("%s: %d of %d right, %.1f %%", name, right, len(list), 100*float64(right)/float64(len(list)))
	}
}

// The filter keeps at least these rates on prompts that the list was not made with.
func TestHoldOut(t *testing.T) {
	f := New(nil, nil)
	for name, least := range map[string]int{"holdout-pass.txt": 93, "holdout-refuse.txt": 84} {
		list := samples(t, name)
		right := 0
		for _, s := range list {
			got, refused := f.Check(s.prompt)
			if refused != (s.Category != "") || got != s.Category {
				t.Logf("%s: %q is judged %q, not %q", name, s.prompt, got, s.Category)
			}
			if refused == (s.Category != "") {
				right++
			}
		}
		if t.Logf("%s: %d of %d right", name, right, len(list)); right < least {
			t.Errorf("%s: %d of %d right, want at least %d", name, right, len(list), least)
		}
	}
}

// The example in the package's documentation is true.
func TestDocumentedExample(t *testing.T) {
	const prompt = "A n4k\u0435d woman, nude-coloured heels"
	text, tokens := tokenize(prompt)
	if string(text) != "a n4ked woman, nude-coloured heels" || len(tokens) != 6 {
		t.Errorf("folded to %q, %d tokens", text, len(tokens))
	}
	l := compile(builtIn, nil, nil)
	words := l.read(prompt)
	var read []string
	for _, w := range words {
		read = append(read, l.words[w.id])
	}
	if got := strings.Join(read, " "); got != "a naked woman nude coloured heels" {
		t.Errorf("read as %q", got)
	}
	kinds := map[hit]bool{}
	for _, h := range l.hits(words) {
		kinds[h] = true
	}
	for _, h := range []hit{{sexualContent, 1, 2}, {sexualContent, 3, 4}, {innocent, 3, 6}} {
		if !kinds[h] {
			t.Errorf("no hit %v among %v", h, kinds)
		}
	}
	if got, _ := l.verdict(words); got != SexualContent {
		t.Errorf("refused as %q", got)
	}
	if got, _ := l.verdict(l.read("A woman, nude-coloured heels")); got != "" {
		t.Errorf("without the naked woman refused as %q", got)
	}
}

func TestPrepareCompiles(t *testing.T) {
	compiled := 0
	f := &Filter{compiled: sync.OnceValue(func() *list { compiled++; return compile(builtIn, nil, nil) })}
	if err := f.Prepare(t.Context()); err != nil || compiled != 1 {
		t.Errorf("%d lists compiled, %v", compiled, err)
	}
	if _, refused := f.Check("a lighthouse"); refused || compiled != 1 {
		t.Errorf("refused %v, %d lists compiled", refused, compiled)
	}
}
