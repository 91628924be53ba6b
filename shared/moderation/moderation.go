// Package moderation refuses prompts before they cost anything: what the provider's
// policy would refuse anyway, and what the operator does not want. It knows words,
// not meanings, and lets pass what it does not know; the provider judges every prompt.
package moderation

import "sync"

// A Category says why a prompt is refused. It is a published word.
type Category string

// The categories, the gravest first: of several it is the first that a refusal names.
const (
	Minors           Category = "minors"
	RealPersonNudity Category = "real_person_nudity"
	Hate             Category = "hate"
	Gore             Category = "gore"
	SelfHarm         Category = "self_harm"
	SexualContent    Category = "sexual_content"
	RefusedTerm      Category = "refused_term" // one of the operator's own
)

// categories are all of them, in that order, with their sentences for people. A
// sentence quotes nothing, neither prompt nor list.
var categories = [...]struct {
	Category
	text string
}{
	minors:           {Minors, "This description puts minors beside sexual content, which the image service refuses."},
	realPersonNudity: {RealPersonNudity, "This description asks for a real person without clothes, which the image service refuses."},
	hate:             {Hate, "This description asks for hateful content, which the image service refuses."},
	gore:             {Gore, "This description asks for gore, which the image service refuses."},
	selfHarm:         {SelfHarm, "This description asks for suicide or self-harm, which the image service refuses."},
	sexualContent:    {SexualContent, "This description asks for sexual content, which the image service refuses."},
	refusedTerm:      {RefusedTerm, "This description has a word in it that is not accepted here."},
}

// Text is the category in a sentence for people; empty for what is no category.
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

// New gives a Filter of the built-in list and the operator's terms, each a word or
// words in a row. What is in extra is refused, too. What is in allowed is let pass by
// itself, whatever the built-in list says; beside a minor or a real person it is not.
// A term without a letter or digit says nothing; of both lists there may be some tens of
// thousands of words. The built-in list is read by the first Check.
func New(extra, allowed []string) *Filter {
	return &Filter{compiled: sync.OnceValue(func() *list { return compile(builtIn, extra, allowed) })}
}

// Check reports whether the prompt is refused, and the gravest reason. It takes time
// in proportion to the prompt's length, keeps nothing of it and logs nothing.
func (f *Filter) Check(prompt string) (Category, bool) {
	l := f.compiled()
	return l.judge(l.read(prompt))
}
