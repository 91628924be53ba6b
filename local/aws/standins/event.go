package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
)

// owner is the user in events/.
const owner = "7b0f6f0e-3f0a-4c57-9d0b-5d6f1f1b7a2c"

// The stand-in's keys protect nothing, so they are constants.
const (
	keyID       = "1"
	callbackKey = "callback-key-of-the-stand-in"
	imageKey    = "image-key-of-the-stand-in"
)

func sign(key token.Hidden, message string) string {
	return token.Keys{{ID: keyID, Key: key}}.Sign(message)
}

// subject is the task that an event is about.
type subject struct {
	key        string // its Idempotency-Key, from which its id is derived
	providerID string
	result     string // the provider's URL of its picture
	file       string // the file name of its picture
}

// written is the subject of the files in events/.
var written = subject{
	key:        "3f6c2d0e-6f0b-4f0e-9a53-0c5d6f1f1b7a",
	providerID: "9e4286b7b27960dfe8e1d279b50b28d",
	result:     "https://tempfile.aiquickdraw.com/workers/nano/image_1773480413_lighthouse.png",
	file:       "1-2d711642b726b044.png",
}

func (s subject) id() string { return task.NewID(owner, s.key) }

// event prints an event of events/ with a token and paths that the stand-ins accept.
func event(ctx context.Context, name string, out io.Writer) error {
	s, err := connect()
	if err != nil {
		return err
	}
	about := written
	made, ok, err := s.order(ctx, about.id())
	if err != nil {
		return err
	}
	if ok && len(made.URLs) > 0 {
		about.providerID, about.result = made.ID, made.URLs[0]
	}
	text, err := s.event(name, about)
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, text)
	return err
}

// event returns an event of events/, changed to be about another task, with a token for
// its owner and signed paths. A forged path stays as it is.
func (s *connection) event(name string, about subject) (string, error) {
	text, err := os.ReadFile("events/" + name + ".json")
	if err != nil {
		return "", err
	}
	var e struct {
		PathParameters struct{ Token string } `json:"pathParameters"`
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	pairs := []string{
		"put-a-token-here", s.token, written.key, about.key, written.id(), about.id(),
		written.providerID, about.providerID, written.result, about.result, written.file, about.file,
	}
	switch {
	case name == "callback-forged":
	case strings.HasPrefix(name, "callback-"):
		pairs = append(pairs, e.PathParameters.Token, sign(callbackKey, lifecycle.CallbackMessage(about.id(), 1)))
	case strings.HasPrefix(name, "images-"):
		pairs = append(pairs, e.PathParameters.Token, sign(imageKey, httpapi.ImageMessage(about.id(), about.file)))
	}
	return strings.NewReplacer(pairs...).Replace(string(text)), nil
}
