package mcp

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

type moveArguments struct {
	TaskID string       `json:"taskId"`
	Target *task.Target `json:"target"`
}

func (c call) move(arguments []byte) (result, error) {
	a, err := parse[moveArguments](arguments)
	if err == nil {
		err = checkTaskID(a.TaskID)
	}
	if err == nil && a.Target == nil {
		err = invalid("/target", "required", "A move has a target: an object with kind and id.")
	}
	if err == nil {
		err = checkTarget(*a.Target)
	}
	if err != nil {
		return result{}, err
	}
	var t httpapi.Task
	if _, err := c.api(http.MethodPut, "/v1/tasks/"+a.TaskID+"/target", nil, a.Target, &t); err != nil {
		return result{}, err
	}
	r := newPicture(t).result(beingMade(t.ID))
	r.text = "The user's target of this task is now " + quote(t.Target.String()) + ".\n" + r.text
	r.failed = false // whatever has become of the picture, it is moved
	return r, nil
}

type deleteArguments struct {
	TaskID string `json:"taskId"`
}

// The outcomes of delete_image.
const (
	outcomeDeleted  = "deleted"
	outcomeCanceled = "canceled"
	outcomeGone     = "gone"
)

type deleted struct {
	TaskID     string `json:"taskId"`
	Outcome    string `json:"outcome"`
	ImagesLost int    `json:"imagesLost"`
	NextStep   string `json:"nextStep"`
}

// delete deletes a task that is seen to be finished. Any other it asks to cancel, which
// the API does to a waiting one alone: a picture that is finished meanwhile was never
// shown to anybody, so it is not lost.
func (c call) delete(arguments []byte) (result, error) {
	a, err := parse[deleteArguments](arguments)
	if err == nil {
		err = checkTaskID(a.TaskID)
	}
	if err != nil {
		return result{}, err
	}
	d := deleted{TaskID: a.TaskID, Outcome: outcomeDeleted, NextStep: "list_images lists what is left."}
	path := "/v1/tasks/" + a.TaskID
	var t httpapi.Task
	_, err = c.api(http.MethodGet, path, nil, nil, &t)
	switch e, refused := errors.AsType[*task.Error](err); {
	case refused && e.Code == task.CodeNotFound:
		d.Outcome = outcomeGone // or never there, which the API knows
	case err != nil:
		return result{}, err
	case !t.Done:
		d.Outcome = outcomeCanceled
		path += "?cancel=1"
	default:
		d.ImagesLost = len(t.Images)
	}
	if _, err := c.api(http.MethodDelete, path, nil, nil, nil); err != nil {
		return result{}, stillMade(err)
	}
	return result{text: d.text() + "\nWhat to do: " + d.NextStep, data: d}, nil
}

// stillMade adds to a conflict why the task cannot be deleted now.
func stillMade(err error) error {
	if e, ok := errors.AsType[*task.Error](err); ok && e.Code == task.CodeConflict {
		e.Fields = append(e.Fields, task.Field{Pointer: "/taskId", Code: "running", Message: "The picture is being made, or was a moment ago. " +
			"A finished one can be deleted, and one that waits to be sent can be cancelled. Nothing was deleted."})
	}
	return err
}

func (d deleted) text() string {
	switch {
	case d.Outcome == outcomeGone:
		return fmt.Sprintf("Task %s was deleted before. Nothing has changed.", d.TaskID)
	case d.Outcome == outcomeCanceled:
		return fmt.Sprintf("Task %s waited to be sent and is cancelled. It made no picture, and nothing is charged.", d.TaskID)
	case d.ImagesLost == 0:
		return fmt.Sprintf("Task %s is deleted. It had no pictures; its prompt is lost.", d.TaskID)
	}
	return fmt.Sprintf("Task %s is deleted. Lost for good: its pictures (%d), their links, its prompt and the kept copies of its inputs. Its credits are not returned.", d.TaskID, d.ImagesLost)
}
