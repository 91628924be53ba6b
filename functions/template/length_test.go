package template_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// longestName is the longest name of a stack.
const longestName = 128

// longestOf are the lengths of the values that are no parameters: CloudFormation's
// names are a stack's and a resource's name and twelve characters, a bucket's are cut.
var longestOf = map[string]int{
	"Table": longestName + len("-Table-123456789012"), "Bucket": 63,
	"Secret": len("arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:Secret-123456789012-123456"),
}

// widthOf are the most bytes that a character of a class takes in UTF-8.
var widthOf = map[string]int{`[ -~]`: 1, `[\x{0}-\x{FFFF}]`: 3, `.`: utf8.UTFMax}

var boundedClass = regexp.MustCompile(`^(.+)\{0,(\d+)\}$`)

// maxBytes returns how many bytes of JSON the longest value has.
func (p parameter) maxBytes(t testing.TB, name string) (most int) {
	t.Helper()
	switch {
	case p.AllowedValues != nil:
		for _, value := range p.AllowedValues {
			most = max(most, len(value))
		}
	case p.Type == "Number":
		most = max(len(strconv.FormatFloat(*p.MaxValue, 'f', -1, 64)), len(strconv.FormatFloat(*p.MinValue, 'f', -1, 64)))
	case p.AllowedPattern == nil || p.MaxLength == 0:
		t.Errorf("%s has no pattern or no MaxLength", name)
	case len(p.patterns()) == 2:
		for class := range strings.SplitSeq(strings.Trim(p.patterns()[0].String(), "^()$"), "|") {
			m := boundedClass.FindStringSubmatch(class)
			if m == nil || widthOf[m[1]] == 0 {
				t.Fatalf("%s has the class %s, whose width this test does not know", name, class)
			}
			n, _ := strconv.Atoi(m[2])
			most = max(most, n*widthOf[m[1]])
		}
	default:
		most = p.MaxLength
		for _, class := range classes.FindAllString(*p.AllowedPattern, -1) {
			if regexp.MustCompile("^" + class + "$").MatchString("é") {
				t.Errorf("%s may have characters of several bytes, and no bound for them", name)
			}
			if regexp.MustCompile(class).MatchString(`"\`) {
				most = 2 * p.MaxLength // JSON escapes these two
			}
		}
	}
	return most
}

// classes are the parts of a pattern that stand for more than one character.
var classes = regexp.MustCompile(`\[(?:[^\]\\]|\\.)+\]|\\p\{\w+\}`)

// All variables of a function together may have 4 KB. Lambda measures them as JSON
// when the function is updated, half way through a deployment; so no values that the
// parameters allow may exceed it.
func TestEnvironmentBytes(t *testing.T) {
	s := template(t)
	for name := range functionLimits {
		variables, _ := dig(s.functionResource(t, name).Properties, "Environment", "Variables").(map[string]any)
		total := len("{}")
		for variable, value := range variables {
			total += len(`"":"",`) + len(variable) + s.longest(t, value)
		}
		if total > 4096 {
			t.Errorf("%s's variables may have %d bytes of 4,096", name, total)
		}
		t.Logf("%s: %d", name, total)
	}
}

// longest returns the length of the longest value of a variable.
func (s *stack) longest(t testing.TB, value any) int {
	t.Helper()
	id, _ := dig(value, "Ref").(string)
	p, is := s.Parameters[id]
	switch {
	case is:
		return p.maxBytes(t, id)
	case longestOf[id] > 0:
		return longestOf[id]
	}
	text, ok := dig(value, "Fn::Sub").(string)
	if rest := strings.ReplaceAll(text, "${AWS::StackName}", strings.Repeat("x", longestName)); ok && !strings.Contains(rest, "${") {
		return len(rest)
	}
	t.Fatalf("this test does not know how long %s may be", encode(value))
	return 0
}

// The bounds of the lists of terms are what their pattern says.
func TestTermsLengths(t *testing.T) {
	s := template(t)
	long := func(word string, n int) string { return strings.Join(strings.Fields(strings.Repeat(word+" ", n)), ",") }
	for _, name := range []string{"RefusedTerms", "AllowedTerms"} {
		p := s.Parameters[name]
		for value, allowed := range map[string]bool{
			long("abcd", 150): true, long("abcd", 151): false, // 749 and 754 characters
			long("裸体", 83): true, long("裸体", 84): false, // 248 and 251
			long("ab", 80) + ",ß": true, long("ab", 84) + ",ß": false,
			long("𠮷", 94): true, long("𠮷", 126): false, // of four bytes: 187 and 251
		} {
			if p.allows(value) != allowed {
				t.Errorf("%s: %d characters in %d bytes, %.20s…: allowed %v", name, utf8.RuneCountInString(value), len(value), value, !allowed)
			}
			if allowed && len(value) > p.maxBytes(t, name) {
				t.Errorf("%s allows %d bytes", name, len(value))
			}
		}
		if err := s.allStart(t, map[string]string{name: long("裸体", 83)}); err != nil {
			t.Error(fmt.Errorf("%s: %w", name, err))
		}
	}
}
