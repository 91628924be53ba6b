// Package clients runs the Go client that oapi-codegen makes; generate makes it first.
package clients

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	images "github.com/preset/nanobanana-functions/local/clients/generated/oapi-codegen"
)

var board = images.Target{Kind: "moodboard", Id: "oapi-codegen"}

func client(t *testing.T, address, token string) *images.ClientWithResponses {
	t.Helper()
	signIn := func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
	// Longer than the longest wait; by default it never gives up.
	patient := &http.Client{Timeout: 40 * time.Second}
	c, err := images.NewClientWithResponses(address, images.WithHTTPClient(patient), images.WithRequestEditorFn(signIn))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func local(t *testing.T) *images.ClientWithResponses {
	return client(t, os.Getenv("API"), os.Getenv("TOKEN"))
}

func order(t *testing.T, task images.NewTask) images.RunningTask {
	t.Helper()
	key := rand.Text()
	answer, err := local(t).CreateTaskWithResponse(t.Context(), &images.CreateTaskParams{IdempotencyKey: &key}, task)
	if err != nil || answer.JSON202 == nil {
		t.Fatalf("%s, %v", answer.Body, err)
	}
	again, err := local(t).CreateTaskWithResponse(t.Context(), &images.CreateTaskParams{IdempotencyKey: &key}, task)
	if err != nil || again.HTTPResponse.Header.Get("Idempotency-Replayed") != "true" {
		t.Fatalf("a repetition: %s, %v", again.Body, err)
	}
	return kind[images.RunningTask](t, *answer.JSON202)
}

// kind returns a task as one of its three kinds.
func kind[T any](t *testing.T, task images.Task) T {
	t.Helper()
	value, err := task.ValueByDiscriminator()
	v, ok := value.(T)
	if !ok {
		t.Fatalf("it is a %T, want a %T: %v", value, v, err)
	}
	return v
}

// finished returns a task that has ended.
func finished(t *testing.T, id images.TaskId) images.Task {
	t.Helper()
	wait := 20
	for range 6 {
		answer, err := local(t).GetTaskWithResponse(t.Context(), id, &images.GetTaskParams{Wait: &wait})
		if err != nil || answer.JSON200 == nil {
			t.Fatalf("%s, %v", answer.Body, err)
		}
		if status, _ := answer.JSON200.Discriminator(); images.TaskStatus(status) == images.TaskStatusSucceeded || images.TaskStatus(status) == images.TaskStatusFailed {
			return *answer.JSON200
		}
	}
	t.Fatalf("%s does not end", id)
	return images.Task{}
}

func do(t *testing.T, method, url string, header map[string]string, body []byte) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode >= 300 {
		t.Fatalf("%s: %d %.300s, %v", url, answer.StatusCode, got, err)
	}
	return got
}

func pointer[T any](v T) *T { return &v }

func TestPicture(t *testing.T) {
	begun := order(t, images.NewTask{Prompt: "A red bicycle", NumImages: pointer(2), Target: &board, Metadata: &images.Metadata{"shot": "cover"}})
	if begun.Done || begun.Progress.ExpectedSeconds <= 0 || len(begun.Images) > 0 || begun.Credits != (images.HeldCredits{Estimate: 8, Outcome: images.Held}) {
		t.Errorf("%+v", begun)
	}
	done := kind[images.SucceededTask](t, finished(t, begun.Id))
	if !done.Done || done.Status != images.SucceededTaskStatusSucceeded || len(done.Images) != 2 || *done.Target != board || (*done.Metadata)["shot"] != "cover" {
		t.Fatalf("%+v", done)
	}
	for _, image := range done.Images {
		file := do(t, http.MethodGet, image.Url, nil, nil)
		if sum := sha256.Sum256(file); hex.EncodeToString(sum[:]) != image.Sha256 {
			t.Errorf("%s has another SHA-256", image.Url)
		}
		if source := string(image.Provenance.DigitalSourceType); !strings.HasSuffix(source, "/trainedAlgorithmicMedia") {
			t.Errorf("%s comes from %s", image.Url, source)
		}
		do(t, http.MethodGet, *image.ThumbnailUrl, nil, nil)
	}
	t.Run("it is listed", func(t *testing.T) { listed(t, done) })
	t.Run("nothing new is 304", func(t *testing.T) { unchanged(t, done) })
	t.Run("an upload is edited", func(t *testing.T) { edited(t, do(t, http.MethodGet, done.Images[0].Url, nil, nil)) })
}

func listed(t *testing.T, done images.SucceededTask) {
	for _, query := range []images.ListTasksParams{
		{}, {Target: pointer("moodboard:oapi-codegen")}, {Since: &done.CreatedAt}, {Ids: &[]images.TaskId{done.Id, strings.Repeat("0", 26)}},
	} {
		answer, err := local(t).ListTasksWithResponse(t.Context(), &query)
		if err != nil || answer.JSON200 == nil {
			t.Fatalf("%s, %v", answer.Body, err)
		}
		found := 0
		for _, task := range answer.JSON200.Tasks {
			if succeeded, err := task.AsSucceededTask(); err == nil && succeeded.Id == done.Id && reflect.DeepEqual(succeeded.Images, done.Images) {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%+v: found %d times", query, found)
		}
	}
}

func unchanged(t *testing.T, done images.SucceededTask) {
	answer, err := local(t).GetTaskWithResponse(t.Context(), done.Id, &images.GetTaskParams{})
	if err != nil {
		t.Fatal(err)
	}
	tag := answer.HTTPResponse.Header.Get("ETag")
	again, err := local(t).GetTaskWithResponse(t.Context(), done.Id, &images.GetTaskParams{IfNoneMatch: &tag})
	if err != nil || again.StatusCode() != http.StatusNotModified || again.JSON200 != nil {
		t.Errorf("%d %s, %v", again.StatusCode(), again.Body, err)
	}
}

func edited(t *testing.T, photo []byte) {
	place, err := local(t).CreateUploadWithResponse(t.Context(), images.NewUpload{ContentType: images.NewUploadContentTypeImagepng, Bytes: len(photo)})
	if err != nil || place.JSON201 == nil {
		t.Fatalf("%s, %v", place.Body, err)
	}
	do(t, http.MethodPut, place.JSON201.UploadUrl, place.JSON201.Headers, photo)
	begun := order(t, images.NewTask{Prompt: "The same, in snow", ImageUrls: &[]string{"upload:" + place.JSON201.Id}})
	done := kind[images.SucceededTask](t, finished(t, begun.Id))
	if done.Inputs == nil || len(*done.Inputs) != 1 || (*done.Inputs)[0].N != 1 {
		t.Fatalf("%+v", done)
	}
	do(t, http.MethodGet, (*done.Inputs)[0].Url, nil, nil)
}

func TestFailure(t *testing.T) {
	refuse := func(what string) {
		do(t, http.MethodPut, os.Getenv("SIMULATOR"), map[string]string{"Content-Type": "application/json"},
			fmt.Appendf(nil, `{"loseCallbacks":false,"repeatCallbacks":1,"refuse":%q,"slow":false}`, what))
	}
	refuse("policy")
	defer refuse("")
	failed := kind[images.FailedTask](t, finished(t, order(t, images.NewTask{Prompt: "What nobody may see"}).Id))
	if failed.Error.Code != images.TaskErrorCodeContentPolicy || failed.Error.Retryable || failed.Credits.Outcome != images.EndedCreditsOutcomeSpent {
		t.Errorf("%+v", failed)
	}
}

func TestProblems(t *testing.T) {
	faulty, err := local(t).CreateTaskWithResponse(t.Context(), &images.CreateTaskParams{}, images.NewTask{Prompt: "x", Resolution: pointer(images.Resolution("4K"))})
	if err != nil || faulty.ApplicationproblemJSON422 == nil {
		t.Fatalf("%s, %v", faulty.Body, err)
	}
	var p images.Problem = *faulty.ApplicationproblemJSON422
	if p.Status != 422 || p.Code != images.ProblemCodeInvalidRequest || p.Errors == nil || (*p.Errors)[0].Pointer != "/resolution" {
		t.Errorf("%+v", p)
	}
	missing, err := local(t).GetTaskWithResponse(t.Context(), "00000000000000000000000000", &images.GetTaskParams{})
	if err != nil || missing.ApplicationproblemJSON404 == nil || missing.ApplicationproblemJSON404.Code != images.ProblemCodeNotFound {
		t.Errorf("%s, %v", missing.Body, err)
	}
	stranger, err := client(t, os.Getenv("API"), "x").GetCreditsWithResponse(t.Context())
	if err != nil || stranger.ApplicationproblemJSON401 == nil || stranger.ApplicationproblemJSON401.Code != images.ProblemCodeUnauthorized {
		t.Errorf("%s, %v", stranger.Body, err)
	}
}

// What the gateway itself says has a type of its own.
func TestGateway(t *testing.T) {
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"message":"Service Unavailable"}`)
	}))
	defer gateway.Close()
	answer, err := client(t, gateway.URL, "x").GetCreditsWithResponse(t.Context())
	if err != nil || answer.JSON503 == nil || answer.JSON503.Message != "Service Unavailable" || answer.ApplicationproblemJSON503 != nil {
		t.Errorf("%+v, %v", answer, err)
	}
}

func TestMoveAndDelete(t *testing.T) {
	id := order(t, images.NewTask{Prompt: "A blue bicycle"}).Id
	moved, err := local(t).SetTargetWithResponse(t.Context(), id, images.Target{Kind: "showcase", Id: "7"})
	if err != nil || moved.JSON200 == nil {
		t.Fatalf("%s, %v", moved.Body, err)
	}
	if task := kind[images.SucceededTask](t, finished(t, id)); task.Target.Kind != "showcase" {
		t.Errorf("%+v", task)
	}
	deleted, err := local(t).DeleteTaskWithResponse(t.Context(), id, nil)
	if err != nil || deleted.StatusCode() != http.StatusNoContent {
		t.Errorf("%s, %v", deleted.Body, err)
	}
	gone, err := local(t).GetTaskWithResponse(t.Context(), id, &images.GetTaskParams{})
	if err != nil || gone.StatusCode() != http.StatusNotFound {
		t.Errorf("%s, %v", gone.Body, err)
	}
}

func TestQuote(t *testing.T) {
	fine, err := local(t).CreateQuoteWithResponse(t.Context(), &images.CreateQuoteParams{}, images.NewTask{Prompt: "x", NumImages: pointer(2)})
	if err != nil || fine.JSON200 == nil || fine.JSON200.Estimate == nil || *fine.JSON200.Estimate != 8 || len(fine.JSON200.Problems) > 0 {
		t.Errorf("%s, %v", fine.Body, err)
	}
	faulty, err := local(t).CreateQuoteWithResponse(t.Context(), &images.CreateQuoteParams{}, images.NewTask{Prompt: "x", Resolution: pointer(images.Resolution("4K"))})
	if err != nil || faulty.JSON200 == nil || len(faulty.JSON200.Problems) != 1 {
		t.Fatalf("%s, %v", faulty.Body, err)
	}
	if p := faulty.JSON200.Problems[0]; p.Code != images.ProblemCodeInvalidRequest || (*p.Errors)[0].Pointer != "/resolution" {
		t.Errorf("%+v", p)
	}
}

func TestAccount(t *testing.T) {
	models, err := local(t).ListModelsWithResponse(t.Context())
	if err != nil || models.JSON200 == nil {
		t.Fatalf("%s, %v", models.Body, err)
	}
	if first := (*models.JSON200)[0]; first.Id != images.NanoBanana || first.Credits["default"] != 4 {
		t.Errorf("%+v", first)
	}
	credits, err := local(t).GetCreditsWithResponse(t.Context())
	if err != nil || credits.JSON200 == nil || !credits.JSON200.CanGenerate || credits.JSON200.Prices["nano-banana-2/4K"] != 18 {
		t.Errorf("%s, %v", credits.Body, err)
	}
}

// The contract's examples of notices are read as their types.
func TestNotices(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile("../../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	notices := map[string]func(body []byte) (owner string, version int, at time.Time, err error){
		"taskEnded": func(body []byte) (string, int, time.Time, error) {
			var notice images.EndedNotice
			if err := json.Unmarshal(body, &notice); err != nil {
				return "", 0, time.Time{}, err
			}
			switch kind, err := notice.ValueByDiscriminator(); kind := kind.(type) {
			case images.SucceededNotice:
				return kind.Data.Owner, kind.Data.Version, kind.Timestamp, err
			case images.FailedNotice:
				return kind.Data.Owner, kind.Data.Version, kind.Timestamp, err
			default:
				return "", 0, time.Time{}, fmt.Errorf("it is a %T, %w", kind, err)
			}
		},
		"taskMoved": func(body []byte) (string, int, time.Time, error) {
			var notice images.MovedNotice
			if err := json.Unmarshal(body, &notice); err != nil {
				return "", 0, time.Time{}, err
			}
			moved, err := notice.Data.AsMovedPictures()
			if moved.PreviousTarget == nil || *moved.PreviousTarget == moved.Target {
				t.Errorf("moved from %v to %v", moved.PreviousTarget, moved.Target)
			}
			return moved.Owner, moved.Version, notice.Timestamp, err
		},
		"taskDeleted": func(body []byte) (string, int, time.Time, error) {
			var notice images.DeletedNotice
			err := json.Unmarshal(body, &notice)
			if err != nil || notice.Data.Owner == nil {
				return "", 0, time.Time{}, err
			}
			return *notice.Data.Owner, notice.Data.Version, notice.Timestamp, err
		},
	}
	for hook, parse := range notices {
		for name, example := range doc.Webhooks[hook].Post.RequestBody.Value.Content.Get("application/json").Examples {
			body, err := json.Marshal(example.Value.Value)
			if err != nil {
				t.Fatal(err)
			}
			if owner, version, at, err := parse(body); err != nil || owner == "" || version < 1 || at.IsZero() {
				t.Errorf("%s: of %q, version %d, at %v, %v", name, owner, version, at, err)
			}
		}
	}
}
