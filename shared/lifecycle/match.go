package lifecycle

import (
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/task"
)

// match reports whether a record, which the claim c asked for, belongs to the attempt that
// makes, or made, the task's pictures. If the record repeats a callback address, that
// decides (docs/decisions/reading-the-world.md).
func match(t *task.Task, c task.Claim, r nanobanana.Record, keys token.Keys) task.Match {
	switch names, counts := addressee(t.Maker(), r.Params.CallbackURL, keys); {
	case names && counts:
		return task.MatchOwn
	case counts:
		return task.MatchForeign
	case r.TaskID != "" && r.TaskID != c.ProviderID:
		return task.MatchForeign
	case c.Proved:
		return task.MatchUnknown // providers rewrite prompts, and relays whole addresses
	case isForeign(r.Params.CallbackURL):
		return task.MatchForeign
	case strings.TrimSpace(r.Params.Prompt) != "" && !samePrompt(t.Prompt, r.Params.Prompt):
		return task.MatchForeign
	}
	return task.MatchUnknown
}

// addressee reports whether a callback address names an attempt, and whether it counts: an address that is cut, masked, or signed by a removed key counts
// as none. The host does not matter: PUBLIC_URL may have changed, and relays have hosts
// of their own.
func addressee(a task.AttemptRef, address string, keys token.Keys) (names, counts bool) {
	path, ok := callbackPart(address)
	if !ok {
		return false, false
	}
	id, rest, _ := strings.Cut(path, "/")
	attempt, token, whole := strings.Cut(rest, "/")
	n, err := strconv.Atoi(attempt)
	switch {
	case !task.ValidID(id):
		return false, false // masked
	case id != a.Task:
		return false, true
	case err != nil || !whole:
		return true, false
	case n != a.Attempt:
		return false, true
	}
	end := strings.IndexFunc(token, func(r rune) bool { return !tokenRune(r) })
	if end >= 0 {
		token = token[:end]
	}
	return true, keys.Verify(CallbackMessage(a.Task, a.Attempt), token)
}

func tokenRune(r rune) bool {
	return r == '.' || r == '_' || r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// callbackPart returns what follows callbacksPath in an address. A relay may have
// escaped the address within its own, more than once.
func callbackPart(address string) (part string, ok bool) {
	for range 3 {
		plain, err := url.PathUnescape(html.UnescapeString(address))
		if err != nil {
			break
		}
		address = plain
	}
	_, part, ok = strings.Cut(address, callbacksPath)
	return part, ok
}

// isForeign reports whether an address is complete and certainly none of our callback
// addresses.
func isForeign(address string) bool {
	if _, ours := callbackPart(address); ours || strings.ContainsAny(address, "*…") {
		return false
	}
	u, err := url.Parse(address)
	return err == nil && u.Host != ""
}

// minPrefix is how many characters of a prompt suffice to recognize it.
const minPrefix = 50

// samePrompt reports whether a record's prompt may be the one that was sent. On its way
// it may have been escaped, normalized and cut, and characters may have been replaced
// that some code page does not have.
func samePrompt(sent, got string) bool {
	whole := normalize(sent)
	for _, cut := range []string{got, strings.TrimRight(got, ".… ")} {
		part := normalize(cut)
		if len(part) > 4*len(whole) { // a lost character leaves at most one mark per byte
			continue
		}
		if _, ok := repeats(whole, part, true); ok {
			return true
		}
		end, ok := repeats(whole, part, false)
		cutShort := ok && end < len(whole)
		if cutShort && (utf8.RuneCountInString(cut) >= minPrefix || slices.IndexFunc(whole, beyondASCII) == end) {
			return true
		}
	}
	return false
}

// normalize removes what spellings of one text differ in: HTML escapes, Unicode forms
// and white space.
func normalize(s string) []rune {
	s = norm.NFC.String(html.UnescapeString(s))
	return []rune(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s))
}

func beyondASCII(r rune) bool { return r > unicode.MaxASCII }

// isMark reports whether r is a mark that replaces lost characters.
func isMark(r rune) bool { return r == '?' || r == unicode.ReplacementChar }

// repeats reports whether got repeats sent from its beginning, and where in sent it
// ends; if whole, it must reach the end of sent. A run of marks in got matches any run
// in sent of characters that may get lost, or of marks. Since marks match no other
// characters, going back to the last run is enough.
func repeats(sent, got []rune, whole bool) (end int, ok bool) {
	i, j := 0, 0               // positions in got and in sent
	afterRun, through := -1, 0 // where the last run ends in got, and how far it matches in sent
	for i < len(got) || whole && j < len(sent) {
		switch {
		case i < len(got) && isMark(got[i]) && j < len(sent) && (isMark(sent[j]) || beyondASCII(sent[j])):
			for i < len(got) && isMark(got[i]) {
				i++
			}
			j++
			afterRun, through = i, j
		case i < len(got) && j < len(sent) && got[i] == sent[j]:
			i, j = i+1, j+1
		case afterRun >= 0 && through < len(sent) && (isMark(sent[through]) || beyondASCII(sent[through])):
			through++
			i, j = afterRun, through
		default:
			return 0, false
		}
	}
	return j, true
}
