package moderation

import (
	"context"
	"sync"
)

// A Category is why a prompt is refused, as a published word.
type Category string

// The categories, the gravest first: a refusal names the first of several.
const (
	Minors           Category = "minors"
	RealPersonNudity Category = "real_person_nudity"
	Hate             Category = "hate"
	Gore             Category = "gore"
	SelfHarm         Category = "self_harm"
	SexualContent    Category = "sexual_content"
	RefusedTerm      Category = "refused_term" // one of the operator's own
)

// categories lists all of them in that order, with their sentences for people. The
// sentences quote neither prompt nor list.
var categories = [...]struct {
	Category
	text string
}{
	minors:           {Minors, "This description combines minors with sexual content, which the image service refuses."},
	realPersonNudity: {RealPersonNudity, "This description asks for a real person without clothes, which the image service refuses."},
	hate:             {Hate, "This description asks for hateful content, which the image service refuses."},
	gore:             {Gore, "This description asks for gore, which the image service refuses."},
	selfHarm:         {SelfHarm, "This description asks for suicide or self-harm, which the image service refuses."},
	sexualContent:    {SexualContent, "This description asks for sexual content, which the image service refuses."},
	refusedTerm:      {RefusedTerm, "This description contains a word that is not accepted here."},
}

// Text returns a sentence for people, or "" if c is not a category.
func (c Category) Text() string {
	for _, known := range categories {
		if known.Category == c {
			return known.text
		}
	}
	return ""
}

// A Filter judges prompts. It is safe for concurrent use.
type Filter struct {
	compiled func() *list
}

// New returns a Filter of the built-in list and the operator's terms, each one word or
// several in a row. It also refuses the terms in extra. It lets the terms in allowed
// pass, whatever the built-in list says, except together with a minor or a real person. It
// ignores a term without a letter or digit. Both lists together may have some tens of
// thousands of words. Prepare compiles the list, or else the first Check.
func New(extra, allowed []string) *Filter {
	return &Filter{compiled: sync.OnceValue(func() *list { return compile(builtIn, extra, allowed) })}
}

// Prepare compiles the list, so that no prompt waits for it.
func (f *Filter) Prepare(context.Context) error {
	f.compiled()
	return nil
}

// Check reports whether the prompt is refused, and the gravest reason. Its time is
// proportional to the prompt's length. It keeps nothing of the prompt and logs nothing.
func (f *Filter) Check(prompt string) (Category, bool) {
	l := f.compiled()
	return l.verdict(l.read(prompt))
}
