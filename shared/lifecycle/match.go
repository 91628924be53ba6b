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

// match reports whether a record, asked for by id, is of the task's current
// attempt. The callback address that it repeats decides, if it repeats one.
func match(t *task.Task, id string, r nanobanana.Record, keys token.Keys) task.Match {
	switch names, whole := addressed(t, r.Params.CallbackURL, keys); {
	case names && whole:
		return task.MatchOwn
	case whole:
		return task.MatchForeign
	case r.TaskID != "" && r.TaskID != id:
		return task.MatchForeign
	case t.Proved():
		return task.MatchUnknown // providers rewrite prompts, and relays whole addresses
	case elsewhere(r.Params.CallbackURL):
		return task.MatchForeign
	case strings.TrimSpace(r.Params.Prompt) != "" && !samePrompt(t.Prompt, r.Params.Prompt):
		return task.MatchForeign
	}
	return task.MatchUnknown
}

// addressed reports whether a callback address names the task's current
// attempt, and whether its word counts: an address that is cut or masked, or
// signed by a key that is gone, is as good as none. The host does not matter:
// PUBLIC_URL may have changed, and relays have hosts of their own.
func addressed(t *task.Task, address string, keys token.Keys) (names, counts bool) {
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
	case id != t.ID:
		return false, true
	case err != nil || !whole:
		return true, false
	case n != t.Attempt:
		return false, true
	}
	end := strings.IndexFunc(token, func(r rune) bool { return !tokenRune(r) })
	if end >= 0 {
		token = token[:end]
	}
	return true, keys.Verify(CallbackMessage(t.ID, t.Attempt), token)
}

func tokenRune(r rune) bool {
	return r == '.' || r == '_' || r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// callbackPart returns what follows callbacksPath in an address. A relay may
// carry the address escaped in its own, more than once.
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

// elsewhere reports whether an address certainly is no callback address of
// ours: it is whole, and leads to another path.
func elsewhere(address string) bool {
	if _, ours := callbackPart(address); ours || strings.ContainsAny(address, "*…") {
		return false
	}
	u, err := url.Parse(address)
	return err == nil && u.Host != ""
}

// leastPrefix is how many characters of a prompt stand for all of it.
const leastPrefix = 50

// samePrompt reports whether a record's prompt may be the one that was sent:
// on its way it may have been escaped, normalized and cut, and may have lost
// the characters that some table on the way does not know.
func samePrompt(sent, got string) bool {
	whole := fold(sent)
	for _, cut := range []string{got, strings.TrimRight(got, ".… ")} {
		part := fold(cut)
		if len(part) > 4*len(whole) { // a lost character left a mark for each of its bytes, at most
			continue
		}
		if _, ok := repeats(whole, part, true); ok {
			return true
		}
		end, ok := repeats(whole, part, false)
		cutShort := ok && end < len(whole)
		if cutShort && (utf8.RuneCountInString(cut) >= leastPrefix || slices.IndexFunc(whole, beyondASCII) == end) {
			return true
		}
	}
	return false
}

// fold takes off what spellings of one text differ in: HTML's escapes, the
// forms of Unicode, and white space.
func fold(s string) []rune {
	s = norm.NFC.String(html.UnescapeString(s))
	return []rune(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s))
}

func beyondASCII(r rune) bool { return r > unicode.MaxASCII }

// lost reports whether r is what stands in the place of lost characters.
func lost(r rune) bool { return r == '?' || r == unicode.ReplacementChar }

// repeats reports whether got repeats sent from its beginning, to its end if
// whole, and how far. A run of marks in got matches any run of characters in
// sent that may get lost, or are such marks themselves. No mark reaches over
// another character, so it is enough to go back to the last one.
func repeats(sent, got []rune, whole bool) (end int, ok bool) {
	i, j := 0, 0               // what is compared next, of got and of sent
	afterRun, through := -1, 0 // of the last run: what follows it in got, and how far it reaches in sent
	for i < len(got) || whole && j < len(sent) {
		switch {
		case i < len(got) && lost(got[i]) && j < len(sent) && (lost(sent[j]) || beyondASCII(sent[j])):
			for i < len(got) && lost(got[i]) {
				i++
			}
			j++
			afterRun, through = i, j
		case i < len(got) && j < len(sent) && got[i] == sent[j]:
			i, j = i+1, j+1
		case afterRun >= 0 && through < len(sent) && (lost(sent[through]) || beyondASCII(sent[through])):
			through++
			i, j = afterRun, through
		default:
			return 0, false
		}
	}
	return j, true
}
