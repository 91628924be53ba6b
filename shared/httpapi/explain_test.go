package httpapi

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/functions/mcp/mcptest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// codes returns every constant of type Code from the source of package task, so that a
// new code cannot be forgotten here.
func codes(t *testing.T) []task.Code {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../task/code.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []task.Code
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Code" {
			word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, task.Code(word))
		}
		return true
	})
	return found
}

func TestExplain(t *testing.T) {
	all := codes(t)
	if len(all) < 25 || len(all) != len(explanations) {
		t.Errorf("%d codes, %d explanations", len(all), len(explanations))
	}
	for _, code := range all {
		x, ok := explain(code)
		if !ok {
			t.Errorf("%s has no explanation", code)
			continue
		}
		if x.Status < 400 || http.StatusText(x.Status) == "" {
			t.Errorf("%s: status %d", code, x.Status)
		}
		if order := mcptest.Conduct(x.Claude); order != "" {
			t.Errorf("%s: %q %s", code, x.Claude, order)
		}
		for _, sentence := range []string{x.Title, x.Hint, x.Claude} {
			if !strings.HasSuffix(sentence, ".") {
				t.Errorf("%s: %q is not a sentence", code, sentence)
			}
			for _, word := range []string{"NanoBanana", "nanobanana", "DynamoDB", "Lambda", "application/", "image/", " bytes"} {
				if strings.Contains(sentence, word) {
					t.Errorf("%s: %q mentions %s", code, sentence, word)
				}
			}
		}
	}
	if Explain("no_such_code") != Explain(task.CodeInternal) {
		t.Error("an unknown code is not explained as internal")
	}
}

// A "Try again" is offered only where the same request may succeed later: not if the
// cause was the request, the account, the quota or the operator, and not if the first
// order may still be charged.
func TestRetryable(t *testing.T) {
	retryable := map[task.Code]bool{
		task.CodeRateLimited: true, task.CodePaused: true, task.CodeUnavailable: true, task.CodeInternal: true,
		task.CodeProviderUnavailable: true, task.CodeGenerationFailed: true, task.CodeTimedOut: true, task.CodeImageUnavailable: true,
	}
	for _, code := range codes(t) {
		if got := Explain(code).Retryable; got != retryable[code] {
			t.Errorf("%s: retryable is %v, want %v", code, got, retryable[code])
		}
	}
}
