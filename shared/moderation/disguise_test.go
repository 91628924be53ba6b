package moderation

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/preset/nanobanana-functions/shared/cputest"
)

// disguises are what people do to words so that a list does not find them.
var disguises = map[string]func(string) string{
	"capitals":        strings.ToUpper,
	"fullwidth":       shifted('ａ'),
	"bold":            shifted('𝐚'),
	"script":          shifted('𝓪'),
	"circled":         shifted('ⓐ'),
	"squared":         func(s string) string { return shifted('🅐')(strings.ToLower(s)) },
	"marks":           each(func(c string) string { return c + "\u0301\u0323" }),
	"zero width":      each(func(c string) string { return c + "\u200b" }),
	"soft hyphens":    each(func(c string) string { return c + "\u00ad" }),
	"a joiner":        func(s string) string { return s[:1] + "\u2060" + s[1:] },
	"look-alikes":     strings.NewReplacer("a", "а", "c", "с", "e", "е", "i", "і", "o", "о", "p", "р", "s", "ѕ", "x", "х", "y", "у").Replace,
	"Greek":           strings.NewReplacer("a", "α", "n", "η", "o", "ο", "u", "υ", "e", "ε", "t", "τ", "k", "κ").Replace,
	"small capitals":  strings.NewReplacer("a", "ᴀ", "e", "ᴇ", "n", "ɴ", "d", "ᴅ", "k", "ᴋ", "u", "ᴜ").Replace,
	"leet":            strings.NewReplacer("a", "4", "e", "3", "i", "1", "o", "0").Replace,
	"leet signs":      strings.NewReplacer("a", "@", "s", "$", "i", "!").Replace,
	"letters thrice":  each(func(c string) string { return c + c + c }),
	"a letter twice":  func(s string) string { return s[:1] + s },
	"spaced":          spaced(" "),
	"dotted":          spaced("."),
	"hyphens":         spaced("-"),
	"dots and spaces": spaced(". "),
}

// shifted returns a function that writes letters with those of the alphabet that starts at a.
func shifted(a rune) func(string) string {
	return func(s string) string {
		return strings.Map(func(c rune) rune {
			if 'a' <= c && c <= 'z' {
				return c - 'a' + a
			}
			return c
		}, s)
	}
}

// each returns a function that changes each letter.
func each(change func(string) string) func(string) string {
	return func(s string) string {
		out := ""
		for _, c := range s {
			if 'a' <= c && c <= 'z' {
				out += change(string(c))
			} else {
				out += string(c)
			}
		}
		return out
	}
}

// spaced returns a function that puts sep between letters and three of it between words.
func spaced(sep string) func(string) string {
	return func(s string) string {
		words := strings.Fields(s)
		for i, w := range words {
			words[i] = strings.Join(strings.Split(w, ""), sep)
		}
		return strings.Join(words, strings.Repeat(sep, 3))
	}
}

// plain returns the prompts of refuse.txt that have no disguise yet.
func plain(t testing.TB) (found []sample) {
	for _, s := range samples(t, "refuse.txt") {
		other := strings.ContainsFunc(s.prompt, func(c rune) bool { return c != ' ' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') })
		short := 0
		for w := range strings.FieldsSeq(s.prompt) {
			if len(w) == 1 {
				short++
			}
		}
		if !other && short < 2 && len(s.prompt) < 60 {
			found = append(found, sample{s.Category, strings.ToLower(s.prompt)})
		}
	}
	return found
}

// What is refused stays refused in each disguise, and in two at once.
func TestDisguises(t *testing.T) {
	f := New(nil, nil)
	tried, through := 0, 0
	try := func(name, prompt string, s sample) {
		if tried++; through > 20 {
			return
		}
		if got, refused := f.Check(prompt); !refused || got != s.Category {
			through++
			t.Errorf("%s: %q as %+q: refused %v as %q, want %q", name, s.prompt, prompt, refused, got, s.Category)
		}
	}
	names := slices.Sorted(maps.Keys(disguises))
	for _, s := range plain(t) {
		for _, name := range names {
			once := disguises[name](s.prompt)
			try(name, once, s)
			for _, second := range []string{"zero width", "marks", "fullwidth", "look-alikes"} {
				if utf8.RuneCountInString(once) == len(once) { // still plain letters
					try(name+", "+second, disguises[second](once), s)
				}
			}
		}
	}
	t.Logf("%d of %d disguised prompts refused", tried-through, tried)
}

// worst are prompts of 20,000 characters that take the longest.
var worst = map[string]string{
	"letters spaced out":  strings.Repeat("n u d x ", 2500),
	"words apart":         strings.Repeat("remove her ", 1819),
	"one long word":       strings.Repeat("nakedwoman", 2000),
	"glued words":         strings.Repeat("womanwomanwomanwomanwomanwomanwomanwomanwomanx ", 417),
	"repeated letters":    strings.Repeat("aabbccddeeffgghhiijjkkllmmnn ", 690),
	"masked letters":      strings.Repeat("a*c*d ", 3334),
	"signs":               strings.Repeat("4k3d1l ", 2858),
	"joined by one sign":  strings.Repeat("ab-", 6667),
	"marks":               "a" + strings.Repeat("\u0301", 20000),
	"astral letters":      strings.Repeat("𝓪𝓫𝓬 ", 5000),
	"minors and teasing":  strings.Repeat("kid cat bikini ", 1334),
	"harmless, realistic": strings.Repeat("A full-length portrait of a woman in a silk slip dress, soft window light. ", 267),
}

func BenchmarkCheck(b *testing.B) {
	f := New(nil, nil)
	f.Check("é")
	for name, prompt := range worst {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				f.Check(prompt)
			}
		})
	}
	for _, prompt := range []string{"a lighthouse", samples(b, "refuse.txt")[0].prompt} {
		b.Run(prompt, func(b *testing.B) {
			for b.Loop() {
				f.Check(prompt)
			}
		})
	}
}

// BenchmarkFirstCheck measures what the first prompt of a process costs in addition.
func BenchmarkFirstCheck(b *testing.B) {
	for b.Loop() {
		compile(builtIn, nil, nil)
	}
}

// FuzzCheck checks that no prompt makes Check panic, and that a refused term is refused
// after any other text.
func FuzzCheck(f *testing.F) {
	for _, name := range []string{"pass.txt", "refuse.txt"} {
		for _, s := range samples(f, name) {
			f.Add(s.prompt)
		}
	}
	for _, prompt := range worst {
		f.Add(prompt[:min(len(prompt), 200)])
	}
	filter := New([]string{"acme"}, []string{"bust study", "nude"})
	f.Fuzz(func(t *testing.T, prompt string) {
		limit := time.Second
		if len(prompt) >= 100_000 {
			limit = time.Minute
		}
		var category Category
		var refused bool
		cputest.Within(t, limit, fmt.Sprintf("a prompt of %d bytes", len(prompt)), func() { category, refused = filter.Check(prompt) })
		if refused != (category != "") || refused != (category.Text() != "") {
			t.Errorf("Check = %q, %v", category, refused)
		}
		if _, refused := filter.Check(prompt + "\n\n the acme word \n\n"); !refused {
			t.Errorf("a refused term is missed after %q", prompt)
		}
	})
}
