package mcp

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

// promptPreview is how many characters of a prompt are returned: the model has
// most prompts in its context already.
const promptPreview = 100

// picture is a task as clients of the tools see it; task.json is its schema.
type picture struct {
	TaskID          string              `json:"taskId"`
	Status          task.Status         `json:"status"`
	StatusText      string              `json:"statusText"`
	Done            bool                `json:"done"`
	Prompt          string              `json:"prompt"`
	Model           string              `json:"model"`
	Target          *task.Target        `json:"target,omitzero"`
	RescuedFrom     string              `json:"rescuedFrom,omitempty"`
	Images          []image             `json:"images"`
	Missing         int                 `json:"missing,omitzero"`
	Credits         httpapi.TaskCredits `json:"credits"`
	ElapsedSeconds  int                 `json:"elapsedSeconds,omitzero"`
	ExpectedSeconds int                 `json:"expectedSeconds,omitzero"`
	Error           *failure            `json:"error,omitempty"`
	NextStep        string              `json:"nextStep,omitempty"`

	hint string // what to do while it runs, if not just wait
}

type image struct {
	N           int    `json:"n"`
	URL         string `json:"url"`
	ImageURL    string `json:"imageUrl"`
	Width       int    `json:"width"`
	Height      int    `json:"height"`
	Bytes       int64  `json:"bytes"`
	ContentType string `json:"contentType"`
	Damaged     bool   `json:"damaged,omitzero"`
}

type failure struct {
	Code     task.Code `json:"code"`
	Message  string    `json:"message"`
	WhatToDo string    `json:"whatToDo"`
}

// newPicture converts a task of our API.
func newPicture(t httpapi.Task) picture {
	p := picture{
		TaskID: t.ID, Status: t.Status, StatusText: t.StatusText, Done: t.Done, Prompt: shorten(t.Prompt), Model: t.Model, Target: t.Target, RescuedFrom: t.RescuedFrom,
		Images: []image{}, Missing: t.Missing, Credits: t.Credits, hint: httpapi.StatusHint(t),
	}
	if t.Progress != nil {
		p.ElapsedSeconds, p.ExpectedSeconds = t.Progress.ElapsedSeconds, t.Progress.ExpectedSeconds
	}
	if t.Error != nil {
		p.Error = &failure{Code: t.Error.Code, Message: t.Error.Message, WhatToDo: httpapi.Explain(t.Error.Code).Claude}
	}
	for _, i := range t.Images {
		p.Images = append(p.Images, image{
			N: i.N, URL: i.URL, ImageURL: fmt.Sprintf("task:%s/%d", t.ID, i.N),
			Width: i.Width, Height: i.Height, Bytes: i.Bytes, ContentType: i.ContentType, Damaged: i.Damaged,
		})
	}
	return p
}

func shorten(prompt string) string {
	if utf8.RuneCountInString(prompt) <= promptPreview {
		return prompt
	}
	return string([]rune(prompt)[:promptPreview]) + "…"
}

// damaged is the sentence about an image whose file is incomplete.
const damaged = "Its file came damaged: a part of it may not show."

// line returns one line about the picture, and one more for each image.
func (p picture) line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Task %s: %s", p.TaskID, p.Status)
	if p.RescuedFrom != "" {
		fmt.Fprintf(&b, " (pictures of task %s, which had failed; they cost nothing more)", p.RescuedFrom)
	}
	switch {
	case p.Error != nil:
		return fmt.Sprintf("%s, %s: %s", b.String(), p.Error.Code, p.Error.Message)
	case !p.Done:
		fmt.Fprintf(&b, " (%s), %d s so far of about %d s, %s credits", p.StatusText, p.ElapsedSeconds, p.ExpectedSeconds, task.Credits(p.Credits.Estimate))
	}
	for _, i := range p.Images {
		fmt.Fprintf(&b, "\nImage %d: %s (%d x %d, %s, %d bytes; to edit it: %s)", i.N, i.URL, i.Width, i.Height, i.ContentType, i.Bytes, i.ImageURL)
		if i.Damaged {
			b.WriteString(" " + damaged)
		}
	}
	if p.Missing > 0 {
		fmt.Fprintf(&b, "\n%d more did not come.", p.Missing)
	}
	return b.String()
}

// result returns the picture as a tool's result, with what to do next. While the
// task runs, that is running.
func (p picture) result(running string) result {
	switch {
	case p.Error != nil:
		p.NextStep = p.Error.WhatToDo
	case p.Done:
		p.NextStep = "The user sees each image by its link, which stays valid. generate_image with an image's task:ID/N in imageUrls and a new requestKey makes a changed version of it."
	default:
		p.NextStep = cmp.Or(p.hint, running)
	}
	return result{text: p.line() + "\nWhat to do: " + p.NextStep, data: p, failed: p.Error != nil}
}
