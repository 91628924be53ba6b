package mcp

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

// watched is all that the page needs to show a task, in one answer.
type watched struct {
	Picture     picture         `json:"picture"`
	PollSeconds int             `json:"pollSeconds,omitzero"`
	Failure     *failureMessage `json:"failure,omitempty"`
	Previews    []previewed     `json:"previews"`
	Offers      []offer         `json:"offers"`
	Targets     []place         `json:"targets"`
}

// failureMessage is a failure in words for people; picture has those for the model.
type failureMessage struct {
	Message   string `json:"message"`
	Hint      string `json:"hint"`
	Retryable bool   `json:"retryable"`
}

// previewed is a small copy of image N.
type previewed struct {
	N   int    `json:"n"`
	URL string `json:"url"`
}

// offer is something that a button of the page orders from a finished image. The
// page adds requestKey, imageUrls and, to an edit, the prompt.
type offer struct {
	Name      string  `json:"name"`
	Credits   float64 `json:"credits"`
	MaxPrompt int     `json:"maxPrompt,omitzero"` // characters, of an edit
	Arguments order   `json:"arguments"`
}

// place is a target; Own, if the picture is there.
type place struct {
	task.Target
	Own bool `json:"own,omitzero"`
}

const (
	// watchedBytes are those of all previews of an answer, before base64: they and
	// the rest stay below 60 KB.
	watchedBytes = 33 << 10

	latestTasks    = 50 // whose targets are offered
	maxTargetBytes = 3 << 10

	variations      = 3
	variationPrompt = "Make another version of this picture: the same subject, style and mood, with a different composition, pose or angle."
)

// watchedSides are like previewSides, for the page.
var watchedSides = append([]int{512, 384}, previewSides...)

func (c call) watch(arguments []byte) (result, error) {
	a, err := parse[struct {
		TaskID string `json:"taskId"`
	}](arguments)
	if err != nil {
		return result{}, err
	}
	if err := checkTaskID(a.TaskID); err != nil {
		return result{}, err
	}
	var t httpapi.Task
	answer, err := c.api(http.MethodGet, "/v1/tasks/"+a.TaskID, nil, nil, &t)
	if err != nil {
		return result{}, err
	}
	r := newPicture(t).result(waitAgain)
	w := watched{Picture: r.data.(picture), Previews: []previewed{}, Offers: []offer{}, Targets: []place{}}
	w.PollSeconds, _ = strconv.Atoi(answer.Header.Get("Retry-After")) // absent: it has ended
	if t.Error != nil {
		w.Failure = &failureMessage{Message: t.Error.Message, Hint: t.Error.Hint, Retryable: t.Error.Retryable}
	}
	if len(t.Images) > 0 {
		w.Previews, w.Offers, w.Targets = c.previews(t), c.offers(t), c.places(t)
	}
	r.data = w
	return r, nil
}

// previews returns a small copy of each image that has a thumbnail, as large as the
// answer's size allows.
func (c call) previews(t httpapi.Task) []previewed {
	made := []previewed{}
	for _, i := range t.Images {
		if i.ThumbnailURL == "" {
			continue
		}
		small, err := c.preview(i, watchedSides, watchedBytes/len(t.Images))
		if err != nil {
			c.Log.WarnContext(c.request.Context(), "preview not made; the page shows the link alone", "task", t.ID, "image", i.N, "error", err)
			continue
		}
		made = append(made, previewed{N: i.N, URL: "data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(small)})
	}
	return made
}

// offers returns what can be ordered from the images of t. Variations are made by
// t's model or, if that makes single images only, by the first that makes enough.
func (c call) offers(t httpapi.Task) (list []offer) {
	add := func(name string, m task.Model, o order, n int) {
		o.Model, o.Target = m.ID, t.Target
		if slices.Contains(m.AspectRatios, t.AspectRatio) {
			o.AspectRatio = t.AspectRatio
		}
		if slices.Contains(m.Resolutions, t.Resolution) {
			o.Resolution = t.Resolution
		}
		made := offer{Name: name, Credits: c.Settings.Prices.Credits(m.ID, o.Resolution, n), Arguments: o}
		if o.Prompt == "" {
			made.MaxPrompt = m.MaxPrompt
		}
		list = append(list, made)
	}
	own, known := task.ModelByID(t.Model)
	if known {
		add("edit", own, order{}, 1)
	}
	models := append([]task.Model{own}, task.Models()...)
	if i := slices.IndexFunc(models, func(m task.Model) bool { return m.MaxImages >= variations }); i >= 0 {
		n := variations
		add("variations", models[i], order{Prompt: variationPrompt, NumImages: &n}, n)
	}
	return list
}

// places returns the targets of the user's latest tasks, each once, t's own first.
// A failure to list them costs only the button that they are for.
func (c call) places(t httpapi.Task) []place {
	var page struct {
		Tasks []httpapi.Task `json:"tasks"`
	}
	if _, err := c.api(http.MethodGet, "/v1/tasks?limit="+strconv.Itoa(latestTasks), nil, nil, &page); err != nil {
		c.Log.WarnContext(c.request.Context(), "targets not listed; the page offers none", "task", t.ID, "error", err)
	}
	found, room := []place{}, maxTargetBytes
	for _, other := range append([]httpapi.Task{t}, page.Tasks...) {
		if other.Target == nil || slices.ContainsFunc(found, func(p place) bool { return p.Target == *other.Target }) {
			continue
		}
		if room -= len(other.Target.String()) + len(`{"kind":"","id":"","own":true},`); room < 0 {
			break
		}
		found = append(found, place{Target: *other.Target, Own: t.Target != nil && *t.Target == *other.Target})
	}
	return found
}
