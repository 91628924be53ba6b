package mcp

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

type imageArguments struct {
	TaskID      string `json:"taskId"`
	WaitSeconds int    `json:"waitSeconds"`
}

const (
	maxWait = 20 // seconds, as ?wait= takes them

	waitAgain = "It is still being made. Call get_image again with waitSeconds 20; after three waits give the user the taskId, say that it can be asked for later, and stop."
)

func (s *server) image(c call, arguments []byte) (result, error) {
	a, err := parse[imageArguments](arguments)
	if err != nil {
		return result{}, err
	}
	if !task.ValidID(a.TaskID) {
		return result{}, invalid("/taskId", "invalid", "A taskId has 26 letters and digits, as generate_image or list_images gave it.")
	}
	if a.WaitSeconds < 0 || a.WaitSeconds > maxWait {
		return result{}, invalid("/waitSeconds", "out_of_range", fmt.Sprintf("It takes a whole number from 0 to %d.", maxWait))
	}
	t, err := s.await(c, a.TaskID, time.Duration(a.WaitSeconds)*time.Second)
	if err != nil {
		return result{}, err
	}
	r := pictureOf(t).result(waitAgain)
	r.extra = s.show(c, t)
	return r, nil
}

// await gives a task once it has ended, or as it is when time is up. The API
// answers a wait when anything of the task changes, so it may take several.
func (s *server) await(c call, id string, patience time.Duration) (t httpapi.Task, err error) {
	end := time.Now().Add(min(patience, s.Settings.WaitMax))
	for {
		path := "/v1/tasks/" + id
		left := int(time.Until(end).Round(time.Second) / time.Second)
		if left > 0 {
			path += "?wait=" + strconv.Itoa(left)
		}
		t = httpapi.Task{}
		if _, err := c.api(http.MethodGet, path, nil, nil, &t); err != nil || t.Done || left <= 0 || c.request.Context().Err() != nil {
			return t, err
		}
	}
}

// show gives an image's link to a client that draws it itself, and a small
// picture of it for the model to look at.
func (s *server) show(c call, t httpapi.Task) (shown []sdk.Content) {
	for _, i := range t.Images {
		shown = append(shown, &sdk.ResourceLink{
			URI: i.URL, Name: fmt.Sprintf("%s-%d", t.ID, i.N), Title: fmt.Sprintf("Image %d of task %s", i.N, t.ID),
			MIMEType: i.ContentType, Size: &i.Bytes,
		})
	}
	for _, i := range t.Images {
		if small, err := s.preview(c, i); err == nil {
			shown = append(shown, &sdk.ImageContent{Data: small, MIMEType: "image/jpeg"})
		} else {
			s.Log.WarnContext(c.request.Context(), "a preview could not be made", "task", t.ID, "image", i.N, "error", err)
		}
	}
	return shown
}
