package mcptest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// The published rules, as they stood in November 2026.
const (
	checklist = "https://claude.com/docs/connectors/building/review-criteria"
	policy    = "https://support.claude.com/en/articles/13145358-anthropic-software-directory-policy"
	protocol  = "https://modelcontextprotocol.io/specification/2026-07-28/schema"
	client    = "https://code.claude.com/docs/en/mcp"
)

// Rule is one published rule that a program can hold a server against.
// docs/decisions/directory-rules.md has those that it cannot.
type Rule struct {
	Name   string // a short one, which findings have
	Source string // where it is published
	Says   string // in short

	check func(Surface) []string
}

// Finding is a breach of a rule.
type Finding struct {
	Rule Rule
	What string
}

// String returns the finding in one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s (%s: %s)", f.Rule.Name, f.What, f.Rule.Source, f.Rule.Says)
}

// Check returns every breach of a rule.
func Check(s Surface) (found []Finding) {
	for _, r := range Rules {
		for _, what := range r.check(s) {
			found = append(found, Finding{r, what})
		}
	}
	return found
}

// Rules has every rule.
var Rules = []Rule{
	{"annotations", policy + ", 5.E", "each tool provides all annotations, the title among them", tools(annotations)},
	{"effects", checklist, "read-only tools say so, and tools that modify or delete data are destructive; by the protocol only those that add are neither", tools(effects)},
	{"names", policy + ", 5.C", "a tool's name has at most 64 characters, of the protocol's", names},
	{"separate", checklist, "reading and writing are separate tools, and no tool takes a method or a freeform request", tools(separate)},
	{"says what", checklist, "a description states precisely what the tool does", tools(saysWhat)},
	{"says when", policy + ", 2.A", "a description states when to invoke the tool", tools(saysWhen)},
	{"schemas", protocol, "each argument is described, and nothing else is accepted", tools(schemas)},
	{"size", client, "descriptions and instructions are cut at 2 KB", texts(size, OfServer, OfTool)},
	{"conduct", checklist, "describe what the tool does, and don't tell Claude how to behave", texts(conduct, OfServer, OfTool, OfField, OfOther)},
	{"other tools", policy + ", 2.D and 2.E", "nothing makes Claude call other tools, or interferes with their calls", otherTools},
	{"elsewhere", policy + ", 2.F", "no instructions are pulled from elsewhere", texts(elsewhere, OfServer, OfTool, OfField, OfOther, OfTitle)},
	{"hidden", policy + ", 2.G", "nothing is hidden, obfuscated or encoded", texts(hidden, OfServer, OfTool, OfField, OfOther, OfTitle)},
	{"override", checklist, "nothing overrides system instructions, or promotes a product", texts(override, OfServer, OfTool, OfField, OfOther, OfTitle)},
}

// tools returns a check of each tool.
func tools(check func(Tool) string) func(Surface) []string {
	return func(s Surface) (found []string) {
		for _, t := range s.Tools {
			if fault := check(t); fault != "" {
				found = append(found, t.Name+" "+fault)
			}
		}
		return found
	}
}

// texts returns a check of each text of some kinds.
func texts(check func(string) string, kinds ...Kind) func(Surface) []string {
	return func(s Surface) (found []string) {
		for _, t := range s.Texts {
			if !slices.Contains(kinds, t.Kind) {
				continue
			}
			if fault := check(t.Text); fault != "" {
				found = append(found, fmt.Sprintf("%s %s: %.200q", t.Where, fault, t.Text))
			}
		}
		return found
	}
}

func annotations(t Tool) string {
	a := t.Annotations
	switch {
	case strings.TrimSpace(a.Title) == "":
		return "has no title in its annotations"
	case a.ReadOnlyHint == nil || a.DestructiveHint == nil || a.IdempotentHint == nil || a.OpenWorldHint == nil:
		return "leaves a hint to the default"
	}
	return ""
}

// adds are the tools that only add: they are not read only, and change nothing.
var adds = map[string]string{
	"generate_image": "makes a new task",
	"upload_image":   "makes a new place",
}

func effects(t Tool) string {
	a := t.Annotations
	readOnly, destructive := a.ReadOnlyHint != nil && *a.ReadOnlyHint, a.DestructiveHint == nil || *a.DestructiveHint
	switch {
	case readOnly && destructive:
		return "is both read-only and destructive"
	case !readOnly && !destructive && adds[t.Name] == "":
		return "is neither read-only nor destructive, and not known to add only"
	case (readOnly || destructive) && adds[t.Name] != "":
		return "only adds"
	}
	return ""
}

var toolName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

func names(s Surface) (found []string) {
	seen := map[string]bool{}
	for _, t := range s.Tools {
		if !toolName.MatchString(t.Name) || seen[t.Name] {
			found = append(found, fmt.Sprintf("%q is no name, or is used twice", t.Name))
		}
		seen[t.Name] = true
	}
	return found
}

func separate(t Tool) string {
	schema, _ := t.InputSchema.(map[string]any)
	properties, _ := schema["properties"].(map[string]any)
	for _, name := range []string{"method", "action", "operation", "command", "endpoint", "path", "query", "body", "request", "sql"} {
		if properties[name] != nil {
			return "takes a freeform " + name
		}
	}
	return ""
}

var (
	thirdPerson = regexp.MustCompile(`^[A-Z][a-z]+s\s`)
	returned    = regexp.MustCompile(`\b(Returns|Reports|Lists)\b`)
	when        = regexp.MustCompile(`(^|\. )For [^.]{10,}\.`)
)

func saysWhat(t Tool) string {
	switch {
	case !thirdPerson.MatchString(t.Description):
		return "does not begin with what it does, such as Makes"
	case !returned.MatchString(t.Description):
		return "does not say what it returns"
	}
	return ""
}

func saysWhen(t Tool) string {
	if !when.MatchString(t.Description) {
		return "has no sentence that begins with For"
	}
	return ""
}

func schemas(t Tool) string {
	schema, _ := t.InputSchema.(map[string]any)
	if schema["type"] != "object" || schema["additionalProperties"] != false {
		return "accepts more than it describes"
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, of := range properties {
		if of, _ := of.(map[string]any); of["description"] == nil {
			return "does not describe " + name
		}
	}
	return ""
}

func size(text string) string {
	if len(text) > 2048 || strings.TrimSpace(text) == "" {
		return fmt.Sprintf("has %d bytes", len(text))
	}
	return ""
}

// orders are words that tell the reader what to do. A clause that begins with the bare
// form of a verb is an order.
var orders = []*regexp.Regexp{
	regexp.MustCompile(`(?i)\b(you|your|yourself|claude|assistant|llm|agents?|ai)\b`),
	regexp.MustCompile(`(?i)\b(must|should|never|always|please|do not|don't|make sure|be sure|required to|ought to|needs? to|has to|have to)\b`),
	regexp.MustCompile(`(?i)\b(tell|show|give|ask|inform|remind|warn|let)\s+(it\s+to\s+)?(the\s+)?(user|users|person|people|them|human)\b`),
	regexp.MustCompile(`(?i)(?:^|[.;:!?(]\s*|,\s*(?:and|or|then|so|else|otherwise)\s+|\bthen,?\s+)(?:(?:and|or|then|so|only|first|next|just|now|finally|please|else)\s+)*` +
		`(?:accept|add|answer|ask|assume|avoid|be|buy|call|change|check|choose|confirm|consider|copy|create|delete|describe|display|do|edit|ensure|exclude|explain|fetch|fix|follow|generate|get|give|go|ignore|include|insert|invoke|keep|leave|let|list|look|make|mention|move|note|obey|offer|open|order|output|pass|paste|pay|pick|prefer|present|print|provide|put|quote|read|refuse|remember|remove|render|repeat|replace|reply|report|respond|retry|return|run|say|search|see|select|send|set|share|shorten|show|skip|start|stop|submit|suggest|take|tell|think|treat|try|upload|use|wait|warn|write)(?:[\s.,;]|$)`),
}

// Conduct returns how a text tells the reader to behave, or "".
func Conduct(text string) string { return conduct(text) }

func conduct(text string) string {
	for _, order := range orders {
		if found := order.FindString(text); found != "" {
			return fmt.Sprintf("orders %q", found)
		}
	}
	return ""
}

// otherTools finds a tool's description that names another tool: it is about its own
// tool alone. Elsewhere a tool may be named, but not be favoured or ruled out.
func otherTools(s Surface) (found []string) {
	favour := regexp.MustCompile(`(?i)\b(instead of|rather than|in place of|in preference to|only (use|call)|before (using|calling)|after (using|calling)|no other (tool|server)|other (tools|servers|connectors))\b`)
	for _, t := range s.Texts {
		if phrase := favour.FindString(t.Text); phrase != "" && t.Kind != OfTitle {
			found = append(found, fmt.Sprintf("%s says %q", t.Where, phrase))
		}
		for _, other := range s.Tools {
			if t.Kind == OfTool && other.Name != t.Where && strings.Contains(t.Text, other.Name) {
				found = append(found, fmt.Sprintf("%s names %s", t.Where, other.Name))
			}
		}
	}
	return found
}

var elsewhere = finds(`(?i)https?://\S*|\bwww\.\S+|\b(instructions|guidelines|rules) (at|from|in|on)\b`)

var disguised = finds(`<!--|</?[A-Za-z][^>]*>|[A-Za-z0-9+/=_-]{40,}|(\\x[0-9a-f]{2}){4,}|(%[0-9A-Fa-f]{2}){4,}`)

func hidden(text string) string {
	for _, r := range text {
		if !unicode.IsGraphic(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			return fmt.Sprintf("has %U", r)
		}
	}
	return disguised(text)
}

var override = finds(`(?i)\b(ignore|disregard|override|supersedes?) .{0,30}\b(instructions?|rules?|prompts?|polic(y|ies))\b|\bsystem (prompt|instructions?|message)\b|` +
	`\b(best|leading|premium|award|upgrade|discount|special offer|subscribe|subscription|sign up|world-class|powerful|number one|most popular)\b`)

// finds returns a check that finds a pattern.
func finds(pattern string) func(text string) string {
	expression := regexp.MustCompile(pattern)
	return func(text string) string {
		if found := expression.FindString(text); found != "" {
			return fmt.Sprintf("says %.60q", found)
		}
		return ""
	}
}
