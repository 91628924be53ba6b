package nanobanana

import (
	"regexp"
	"strings"
	"sync"
	"unicode"
)

const (
	maxText  = 2000 // bytes of a text that are looked at
	maxWords = 200  // characters of a text that go into the log
)

// texts refines a reason where the provider's text is plain; the first match wins. Policy comes
// first: it is what most surely makes another generation a waste of money.
var texts = []struct {
	pattern func() *regexp.Regexp
	reason  Reason
}{
	{pattern(`flagged|content polic(y|ies)|prohibited|\bsensitive|nsfw`), Policy},
	{pattern(`credits?\b.*\binsufficient|\binsufficient\b.*\b(credit|balance)|\btop.?up\b`), NoCredits},
	{pattern(`frequency is too high|too many requests`), RateLimited},
	{pattern(`must not be (blank|null|empty)`), BadRequest},
	{pattern(`(failed|unable|cannot|could not).*\b(fetch|download|access|load|open).*(image|url)`), InputImage},
	{pattern(`image.*\b(format|unsupported)|image (fetch|download).*failed`), InputImage},
	{pattern(`\bapi.?key\b|unauthori[sz]ed`), Unauthorized},
}

// pattern matches expr in any case. It is compiled when it is first used: to compile all of them
// would take a twentieth of a cold start, and most functions that start see no failure.
func pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("(?i)" + expr) })
}

func refine(reason Reason, said []string) Reason {
	text := strings.Join(said, " ")
	text = text[:min(len(text), maxText)] // a sentence, unless somebody wants to keep us busy
	for _, t := range texts {
		if t.pattern().MatchString(text) {
			return t.reason
		}
	}
	return reason
}

// addresses are what a text for the log must not hold: URLs with and without a scheme, data URLs,
// and what is long enough to be a key.
var addresses = pattern(`[a-z][a-z0-9+.-]*:(\\?/){2}[!-~]*|\bdata:[!-~]*|//[!-~]+|(\b[a-z0-9-]+\.)+[a-z]{2,}(:\d+)?/[!-~]*|[a-z0-9+/=_-]{48,}`)

// words returns a text for the log: one line of at most 200 characters, without links, without
// the prompt, and without characters that act on a terminal.
func words(text, prompt string) string {
	text = strings.ToValidUTF8(text[:min(len(text), maxText)], "")
	if prompt = strings.TrimSpace(prompt); prompt != "" {
		text = strings.ReplaceAll(text, prompt, "...")
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	text = addresses().ReplaceAllString(text, "...")
	runes := []rune(strings.Join(strings.Fields(text), " "))
	return string(runes[:min(len(runes), maxWords)])
}
