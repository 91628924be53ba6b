package mcp

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

// order is the body of POST /v1/tasks, with the fields that the tool has.
type order struct {
	Prompt      string       `json:"prompt"`
	ImageURLs   []string     `json:"imageUrls,omitzero"`
	Model       string       `json:"model,omitzero"`
	AspectRatio string       `json:"aspectRatio,omitzero"`
	Resolution  string       `json:"resolution,omitzero"`
	NumImages   *int         `json:"numImages,omitzero"`
	Target      *task.Target `json:"target,omitzero"`
	KeepInputs  *bool        `json:"keepInputs,omitzero"`
}

// generateArguments are an order and its Idempotency-Key.
type generateArguments struct {
	RequestKey string `json:"requestKey"`
	order
}

func (c call) generate(arguments []byte) (result, error) {
	a, err := parse[generateArguments](arguments)
	if err != nil {
		return result{}, err
	}
	if err := checkRequestKey(a.RequestKey); err != nil {
		return result{}, err
	}
	if ask, err := c.confirm(a); ask != nil || err != nil {
		return result{ask: ask}, err
	}
	var t httpapi.Task
	answer, err := c.api(http.MethodPost, "/v1/tasks", http.Header{"Idempotency-Key": {a.RequestKey}}, a.order, &t)
	if err != nil {
		return result{}, err
	}
	r := newPicture(t).result(beingMade(t.ID))
	if answer.Header.Get("Idempotency-Replayed") != "" {
		r.text = "This requestKey was used before: this is the same task, and nothing was charged again.\n" + r.text
	}
	return r, nil
}

// beingMade is the next step for a picture that is not done.
func beingMade(id string) string {
	return fmt.Sprintf("The picture is being made. get_image with taskId %s and waitSeconds 20 returns it as soon as it is done.", id)
}

func checkRequestKey(key string) error {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
	if key == "" || len(key) > 64 || strings.Trim(key, allowed) != "" {
		return invalid("/requestKey", "invalid", "Each picture has a short new one: 1 to 64 letters, digits, dots, underscores and hyphens.")
	}
	return nil
}
