package task

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Request is what a client asks for. It is stored as given, with defaults filled in.
type Request struct {
	Prompt string `json:"prompt,omitempty"`
	// ImageURLs makes the request an edit. An entry is a link, or names a picture
	// in one of the forms of ParseSource.
	ImageURLs   []string          `json:"imageUrls,omitempty"`
	NumImages   int               `json:"numImages,omitempty"`
	Model       string            `json:"model,omitempty"`
	AspectRatio string            `json:"aspectRatio,omitempty"`
	Resolution  string            `json:"resolution,omitempty"`
	Watermark   string            `json:"watermark,omitempty"`
	Target      *Target           `json:"target,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	// DropInputs keeps no copies of the uploads that the request edits. It is not sent
	// to the provider. The default is false, so that it changes no older fingerprint.
	DropInputs bool `json:"dropInputs,omitempty"`
}

// Limits that are the same for every model.
const (
	MaxURL       = 2048 // characters of one imageUrls entry
	maxWatermark = 100  // characters
	maxMetadata  = 16   // keys
	maxMetaText  = 500  // characters of one value
	maxTargetID  = 128  // characters
)

// Patterns are compiled at their first use: compiling all of them would take a tenth
// of a cold start.
var (
	targetKind  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`) })
	metadataKey = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z][a-zA-Z0-9_]{0,39}$`) })
	taskSource  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^task:([0-9a-v]{26})/([1-9][0-9]?)$`) })
)

// Normalize trims the prompt and fills in defaults.
func (r *Request) Normalize() {
	r.Prompt = strings.TrimSpace(r.Prompt)
	if r.Model == "" {
		r.Model = DefaultModel
	}
	if m, ok := ModelByID(r.Model); ok && r.Resolution == "" && len(m.Resolutions) > 0 {
		r.Resolution = m.Resolutions[0]
	}
}

// Faults returns all faults of a normalized request. It does not check whether an
// input image can be used.
func (r *Request) Faults() []Field {
	var fs faults
	m, ok := ModelByID(r.Model)
	if !ok {
		fs.add("/model", "unknown", "There is no such model. GET /v1/models lists them.")
		m, _ = ModelByID(DefaultModel) // to report the other faults too
		m.Watermark, m.Resolutions = true, []string{r.Resolution}
	}
	r.promptFaults(&fs, m)
	switch {
	case r.NumImages >= 1 && r.NumImages <= m.MaxImages:
	case m.MaxImages == 1:
		fs.add("/numImages", "out_of_range", "This model makes one image at a time.")
	default:
		fs.add("/numImages", "out_of_range", fmt.Sprintf("This model makes 1 to %d images at a time.", m.MaxImages))
	}
	if r.AspectRatio != "" && !slices.Contains(m.AspectRatios, r.AspectRatio) {
		fs.add("/aspectRatio", "not_available", "This model offers "+strings.Join(m.AspectRatios, " ")+".")
	}
	switch {
	case r.Resolution != "" && len(m.Resolutions) == 0:
		fs.add("/resolution", "not_available", "This model has no resolution to choose.")
	case r.Resolution != "" && !slices.Contains(m.Resolutions, r.Resolution):
		fs.add("/resolution", "not_available", "This model offers "+strings.Join(m.Resolutions, " ")+".")
	}
	r.watermarkFaults(&fs, m)
	r.imageFaults(&fs, m)
	if r.Target != nil {
		for _, f := range r.Target.Faults() {
			fs.add("/target"+f.Pointer, f.Code, f.Message)
		}
	}
	r.metadataFaults(&fs)
	sort.SliceStable(fs, func(i, j int) bool { return fs[i].Pointer < fs[j].Pointer })
	return fs
}

type faults []Field

func (fs *faults) add(pointer, code, message string) {
	*fs = append(*fs, Field{Pointer: pointer, Code: code, Message: message})
}

func (r *Request) promptFaults(fs *faults, m Model) {
	switch n := utf8.RuneCountInString(r.Prompt); {
	case !visible(r.Prompt):
		fs.add("/prompt", "required", "Describe the picture you want.")
	case n > m.MaxPrompt:
		fs.add("/prompt", "too_long", fmt.Sprintf("A prompt for this model has at most %d characters.", m.MaxPrompt))
	}
}

// visible reports whether a reader would see anything of s: zero-width and control
// characters and white space show nothing.
func visible(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool {
		return unicode.IsGraphic(c) && !unicode.IsSpace(c) && !unicode.In(c, unicode.Cf, unicode.Mn, unicode.Other_Default_Ignorable_Code_Point)
	})
}

func (r *Request) watermarkFaults(fs *faults, m Model) {
	switch {
	case r.Watermark == "":
	case !m.Watermark:
		fs.add("/watermark", "not_available", "This model cannot add a watermark.")
	case utf8.RuneCountInString(r.Watermark) > maxWatermark || !visible(r.Watermark):
		fs.add("/watermark", "out_of_range", fmt.Sprintf("A watermark has 1 to %d characters.", maxWatermark))
	case strings.ContainsFunc(r.Watermark, breaksLine):
		fs.add("/watermark", "invalid", "A watermark is one line of text, without line breaks, tabs or other control characters.")
	}
}

// breaksLine reports whether c may not be in a line of text: it is a control
// character, or separates lines or paragraphs.
func breaksLine(c rune) bool { return unicode.In(c, unicode.Cc, unicode.Zl, unicode.Zp) }

func (r *Request) imageFaults(fs *faults, m Model) {
	if len(r.ImageURLs) > m.MaxInputs {
		fs.add("/imageUrls", "too_many", fmt.Sprintf("This model takes at most %d input images.", m.MaxInputs))
	}
	seen := map[string]bool{}
	// What is over the limit is not examined: a list of thousands has one fault.
	for i, u := range r.ImageURLs[:min(len(r.ImageURLs), m.MaxInputs)] {
		pointer := "/imageUrls/" + strconv.Itoa(i)
		switch {
		case inline(u): // before the length, which does not matter then
			fs.add(pointer, "upload_first", "Do not send the picture itself. Upload it with POST /v1/uploads, then use upload:ID.")
		case utf8.RuneCountInString(u) > MaxURL:
			fs.add(pointer, "too_long", fmt.Sprintf("A link has at most %d characters.", MaxURL))
		case seen[u]:
			fs.add(pointer, "duplicate", "This image is already in the list.")
		}
		seen[u] = true
	}
}

// inline reports whether u is a link that works only inside the page or program that
// made it.
func inline(u string) bool {
	scheme, _, _ := strings.Cut(u[:min(len(u), len("blob:"))], ":")
	return strings.EqualFold(scheme, "data") || strings.EqualFold(scheme, "blob")
}

func (r *Request) metadataFaults(fs *faults) {
	if len(r.Metadata) > maxMetadata {
		fs.add("/metadata", "too_many", fmt.Sprintf("Metadata has at most %d keys.", maxMetadata))
		return
	}
	for k, v := range r.Metadata {
		if !metadataKey().MatchString(k) {
			fs.add("/metadata", "invalid", "A key starts with a lowercase letter and has up to 40 letters, digits or underscores.")
		} else if utf8.RuneCountInString(v) > maxMetaText {
			fs.add("/metadata/"+k, "too_long", fmt.Sprintf("A value has at most %d characters.", maxMetaText))
		}
	}
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsGraphic(c) || unicode.IsSpace(c) })
}

// Fingerprint returns the SHA-256, in hex, of a normalized request. Two bodies that
// differ only in the order of their fields have the same one.
func (r *Request) Fingerprint() string {
	b, err := json.Marshal(r) // struct fields in order, map keys sorted
	if err != nil {
		panic("task: a request is always JSON: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Source is one parsed entry of imageUrls. Exactly one of Link, TaskID and UploadID
// is set.
type Source struct {
	Link     string
	TaskID   string
	N        int    // which picture of TaskID, from 1
	File     string // or the file name in the link to it or to its thumbnail
	UploadID string
}

// ParseSource parses an entry of imageUrls: task:ID/N, upload:ID, or a link, which it
// does not check. Ok is false for a malformed task: or upload: entry.
func ParseSource(entry string) (s Source, ok bool) {
	switch {
	case strings.HasPrefix(entry, "task:"):
		m := taskSource().FindStringSubmatch(entry)
		if m == nil {
			return Source{}, false
		}
		n, _ := strconv.Atoi(m[2])
		return Source{TaskID: m[1], N: n}, true
	case strings.HasPrefix(entry, "upload:"):
		id := strings.TrimPrefix(entry, "upload:")
		return Source{UploadID: id}, ValidID(id)
	}
	return Source{Link: entry}, true
}

// Upload is an entry of ImageURLs that names an upload of the owner's.
type Upload struct {
	N  int // its place, from 1
	ID string
}

// InputsToKeep returns the uploads of which copies are to be kept when the task succeeds.
func (r *Request) InputsToKeep() (all []Upload) {
	if r.DropInputs {
		return nil
	}
	for i, entry := range r.ImageURLs {
		if s, ok := ParseSource(entry); ok && s.UploadID != "" {
			all = append(all, Upload{N: i + 1, ID: s.UploadID})
		}
	}
	return all
}
