package task

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// published holds the code words. Each is stored and shown, so none may change.
var published = []string{
	"invalid_request", "unsupported_media_type", "body_too_large", "idempotency_key_reused", "unauthorized", "forbidden",
	"not_found", "conflict", "prompt_rejected", "quota_exceeded", "insufficient_credits", "rate_limited", "paused",
	"unavailable", "internal", "content_policy", "input_image_unusable", "provider_unavailable", "provider_unauthorized",
	"provider_rejected", "generation_failed", "outcome_unknown", "timed_out", "image_unavailable", "canceled",
}

func TestCodesAreThePublishedWords(t *testing.T) {
	var words []string
	for _, word := range codes(t) {
		words = append(words, word)
	}
	slices.Sort(words)
	want := slices.Sorted(slices.Values(published))
	equal(t, "codes", words, want)
}

// Every code is returned somewhere. The table of explanations names all codes, so it
// does not count.
func TestEveryCodeIsUsed(t *testing.T) {
	unused := codes(t)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		name := filepath.Base(path)
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") ||
			name == "code.go" || name == "explain.go" {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil // it is being edited
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				delete(unused, id.Name)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, word := range unused {
		t.Errorf("nothing uses %s (%s)", name, word)
	}
}

// codes returns the constants of type Code in code.go: name and word.
func codes(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "code.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Names) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Code") {
			return true
		}
		word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		all[spec.Names[0].Name] = word
		return true
	})
	return all
}

func TestErrorUnwrapsToItsCause(t *testing.T) {
	cause := fmt.Errorf("reading: %w", ErrNotFound)
	e := &Error{Code: CodeUnavailable, RetryAfter: time.Second, Err: cause}
	if !errors.Is(e, ErrNotFound) {
		t.Errorf("%v is not %v", e, ErrNotFound)
	}
	if errors.Is(e, ErrExists) {
		t.Errorf("%v is %v", e, ErrExists)
	}
	var found *Error
	if !errors.As(fmt.Errorf("submitting: %w", e), &found) || found != e {
		t.Errorf("got %v, want %v", found, e)
	}
	equal(t, "cause of an error without one", errors.Unwrap(&Error{Code: CodeConflict}), nil)
}

func TestTextOfErrors(t *testing.T) {
	for want, e := range map[string]*Error{
		"conflict":                {Code: CodeConflict},
		"unavailable: no network": {Code: CodeUnavailable, Err: errors.New("no network")},
		"invalid_request [/prompt required] [ null]: odd": {Code: CodeInvalidRequest, Err: errors.New("odd"),
			Fields: []Field{{Pointer: "/prompt", Code: "required", Message: "Describe it."}, {Code: "null"}}},
	} {
		equal(t, "text", e.Error(), want)
	}
}

func TestStoreErrorsDiffer(t *testing.T) {
	all := []error{ErrNotFound, ErrExists, ErrConflict, ErrQuota, ErrForeign, ErrBusy, ErrCursor, ErrStuck, errUnlawful}
	for i, a := range all {
		for _, b := range all[i+1:] {
			if errors.Is(a, b) || a.Error() == b.Error() {
				t.Errorf("%v and %v are the same", a, b)
			}
		}
	}
}
