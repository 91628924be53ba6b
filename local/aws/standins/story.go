package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path"
	"path/filepath"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// story makes a picture: it invokes the functions, and does what AWS and the provider
// would do between them.
type story struct {
	*connection
	command []string // invokes a function
	subject subject
	log     bytes.Buffer // of the last function invoked
}

// makePicture makes a picture, and prints each step and the picture's file.
func makePicture(ctx context.Context, command []string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	c, err := connect()
	if err != nil {
		return err
	}
	s := &story{connection: c, command: command, subject: written}
	s.subject.key = rand.Text()

	var x httpapi.Task
	if err := s.call(ctx, "Submit", "submit-words", http.StatusAccepted, &x); err != nil {
		return err
	}
	fmt.Fprintf(out, "Submit    %s: %q is %s\n", x.ID, x.Prompt, x.Status)
	made, err := s.awaitProvider(ctx)
	if err != nil {
		return err
	}
	s.subject.providerID, s.subject.result = made.ID, made.URLs[0]
	if err := s.call(ctx, "Callback", "callback-success", http.StatusOK, nil); err != nil {
		return err
	}
	fmt.Fprintf(out, "Callback  the provider's %s is ready\n", made.ID)
	if _, err := s.invoke(ctx, "Ingest", "ingest-store"); err != nil {
		return err
	}
	ingestLog := s.log.String() // Ingest logs errors, and never fails
	if err := s.call(ctx, "Tasks", "tasks-one", http.StatusOK, &x); err != nil {
		return err
	}
	if x.Status != task.Succeeded || len(x.Images) != 1 {
		return fmt.Errorf("after Ingest the task is %s, with %d pictures\n%s", x.Status, len(x.Images), ingestLog)
	}
	fmt.Fprintf(out, "Ingest    %d bytes are stored\nTasks     the task has %s\n", x.Images[0].Bytes, x.Status)
	file, err := s.picture(ctx, x)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Images    %s\n", file)
	return nil
}

// awaitProvider waits until the provider has made the picture.
func (s *story) awaitProvider(ctx context.Context) (made nanobananatest.Task, err error) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		made, ok, err := s.order(ctx, s.subject.id())
		if err != nil || ok && made.Flag == nanobananatest.FlagSucceeded {
			return made, err
		}
	}
	return made, errors.New("the provider has not made the picture within a minute")
}

// picture follows the picture's lasting link, through Images, and checks that it leads
// to the bytes that Ingest has stored. It returns the file in which it keeps them.
func (s *story) picture(ctx context.Context, x httpapi.Task) (file string, err error) {
	s.subject.file = path.Base(x.Images[0].URL)
	a, err := s.answer(ctx, "Images", "images-show", http.StatusFound)
	if err != nil {
		return "", err
	}
	b, err := s.get(ctx, a.Headers["Location"])
	if err != nil {
		return "", err
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != x.Images[0].SHA256 {
		return "", errors.New("the picture's link serves different bytes than were stored")
	}
	file = "pictures/" + x.ID + "/" + s.subject.file
	return filepath.Join(dir, file), write(file, b)
}

// call invokes a function as the API does, checks the status of its answer, and reads
// the answer into into unless that is nil.
func (s *story) call(ctx context.Context, function, event string, status int, into any) error {
	a, err := s.answer(ctx, function, event, status)
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal([]byte(a.Body), into)
}

// answer invokes a function as the API does, and checks the status of its answer.
func (s *story) answer(ctx context.Context, function, event string, status int) (a events.APIGatewayV2HTTPResponse, err error) {
	b, err := s.invoke(ctx, function, event)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return a, fmt.Errorf("%s answered %q: %w", function, b, err)
	}
	if a.StatusCode != status {
		return a, fmt.Errorf("%s answered %d: %s\n%s", function, a.StatusCode, a.Body, s.log.Bytes())
	}
	return a, nil
}

// invoke invokes a function with an event about the story's task.
func (s *story) invoke(ctx context.Context, function, event string) ([]byte, error) {
	text, err := s.event(event, s.subject)
	if err != nil {
		return nil, err
	}
	file := "story/" + event + ".json"
	if err := write(file, []byte(text)); err != nil {
		return nil, err
	}
	args := append(s.command[1:len(s.command):len(s.command)], function, filepath.Join(dir, file))
	cmd := exec.CommandContext(ctx, s.command[0], args...)
	s.log.Reset()
	cmd.Stderr = &s.log
	b, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", function, err, s.log.Bytes())
	}
	return b, nil
}
