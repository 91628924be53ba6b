package nanobananatest

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

const maxBody = 1 << 20

// endpoint is the documentation of one of the three.
type endpoint struct {
	fields      []string // others are dropped silently, as the vendor does
	prompt      int      // longest prompt in characters
	inputs      int      // most input images
	ratios      []string
	resolutions map[string]float64 // credits for an image by resolution; "" if it is not given
	newer       bool               // one image a task; callbacks and answers of family B
	format      string
}

var endpoints = map[string]endpoint{
	"generate": {
		fields: []string{"prompt", "type", "callBackUrl", "numImages", "imageUrls", "watermark", "image_size"},
		prompt: 5000, inputs: 10, format: "png",
		ratios:      []string{"1:1", "9:16", "16:9", "3:4", "4:3", "3:2", "2:3", "5:4", "4:5", "21:9"},
		resolutions: map[string]float64{"": 4},
	},
	"generate-2": {
		fields: []string{"prompt", "imageUrls", "aspectRatio", "resolution", "outputFormat", "googleSearch", "callBackUrl"},
		prompt: 20000, inputs: 14, newer: true, format: "jpg",
		ratios: []string{"1:1", "1:4", "1:8", "2:3", "3:2", "3:4", "4:1", "4:3", "4:5", "5:4", "8:1", "9:16", "16:9",
			"21:9", "auto"},
		resolutions: map[string]float64{"": 8, "1K": 8, "2K": 12, "4K": 18},
	},
	"generate-pro": {
		fields: []string{"prompt", "imageUrls", "resolution", "aspectRatio", "callBackUrl"},
		prompt: 5000, inputs: 8, newer: true, format: "png",
		ratios:      []string{"1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9", "auto"},
		resolutions: map[string]float64{"1K": 18, "2K": 18, "4K": 24},
	},
}

// submitRequest is the body of a submit, of any endpoint. Names match exactly: another spelling
// (callbackUrl, aspect_ratio) is dropped silently like any unknown field.
type submitRequest struct {
	Prompt       string   `json:"prompt"`
	Type         string   `json:"type"`
	CallbackURL  string   `json:"callBackUrl"`
	NumImages    *int     `json:"numImages"`
	ImageURLs    []string `json:"imageUrls"`
	ImageSize    string   `json:"image_size"`
	AspectRatio  string   `json:"aspectRatio"`
	Resolution   string   `json:"resolution"`
	OutputFormat string   `json:"outputFormat"`
	Watermark    string   `json:"watermark"`
	GoogleSearch bool     `json:"googleSearch"`
}

func (s *Server) submit(w http.ResponseWriter, r *http.Request, name string, e endpoint) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	s.mu.Lock()
	s.posts++
	s.mu.Unlock()
	fault := s.takeFault(func(k *Knobs) *Fault { return &k.Submit })
	proper := success(Golden("submit-generate"))
	switch {
	case fault.Kind != NoFault && !fault.Accepted:
	case !s.authorized(r):
		proper = s.unauthorized()
	case err != nil:
		proper = s.refuse(400, unreadable)
	case len(body) > maxBody:
		proper = s.refuse(413, "the request body is too large")
	default:
		proper = s.takeRequest(r, name, e, body)
	}
	s.answer(w, r, fault, proper)
}

const unreadable = "the request body is not readable"

// takeRequest accepts or refuses a request and returns the answer.
func (s *Server) takeRequest(r *http.Request, name string, e endpoint, body []byte) reply {
	var params map[string]any
	if json.Unmarshal(body, &params) != nil || params == nil {
		return s.refuse(400, unreadable)
	}
	for field := range params {
		if !slices.Contains(e.fields, field) {
			delete(params, field)
		}
	}
	o, err := parseRequest(params)
	if err != nil {
		return s.refuse(400, "a parameter has the wrong type")
	}
	if complaint := e.validate(o); complaint != "" {
		return s.refuse(400, complaint)
	}
	t, refused := s.accept(name, e, o, params)
	if t == nil {
		return refused
	}
	t.waitForEarlyCallback(r)
	if e.newer {
		return success(fill("submit-newer", fields{"data.taskId": t.ID}))
	}
	return success(fill("submit-generate", fields{"data.taskId": t.ID}))
}

// parseRequest returns the request with these fields.
func parseRequest(params map[string]any) (o submitRequest, err error) {
	known, err := json.Marshal(params)
	if err == nil {
		err = json.Unmarshal(known, &o)
	}
	return o, err
}

// validate returns what is wrong with a request, or "".
func (e endpoint) validate(o submitRequest) string {
	_, priced := e.resolutions[o.Resolution]
	ratio := cmp.Or(o.ImageSize, o.AspectRatio)
	switch {
	case strings.TrimSpace(o.Prompt) == "":
		return "prompt must not be blank"
	case utf8.RuneCountInString(o.Prompt) > e.prompt:
		return fmt.Sprintf("prompt is longer than %d characters", e.prompt)
	case len(o.ImageURLs) > e.inputs:
		return fmt.Sprintf("imageUrls has more than %d entries", e.inputs)
	case slices.ContainsFunc(o.ImageURLs, func(text string) bool { return !isWebURL(text) }):
		return "imageUrls must be http or https"
	case ratio != "" && !slices.Contains(e.ratios, ratio):
		return "the aspect ratio is not one of " + strings.Join(e.ratios, " ")
	case o.Resolution == "" && !priced:
		return "Resolution must not be blank"
	case !priced:
		return "resolution must be 1K, 2K or 4K"
	case o.OutputFormat != "" && o.OutputFormat != "png" && o.OutputFormat != "jpg":
		return "outputFormat must be png or jpg"
	case o.CallbackURL != "" && !isWebURL(o.CallbackURL):
		return "callBackUrl must be http or https"
	case !e.newer:
		return o.validateGenerate()
	}
	return ""
}

func (o submitRequest) validateGenerate() string {
	switch {
	case o.Type != "TEXTTOIAMGE" && o.Type != "IMAGETOIAMGE":
		return "type must be TEXTTOIAMGE or IMAGETOIAMGE"
	case o.Type == "IMAGETOIAMGE" && len(o.ImageURLs) == 0:
		return "imageUrls must not be blank"
	case o.CallbackURL == "":
		return "callBackUrl must not be blank"
	case o.NumImages != nil && (*o.NumImages < 1 || *o.NumImages > 4):
		return "numImages must be between 1 and 4"
	}
	return ""
}

// inputs returns the images to edit; generate uses them only if its type says so.
func (o submitRequest) inputs() []string {
	if o.Type == "TEXTTOIAMGE" {
		return nil
	}
	return o.ImageURLs
}

// count returns how many pictures are requested.
func (o submitRequest) count() int {
	if o.NumImages == nil {
		return 1
	}
	return *o.NumImages
}

func isWebURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
