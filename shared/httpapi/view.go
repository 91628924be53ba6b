package httpapi

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/task"
)

// View turns tasks into what clients see. That never has the provider's data, tokens or
// counters.
type View struct {
	// PublicURL is the base of image links; empty: the address that the task came to.
	PublicURL string
	Secrets   *config.Secrets // signs the image links

	Now func() time.Time // for Progress and the status's text; nil: time.Now
	// ExpectedSeconds returns how long a task is expected to take from its creation;
	// nil: task.TypicalSeconds.
	ExpectedSeconds func(ctx context.Context, model, resolution string) int
}

// Task is what clients see of a task.
type Task struct {
	ID         string      `json:"id"`
	Status     task.Status `json:"status"`
	StatusText string      `json:"statusText"`
	Done       bool        `json:"done"`
	Progress   *Progress   `json:"progress,omitempty"` // while it runs

	Prompt      string            `json:"prompt"`
	Model       string            `json:"model"`
	NumImages   int               `json:"numImages"`
	AspectRatio string            `json:"aspectRatio,omitempty"`
	Resolution  string            `json:"resolution,omitempty"`
	ImageURLs   []string          `json:"imageUrls,omitempty"`
	Parent      string            `json:"parent,omitempty"`
	RescuedFrom string            `json:"rescuedFrom,omitempty"`
	Watermark   string            `json:"watermark,omitempty"`
	Target      *task.Target      `json:"target,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`

	Images  []Image      `json:"images"`
	Inputs  []Input      `json:"inputs,omitempty"` // for the owner alone; a notice has none
	Missing int          `json:"missing,omitzero"`
	Credits TaskCredits  `json:"credits"`
	Error   *TaskFailure `json:"error,omitempty"`

	CreatedAt   time.Time `json:"createdAt"`
	UpdatedAt   time.Time `json:"updatedAt"`
	CompletedAt time.Time `json:"completedAt,omitzero"`
}

// Progress is an estimate: the time since the task was created, and the time that
// tasks like it took recently. It never means that a task is done; the elapsed time
// may exceed the expected time.
type Progress struct {
	ElapsedSeconds  int `json:"elapsedSeconds"`
	ExpectedSeconds int `json:"expectedSeconds"`
}

// Image is what clients see of a stored picture. Its links do not expire.
type Image struct {
	N            int    `json:"n"`
	URL          string `json:"url"`
	ThumbnailURL string `json:"thumbnailUrl,omitempty"` // empty: none could be made
	Width        int    `json:"width"`
	Height       int    `json:"height"`
	Bytes        int64  `json:"bytes"`
	ContentType  string `json:"contentType"`
	SHA256       string `json:"sha256"`
	// Provenance is how the picture was made, and what its file states about that.
	Provenance Provenance `json:"provenance"`
	// Damaged reports that the file does not decode to its end. Browsers show the
	// part that is there.
	Damaged bool `json:"damaged,omitzero"`
}

// Provenance is where a picture comes from.
type Provenance struct {
	// C2PA reports whether the file carries a C2PA manifest, which is not
	// verified. It is absent for pictures stored before that was looked for.
	C2PA task.Presence `json:"c2pa,omitempty"`
	// DigitalSourceType is the URI of IPTC's term, as we state it.
	DigitalSourceType string `json:"digitalSourceType"`
}

// Input is what the owner sees of the kept copy of an upload. Its links do not expire.
type Input struct {
	N            int    `json:"n"` // its place in imageUrls, from 1
	URL          string `json:"url"`
	ThumbnailURL string `json:"thumbnailUrl,omitempty"`
	Width        int    `json:"width"`
	Height       int    `json:"height"`
}

// TaskCredits is what a task costs.
type TaskCredits struct {
	Estimate float64 `json:"estimate"` // 0 for a rescued task, which orders nothing
	// Outcome is "held" while the task runs, "spent" if it succeeded or was
	// refused by the provider's policy, "returned" after every other failure.
	Outcome string `json:"outcome"`
}

// TaskFailure is why a task failed.
type TaskFailure struct {
	Code      task.Code `json:"code"`
	Message   string    `json:"message"`
	Hint      string    `json:"hint"`
	Retryable bool      `json:"retryable"`
}

// Task returns what clients see of t.
func (v View) Task(ctx context.Context, t *task.Task) (Task, error) {
	shown := Task{
		ID: t.ID, Status: t.Status, StatusText: statusText(t, v.now()), Done: t.Done(),
		Prompt: t.Prompt, Model: t.Model, NumImages: t.NumImages,
		AspectRatio: t.AspectRatio, Resolution: t.Resolution, ImageURLs: t.ImageURLs,
		Parent: t.Parent, RescuedFrom: t.RescuedFrom, Watermark: t.Watermark, Target: t.Target, Metadata: t.Metadata,
		Images: []Image{}, Missing: t.Missing,
		Credits:   TaskCredits{Estimate: t.Estimate, Outcome: creditsOutcome(t)},
		CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt, CompletedAt: t.EndedAt,
	}
	if !t.Done() {
		shown.Progress = v.progress(ctx, t)
	}
	if t.Failure != "" {
		x := Explain(t.Failure)
		shown.Error = &TaskFailure{Code: t.Failure, Message: x.Title, Hint: x.Hint, Retryable: x.Retryable}
	}
	if len(t.Images) == 0 {
		return shown, nil
	}
	secret, err := v.Secrets.Current(ctx)
	if err != nil {
		return Task{}, &task.Error{Code: task.CodeUnavailable, Err: err}
	}
	for _, image := range t.Images {
		shown.Images = append(shown.Images, v.image(t, image, secret.ImageKeys))
	}
	for _, in := range t.Inputs {
		shown.Inputs = append(shown.Inputs, Input{
			N: in.N, Width: in.Width, Height: in.Height,
			URL: v.imageURL(t, in.File, secret.ImageKeys), ThumbnailURL: v.imageURL(t, in.Thumbnail, secret.ImageKeys),
		})
	}
	return shown, nil
}

func (v View) image(t *task.Task, image task.Image, keys token.Keys) Image {
	shown := Image{
		N: image.N, Width: image.Width, Height: image.Height, Bytes: image.Bytes,
		ContentType: image.ContentType, SHA256: image.SHA256, Damaged: image.Damaged,
		Provenance: Provenance{C2PA: image.C2PA, DigitalSourceType: t.Origin().URI()},
		URL:        v.imageURL(t, image.File, keys),
	}
	if image.Thumbnail != "" {
		shown.ThumbnailURL = v.imageURL(t, image.Thumbnail, keys)
	}
	return shown
}

func (v View) now() time.Time {
	if v.Now == nil {
		return time.Now()
	}
	return v.Now()
}

func (v View) progress(ctx context.Context, t *task.Task) *Progress {
	expect := func(_ context.Context, model, _ string) int { return task.TypicalSeconds(model) }
	if v.ExpectedSeconds != nil {
		expect = v.ExpectedSeconds
	}
	return &Progress{
		ElapsedSeconds:  max(0, int(v.now().Sub(t.CreatedAt)/time.Second)),
		ExpectedSeconds: expect(ctx, t.Model, t.Resolution),
	}
}

func (v View) imageURL(t *task.Task, file string, keys token.Keys) string {
	base := v.PublicURL
	if base == "" {
		base = t.PublicURL
	}
	return base + "/v1/images/" + t.ID + "/" + keys.Sign(ImageMessage(t.ID, file)) + "/" + url.PathEscape(file)
}

// ImageMessage is what the token in an image link signs.
func ImageMessage(id, file string) string { return "image|" + id + "|" + file }

// promptPreview is how many characters of a prompt a list shows.
const promptPreview = 300

// ListItem returns t as an item of a list, with only the beginning of its prompt.
func (v View) ListItem(ctx context.Context, t *task.Task) (Task, error) {
	shown, err := v.Task(ctx, t)
	if utf8.RuneCountInString(shown.Prompt) > promptPreview {
		shown.Prompt = string([]rune(shown.Prompt)[:promptPreview])
	}
	return shown, err
}

func creditsOutcome(t *task.Task) string {
	switch {
	case !t.Done():
		return "held"
	case t.Status == task.Succeeded || t.Failure == task.CodeContentPolicy:
		return "spent"
	}
	return "returned"
}

// RetryAfter returns the value of the header that says when to read the tasks again. It
// is empty if all of them have ended.
func RetryAfter(tasks ...*task.Task) string {
	if slices.ContainsFunc(tasks, func(t *task.Task) bool { return !t.Done() }) {
		return strconv.Itoa(pollSeconds)
	}
	return ""
}

// pollSeconds is how often a client should poll a task if it does not use wait.
const pollSeconds = 3
