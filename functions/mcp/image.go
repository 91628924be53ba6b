package mcp

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/preset/nanobanana-functions/shared/httpapi"
)

type imageArguments struct {
	TaskID      string `json:"taskId"`
	WaitSeconds int    `json:"waitSeconds"`
}

const (
	maxWait = 20 // seconds, as ?wait= takes them

	waitAgain = "It is still being made. get_image with this taskId and waitSeconds 20 waits again. A picture that has not come after three waits can be asked for later, by the taskId."
)

func (c call) image(arguments []byte) (result, error) {
	a, err := parse[imageArguments](arguments)
	if err != nil {
		return result{}, err
	}
	if err := checkTaskID(a.TaskID); err != nil {
		return result{}, err
	}
	if a.WaitSeconds < 0 || a.WaitSeconds > maxWait {
		return result{}, invalid("/waitSeconds", "out_of_range", fmt.Sprintf("Use a whole number from 0 to %d.", maxWait))
	}
	t, err := c.awaitTask(a.TaskID, time.Duration(a.WaitSeconds)*time.Second)
	if err != nil {
		return result{}, err
	}
	r := newPicture(t).result(waitAgain)
	r.extra = c.showImages(t)
	return r, nil
}

// awaitTask returns a task once it has ended, or as it is when patience is over. The
// API answers a wait as soon as anything about the task changes, so awaitTask may
// wait several times.
func (c call) awaitTask(id string, patience time.Duration) (t httpapi.Task, err error) {
	end := time.Now().Add(min(patience, c.Settings.WaitMax))
	for {
		path := "/v1/tasks/" + id
		if left := secondsUntil(end); left > 0 {
			path += "?wait=" + strconv.Itoa(left)
		}
		t = httpapi.Task{}
		_, err := c.api(http.MethodGet, path, nil, nil, &t)
		if err != nil || t.Done || secondsUntil(end) <= 0 || c.request.Context().Err() != nil {
			return t, err
		}
	}
}

func secondsUntil(end time.Time) int { return int(time.Until(end).Round(time.Second) / time.Second) }

// showImages returns the link of each image for clients that draw it themselves, and
// a small picture of each that has a thumbnail for the model to look at.
func (c call) showImages(t httpapi.Task) (shown []sdk.Content) {
	for _, i := range t.Images {
		shown = append(shown, &sdk.ResourceLink{
			URI: i.URL, Name: fmt.Sprintf("%s-%d", t.ID, i.N), Title: fmt.Sprintf("Image %d of task %s", i.N, t.ID),
			MIMEType: i.ContentType, Size: &i.Bytes,
		})
	}
	for _, i := range t.Images {
		if i.ThumbnailURL == "" {
			continue // no thumbnail could be made: there are only text and link
		}
		if small, err := c.preview(i, previewSides, previewBytes); err == nil {
			shown = append(shown, &sdk.ImageContent{Data: small, MIMEType: "image/jpeg"})
		} else {
			c.Log.WarnContext(c.request.Context(), "preview not made; the picture is shown without it", "task", t.ID, "image", i.N, "error", err)
		}
	}
	return shown
}
