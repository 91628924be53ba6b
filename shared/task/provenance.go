package task

import (
	"slices"
	"strings"
)

// SourceType is IPTC's term for how a picture was made. It is a stored word.
type SourceType string

// The terms for pictures of a model.
const (
	// Trained: the model made it from words, or from pictures that were made so.
	Trained SourceType = "trainedAlgorithmicMedia"
	// Composite: a picture from outside went into it, a link or an upload, or into
	// a picture that it edits.
	Composite SourceType = "compositeWithTrainedAlgorithmicMedia"
)

// URI returns the term as IPTC publishes it.
func (s SourceType) URI() string {
	return "http://cv.iptc.org/newscodes/digitalsourcetype/" + string(s)
}

// Origin returns how the task's pictures are made. Rows of older releases do not have
// the term: their inputs are judged by their form, so a picture of ours counts as made
// from words.
func (t *Task) Origin() SourceType {
	ours := func(entry string) bool {
		return strings.HasPrefix(entry, "task:") || len(t.ImageURLs) == 1 && t.Parent != ""
	}
	switch {
	case t.SourceType != "":
		return t.SourceType
	case slices.ContainsFunc(t.ImageURLs, func(entry string) bool { return !ours(entry) }):
		return Composite
	}
	return Trained
}

// Presence is whether something is in a file. It is a stored word.
type Presence string

// The answers.
const (
	Present Presence = "present"
	Absent  Presence = "absent"
)

// PresenceOf returns the word for found.
func PresenceOf(found bool) Presence {
	if found {
		return Present
	}
	return Absent
}
