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

// story plays a task's life: the functions do their part, and it does what AWS
// and the provider would do between them.
type story struct {
	*site
	command []string // invokes
	subject subject
	said    bytes.Buffer // beside the answer, by the last that was invoked
}

// tell tells the story of a new task, and prints where its picture is.
func tell(ctx context.Context, command []string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	found, err := open()
	if err != nil {
		return err
	}
	s := &story{site: found, command: command, subject: written}
	s.subject.key = rand.Text()

	var x httpapi.Task
	if err := s.ask(ctx, "Submit", "submit-words", http.StatusAccepted, &x); err != nil {
		return err
	}
	fmt.Fprintf(out, "Submit    %s: %q is %s\n", x.ID, x.Prompt, x.Status)
	made, err := s.made(ctx)
	if err != nil {
		return err
	}
	s.subject.providerID, s.subject.result = made.ID, made.URLs[0]
	if err := s.ask(ctx, "Callback", "callback-success", http.StatusOK, nil); err != nil {
		return err
	}
	fmt.Fprintf(out, "Callback  the provider's %s is ready\n", made.ID)
	if _, err := s.invoke(ctx, "Ingest", "ingest-store"); err != nil {
		return err
	}
	ingested := s.said.String() // it never fails, it logs
	if err := s.ask(ctx, "Tasks", "tasks-one", http.StatusOK, &x); err != nil {
		return err
	}
	if x.Status != task.Succeeded || len(x.Images) != 1 {
		return fmt.Errorf("after Ingest the task is %s, with %d pictures\n%s", x.Status, len(x.Images), ingested)
	}
	fmt.Fprintf(out, "Ingest    %d bytes are kept\nTasks     the task %s\n", x.Images[0].Bytes, x.Status)
	file, err := s.picture(ctx, x)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Images    %s\n", file)
	return nil
}

// made waits until the provider has made the picture.
func (s *story) made(ctx context.Context) (made nanobananatest.Task, err error) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		made, ok, err := s.order(ctx, s.subject.id())
		if err != nil || ok && made.Flag == nanobananatest.FlagSucceeded {
			return made, err
		}
	}
	return made, errors.New("the provider has not made the picture within a minute")
}

// picture follows the picture's lasting link, through Images, and keeps what it
// leads to: what Ingest has stored, byte for byte.
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
		return "", errors.New("behind the picture's link are other bytes than were stored")
	}
	file = "pictures/" + x.ID + "/" + s.subject.file
	return filepath.Join(dir, file), write(file, b)
}

// ask invokes a function behind the API, and reads its answer of this status.
func (s *story) ask(ctx context.Context, function, event string, status int, into any) error {
	a, err := s.answer(ctx, function, event, status)
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal([]byte(a.Body), into)
}

func (s *story) answer(ctx context.Context, function, event string, status int) (a events.APIGatewayV2HTTPResponse, err error) {
	b, err := s.invoke(ctx, function, event)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return a, fmt.Errorf("%s answered %q: %w", function, b, err)
	}
	if a.StatusCode != status {
		return a, fmt.Errorf("%s answered %d: %s\n%s", function, a.StatusCode, a.Body, s.said.Bytes())
	}
	return a, nil
}

// invoke has a function handle an event that is about the story's task.
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
	s.said.Reset()
	cmd.Stderr = &s.said
	b, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", function, err, s.said.Bytes())
	}
	return b, nil
}
