package lifecycle

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/task"
)

var (
	oldKey = token.Key{ID: "old", Key: "0123456789abcdef0123456789abcdef"}
	newKey = token.Key{ID: "new", Key: "fedcba9876543210fedcba9876543210"}
	keys   = token.Keys{newKey, oldKey}
)

const ourPrompt = "a red bicycle 🚲 by the sea"

// ours returns a task whose second attempt has the provider id p, known from our own
// POST's answer if proved, else only from a callback.
func ours(t *testing.T, proved bool) *task.Task {
	t.Helper()
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	x := task.New(task.Draft{Owner: "ada", IdempotencyKey: "k", Request: task.Request{Prompt: ourPrompt, NumImages: 1}}, now)
	r := task.DefaultRules()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(x.Refused(r, now, 1, task.Refusal{Code: task.CodePaused, Retry: task.RetryNow}))
	must(x.Resubmit(now))
	if proved {
		must(x.Accepted(r, now, 2, "p"))
		return x
	}
	must(x.Unanswered(r, now, 2))
	_, err := x.CalledBack(r, now, 2, task.Hint{ProviderID: "p", Success: true})
	must(err)
	return x
}

// claimOf returns a claim of the record p of a task.
func claimOf(x *task.Task) task.Claim {
	return task.Claim{Attempt: x.Attempt, ProviderID: "p", Proved: x.Proved()}
}

func TestCallbackAddressIdentifiesARecord(t *testing.T) {
	other := task.NewID("eve", "k")
	for _, proved := range []bool{true, false} {
		x := ours(t, proved)
		path := func(id string, attempt int, signed string) string {
			return fmt.Sprint(callbacksPath, id, "/", attempt, "/", signed)
		}
		signed := token.Keys{oldKey}.Sign(CallbackMessage(x.ID, 2))
		good := path(x.ID, 2, signed)
		unlessProved := task.MatchForeign // a masked address leaves it to the prompt, which is another task's here
		if proved {
			unlessProved = task.MatchUnknown
		}
		for name, c := range map[string]struct {
			address string
			want    task.Match
		}{
			"ours":                        {"https://api.example" + good, task.MatchOwn},
			"of any host":                 {"http://relay.example:8080/hooks" + good, task.MatchOwn},
			"with a query":                {"https://api.example" + good + "?x=1#y", task.MatchOwn},
			"escaped":                     {"https://relay.example/to?u=" + url.QueryEscape("https://api.example"+good), task.MatchOwn},
			"escaped twice":               {"https://r.example/?u=" + url.QueryEscape(url.QueryEscape("https://api.example"+good)), task.MatchOwn},
			"in HTML's escapes":           {"https:&#x2F;&#x2F;api.example" + strings.ReplaceAll(good, "/", "&#x2F;"), task.MatchOwn},
			"of another task":             {"https://api.example" + path(other, 2, signed), task.MatchForeign},
			"of another attempt":          {"https://api.example" + path(x.ID, 1, token.Keys{oldKey}.Sign(CallbackMessage(x.ID, 1))), task.MatchForeign},
			"cut in its token":            {"https://api.example" + good[:len(good)-9], unlessProved},
			"cut before its token":        {"https://api.example/v1/callbacks/" + x.ID + "/2", unlessProved},
			"cut in its id":               {"https://api.example/v1/callbacks/" + x.ID[:9], unlessProved},
			"masked":                      {"https://api.example/v1/callbacks/***", unlessProved},
			"masked in its token":         {"https://api.example" + path(x.ID, 2, "***"), unlessProved},
			"of a key that is gone":       {"https://api.example" + path(x.ID, 2, token.Keys{{ID: "gone", Key: "01234567890123456789012345678901"}}.Sign(CallbackMessage(x.ID, 2))), unlessProved},
			"none of ours":                {"https://other.example/hook", unlessProved},
			"none":                        {"", unlessProved},
			"with a bare per cent before": {"https://r.example/100%?u=https://api.example" + good, task.MatchOwn},
		} {
			r := nanobanana.Record{TaskID: "p", Params: nanobanana.Params{CallbackURL: c.address, Prompt: "somebody else's"}}
			if got := match(x, claimOf(x), r, keys); got != c.want {
				t.Errorf("proved %v, an address %s: got %v, want %v", proved, name, got, c.want)
			}
		}
		named := nanobanana.Record{TaskID: "q", Params: nanobanana.Params{CallbackURL: "https://api.example" + good}}
		if got := match(x, claimOf(x), named, keys); got != task.MatchOwn {
			t.Errorf("proved %v, our address under another id: got %v, want MatchOwn", proved, got)
		}
		stranger := nanobanana.Record{TaskID: "q"}
		if got := match(x, claimOf(x), stranger, keys); got != task.MatchForeign {
			t.Errorf("proved %v, another id and no address: got %v, want MatchForeign", proved, got)
		}
		if got := match(x, claimOf(x), nanobanana.Record{}, keys); got != task.MatchUnknown {
			t.Errorf("proved %v, a record that names nothing: got %v, want MatchUnknown", proved, got)
		}
	}
}

func TestSamePrompt(t *testing.T) {
	long := strings.Repeat("a long walk by the sea, ", 5)
	for name, c := range map[string]struct{ sent, got string }{
		"itself":                        {ourPrompt, ourPrompt},
		"a mark for an emoji":           {ourPrompt, "a red bicycle ? by the sea"},
		"four marks for its four bytes": {ourPrompt, "a red bicycle ???? by the sea"},
		"U+FFFD for it":                 {ourPrompt, "a red bicycle \ufffd by the sea"},
		"cut where it stands":           {ourPrompt, "a red bicycle "},
		"escaped":                       {`"Tom & Jerry" <3`, "&quot;Tom &amp; Jerry&quot; &lt;3"},
		"escaped on our side":           {"fish &amp; chips", "fish & chips"},
		"composed":                      {"cafe\u0301", "caf\u00e9"},
		"decomposed":                    {"caf\u00e9", "cafe\u0301"},
		"folded":                        {"a  cat\non a\tmat", "a cat on a mat"},
		"marks for a whole script":      {"海边的红色自行车", "????????"},
		"marks for some of it":          {"海é🚲x", "?é?x"},
		"a question":                    {"why 🚲? now", "why ?? now"},
		"marks for full-width space":    {"海　边", "???"},
		"cut after 50 characters":       {long, long[:60]},
		"cut, with dots":                {long, long[:60] + "..."},
		"cut, with an ellipsis":         {long, long[:60] + "…"},
	} {
		if !samePrompt(c.sent, c.got) {
			t.Errorf("%s: %q is not recognized as %q", name, c.got, c.sent)
		}
	}
}

func TestOtherPrompts(t *testing.T) {
	long := strings.Repeat("a long walk by the sea, ", 5)
	for name, c := range map[string]struct{ sent, got string }{
		"another":                      {ourPrompt, "somebody else's picture"},
		"a part that is too short":     {long, long[:49]},
		"more than ours":               {"a cat", "a cat on a mat"},
		"marks in the place of ASCII":  {"a cat", "a ???"},
		"a mark that stands for none":  {"a cat", "a c?at"},
		"another character":            {"a 🚲", "a 🚗"},
		"marks, and another word":      {ourPrompt, "a red bicycle ? by the lake"},
		"of another case":              {"A cat", "a cat"},
		"an end":                       {ourPrompt, "by the sea"},
		"cut at a later such":          {"é b ü", "é b"},
		"a pattern":                    {"aaaa", "a.*"},
		"a start before another's":     {"a red 🚲", "a"},
		"more than it can have become": {"x", strings.Repeat("y?", 30_000)},
		"marks without end":            {strings.Repeat("🚲", 20_000), strings.Repeat("?🚲", 10_001) + "x"},
	} {
		if samePrompt(c.sent, c.got) {
			t.Errorf("%s: %q is wrongly recognized as %q", name, c.got, c.sent)
		}
	}
}

func FuzzSamePrompt(f *testing.F) {
	f.Add(ourPrompt, "a red bicycle ? by the sea")
	f.Fuzz(func(t *testing.T, sent, got string) {
		samePrompt(sent, got)
		if !samePrompt(sent, sent) {
			t.Errorf("%q is not recognized as itself", sent)
		}
	})
}

func TestResultLinksWithoutOurs(t *testing.T) {
	id := task.NewID("ada", "k")
	x := &task.Task{ID: id, PublicURL: "https://api.example", Request: task.Request{NumImages: 2, ImageURLs: []string{"https://cdn.example/in.png?sig=1"}}}
	s := &Service{}
	result := "https://files.example/out.png"
	for name, link := range map[string]string{
		"an input":                 "https://cdn.example/in.png?sig=2",
		"an input over http":       "http://CDN.example/in.png",
		"our API":                  "https://api.example/v1/tasks/" + id,
		"a callback, of any host":  "https://relay.example/v1/callbacks/" + id + "/1/x",
		"our picture, of any host": "https://old.example/v1/images/" + id + "/t/1-0123456789abcdef.png",
		"our object":               "https://bucket.s3.eu-central-1.amazonaws.com/tasks/" + id + "/1-0123456789abcdef.png?X-Amz-Signature=1",
		"an upload":                "https://s3.amazonaws.com/bucket/uploads/0123456789abcdef0123456789abcdef/" + id + ".png?X-Amz-Signature=1",
	} {
		if urls, guessed := s.resultLinks(x, nanobanana.Record{URLs: []string{link, result}}); len(urls) != 1 || urls[0] != result || guessed {
			t.Errorf("%s under a known name: got %q, guessed %v", name, urls, guessed)
		}
		if urls, guessed := s.resultLinks(x, nanobanana.Record{URLs: []string{link}, Guesses: []string{link, result}}); len(urls) != 1 || urls[0] != result || !guessed {
			t.Errorf("%s as a guess: got %q, guessed %v", name, urls, guessed)
		}
	}
	many := []string{result + "?1", result + "?2", result + "?3"}
	if urls, _ := s.resultLinks(x, nanobanana.Record{Guesses: many}); len(urls) != 2 {
		t.Errorf("guesses for two pictures: got %q", urls)
	}
}

func TestWithoutQuotes(t *testing.T) {
	for _, c := range []struct{ text, prompt, want string }{
		{"Request blocked", "a red bicycle", "Request blocked"},
		{`The prompt "A red BICYCLE" was flagged`, "a red bicycle", `The prompt "…" was flagged`},
		{"no: bicycle by the sea!", ourPrompt, "no:…!"},
		{"cat? no cat", "cat", "…? no …"},
		{"nothing", "", "nothing"},
	} {
		if got := withoutQuotes(c.text, c.prompt); got != c.want {
			t.Errorf("%q without %q: got %q, want %q", c.text, c.prompt, got, c.want)
		}
	}
}
