package mcp

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

// quoted is the answer of POST /v1/quotes.
type quoted struct {
	Estimate *float64 `json:"estimate"` // nil: no model makes what is ordered
	Left     *int     `json:"left"`     // nil: there is no quota
	Quota    quota    `json:"quota"`
	Task     *struct {
		ID     string      `json:"id"`
		Status task.Status `json:"status"`
	} `json:"task"` // that the requestKey has; an order without problems is answered with it
	Problems []httpapi.Problem `json:"problems"`
}

// quoteOrder asks our API what an order would meet.
func (c call) quoteOrder(a generateArguments) (q quoted, err error) {
	header := http.Header{}
	if a.RequestKey != "" {
		header.Set("Idempotency-Key", a.RequestKey)
	}
	_, err = c.api(http.MethodPost, "/v1/quotes", header, a.order, &q)
	return q, err
}

// quoteResult is a quote with the balance, and what follows from it.
type quoteResult struct {
	Credits         *float64  `json:"credits,omitempty"`
	CanGenerate     bool      `json:"canGenerate"`
	Problems        []problem `json:"problems"`
	Task            *keptTask `json:"task,omitempty"`
	Balance         *float64  `json:"balance,omitempty"`
	ImagesLeftToday *int      `json:"imagesLeftToday,omitempty"`
	Quota           quota     `json:"quota"`
	NextStep        string    `json:"nextStep"`
}

type keptTask struct {
	TaskID string      `json:"taskId"`
	Status task.Status `json:"status"`
}

// problem is something that speaks against an order.
type problem struct {
	Code     task.Code `json:"code"`
	Message  string    `json:"message"`
	Faults   []fault   `json:"faults"`
	WhatToDo string    `json:"whatToDo"`
}

type fault struct {
	Argument string `json:"argument"`
	Message  string `json:"message"`
}

func (c call) quote(arguments []byte) (result, error) {
	a, err := parse[generateArguments](arguments)
	if err == nil && a.RequestKey != "" {
		err = checkRequestKey(a.RequestKey)
	}
	if err != nil {
		return result{}, err
	}
	q, err := c.quoteOrder(a)
	if err != nil {
		return result{}, err
	}
	r := quoteResult{
		Credits: q.Estimate, CanGenerate: len(q.Problems) == 0, Problems: []problem{}, ImagesLeftToday: q.Left, Quota: q.Quota,
		NextStep: "generate_image with these arguments and a requestKey orders it.",
	}
	for _, p := range q.Problems {
		r.Problems = append(r.Problems, newProblem(p))
	}
	if q.Task != nil {
		r.Task = &keptTask{q.Task.ID, q.Task.Status}
		r.NextStep = "generate_image with these arguments returns that task, and get_image shows it."
	}
	if len(r.Problems) > 0 {
		r.NextStep = r.Problems[0].WhatToDo
	}
	var account creditsResult
	if _, err := c.api(http.MethodGet, "/v1/credits", nil, nil, &account); err == nil { // a quote holds without it
		r.Balance = &account.Balance
	}
	return result{text: r.text() + "What to do: " + r.NextStep, data: r}, nil
}

func newProblem(p httpapi.Problem) problem {
	shown := problem{Code: p.Code, Message: httpapi.Sentence(problemOf(p)), Faults: []fault{}, WhatToDo: httpapi.Explain(p.Code).Claude}
	for _, e := range p.Errors {
		shown.Faults = append(shown.Faults, fault{argument(e.Pointer), e.Message})
	}
	return shown
}

// text returns the quote in whole lines, without the next step.
func (r quoteResult) text() string {
	var b strings.Builder
	switch {
	case r.Credits == nil:
		b.WriteString("The price is unknown: no model makes this.\n")
	case r.Task != nil && r.CanGenerate:
		fmt.Fprintf(&b, "This requestKey has task %s already (%s, %s credits). The same order again costs nothing more.\n", r.Task.TaskID, r.Task.Status, task.Credits(*r.Credits))
	default:
		fmt.Fprintf(&b, "It costs %s credits.\n", task.Credits(*r.Credits))
	}
	if r.Balance != nil {
		fmt.Fprintf(&b, "The balance is %s credits.\n", task.Credits(*r.Balance))
	} else {
		b.WriteString("The balance cannot be read just now.\n")
	}
	if r.ImagesLeftToday != nil {
		fmt.Fprintf(&b, "Left of the user's daily quota: %d of %d pictures; it resets at %s.\n", *r.ImagesLeftToday, r.Quota.Limit, r.Quota.ResetsAt.Format(time.RFC3339))
	}
	if r.CanGenerate && r.Task == nil {
		b.WriteString("Nothing speaks against it: the prompt filter and the checks let it pass.\n")
	}
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "It would be refused, %s: %s\n", p.Code, p.Message)
		for _, f := range p.Faults {
			fmt.Fprintf(&b, "- %s: %s\n", f.Argument, f.Message)
		}
	}
	return b.String()
}
