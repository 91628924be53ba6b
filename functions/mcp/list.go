package mcp

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

type listArguments struct {
	Target *task.Target `json:"target"`
	Since  *string      `json:"since"`
	Limit  *int         `json:"limit"`
	Cursor string       `json:"cursor"`
}

// maxListed limits the tasks of a list, since each may have four links.
const maxListed = 10

type listed struct {
	Tasks    []picture `json:"tasks"`
	Cursor   string    `json:"cursor,omitempty"`
	NextStep string    `json:"nextStep"`
}

func (c call) list(arguments []byte) (result, error) {
	a, err := parse[listArguments](arguments)
	if err != nil {
		return result{}, err
	}
	query, err := a.query()
	if err != nil {
		return result{}, err
	}
	var page struct {
		Tasks  []httpapi.Task `json:"tasks"`
		Cursor string         `json:"cursor"`
	}
	if _, err := c.api(http.MethodGet, "/v1/tasks?"+query.Encode(), nil, nil, &page); err != nil {
		return result{}, err
	}
	found := listed{Tasks: []picture{}, Cursor: page.Cursor, NextStep: "That is all. get_image shows one of them."}
	for _, t := range page.Tasks {
		p := newPicture(t)
		p.NextStep = p.hint
		found.Tasks = append(found.Tasks, p)
	}
	if page.Cursor != "" {
		found.NextStep = "There may be more: list_images with this cursor returns the next page."
	} else if len(found.Tasks) == 0 {
		found.NextStep = a.nothing()
	}
	return result{text: found.text(), data: found}, nil
}

func (l listed) text() string {
	var b strings.Builder
	for _, p := range l.Tasks {
		fmt.Fprintf(&b, "%s\nThe user's prompt: %s\n", p.line(), quote(p.Prompt))
		if p.Target != nil {
			fmt.Fprintf(&b, "The user's target: %s\n", quote(p.Target.String()))
		}
		if p.NextStep != "" {
			fmt.Fprintf(&b, "What to do about it: %s\n", p.NextStep)
		}
		b.WriteString("\n")
	}
	if l.Cursor != "" {
		fmt.Fprintf(&b, "Cursor: %s\n", l.Cursor)
	}
	return b.String() + "What to do: " + l.NextStep
}

// query returns the API's query. The API itself judges since.
func (a listArguments) query() (url.Values, error) {
	limit := maxListed
	if a.Limit != nil {
		limit = *a.Limit
	}
	if limit < 1 || limit > maxListed {
		return nil, invalid("/limit", "out_of_range", fmt.Sprintf("Use a whole number from 1 to %d.", maxListed))
	}
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if a.Target != nil {
		if err := checkTarget(*a.Target); err != nil {
			return nil, err
		}
		query.Set("target", a.Target.String())
	}
	if a.Since != nil {
		query.Set("since", *a.Since)
	}
	if a.Cursor != "" {
		query.Set("cursor", a.Cursor)
	}
	return query, nil
}

// nothing returns what to do about an empty list.
func (a listArguments) nothing() string {
	switch {
	case a.Since != nil:
		return "This user has ordered no such pictures since then. An earlier since, or none, covers more."
	case a.Target != nil:
		return "This user has no pictures for this target. Without target all are listed; the user may know the right kind and id."
	}
	return "This user has no pictures yet. generate_image makes one."
}
