package mcp

import (
	"fmt"
	"net/http"
	"time"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

// creditsResult is the answer of GET /v1/credits and what follows from it.
type creditsResult struct {
	Balance     float64            `json:"balance"`
	ImagesLeft  int                `json:"imagesLeft"`
	Low         bool               `json:"low"`
	CanGenerate bool               `json:"canGenerate"`
	Reason      task.Code          `json:"reason,omitempty"`
	Quota       quota              `json:"quota"`
	Prices      map[string]float64 `json:"prices"`
	AsOf        time.Time          `json:"asOf"`
	NextStep    string             `json:"nextStep"`
}

type quota struct {
	Limit    int       `json:"limit"`
	Used     int       `json:"used"`
	ResetsAt time.Time `json:"resetsAt"`
}

func (c call) credits(arguments []byte) (result, error) {
	if _, err := parse[struct{}](arguments); err != nil {
		return result{}, err
	}
	var a creditsResult
	if _, err := c.api(http.MethodGet, "/v1/credits", nil, nil, &a); err != nil {
		return result{}, err
	}
	a.ImagesLeft = a.countImages()
	text := fmt.Sprintf("%s credits as of %s", task.Credits(a.Balance), a.AsOf.Format(time.RFC3339))
	if a.Reason != task.CodePaused { // nobody can order now, whatever is left
		text += fmt.Sprintf(", enough for %d pictures of the cheapest kind", a.ImagesLeft)
	}
	text += ". Credits spent after that are not counted yet."
	if a.Quota.Limit > 0 {
		text += fmt.Sprintf(" The user has asked for %d of %d pictures today; the quota resets at %s.", a.Quota.Used, a.Quota.Limit, a.Quota.ResetsAt.Format(time.RFC3339))
	}
	switch {
	case !a.CanGenerate:
		a.NextStep = httpapi.Explain(a.Reason).Claude
	case a.Low:
		a.NextStep = "The credits are running low; Preset's operator can top them up."
	default:
		a.NextStep = "There are enough credits to go on."
	}
	return result{text: text + "\nWhat to do: " + a.NextStep, data: a}, nil
}

// countImages returns how many pictures of the cheapest kind balance and quota allow.
func (a creditsResult) countImages() int {
	if !a.CanGenerate {
		return 0
	}
	n := -1
	for _, price := range a.Prices {
		if price > 0 {
			n = max(n, int(a.Balance/price))
		}
	}
	if rest := a.Quota.Limit - a.Quota.Used; a.Quota.Limit > 0 && (n < 0 || rest < n) {
		n = rest
	}
	return max(n, 0)
}
