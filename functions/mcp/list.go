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
	if a.Target == nil {
		return result{}, invalid("/target", "required", "Set target to the kind and id of a moodboard or Showcase. Ask the user if it is not clear.")
	}
	if faults := a.Target.Faults(); len(faults) > 0 {
		for i := range faults {
			faults[i].Pointer = "/target" + faults[i].Pointer
		}
		return result{}, task.Invalid(faults...)
	}
	limit := maxListed
	if a.Limit != nil {
		limit = *a.Limit
	}
	if limit < 1 || limit > maxListed {
		return result{}, invalid("/limit", "out_of_range", fmt.Sprintf("Use a whole number from 1 to %d.", maxListed))
	}
	query := url.Values{"target": {a.Target.Kind + ":" + a.Target.ID}, "limit": {strconv.Itoa(limit)}}
	if a.Cursor != "" {
		query.Set("cursor", a.Cursor)
	}
	var page struct {
		Tasks  []httpapi.Task `json:"tasks"`
		Cursor string         `json:"cursor"`
	}
	if _, err := c.api(http.MethodGet, "/v1/tasks?"+query.Encode(), nil, nil, &page); err != nil {
		return result{}, err
	}
	found := listed{Tasks: []picture{}, Cursor: page.Cursor, NextStep: "That is all. get_image shows one of them."}
	var b strings.Builder
	for _, t := range page.Tasks {
		p := newPicture(t)
		p.NextStep = p.hint
		found.Tasks = append(found.Tasks, p)
		fmt.Fprintf(&b, "%s\nPrompt: %s\n", p.line(), p.Prompt)
		if p.NextStep != "" {
			fmt.Fprintf(&b, "What to do about it: %s\n", p.NextStep)
		}
		b.WriteString("\n")
	}
	if page.Cursor != "" {
		found.NextStep = "There may be more: call list_images again with this cursor."
		fmt.Fprintf(&b, "Cursor: %s\n", page.Cursor)
	} else if len(found.Tasks) == 0 {
		found.NextStep = "This user has no pictures for this target. Check its kind and id with the user."
	}
	return result{text: b.String() + "What to do: " + found.NextStep, data: found}, nil
}
