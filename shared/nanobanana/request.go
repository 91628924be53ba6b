package nanobanana

import "encoding/json"

// Request asks for pictures. The caller leaves a field empty if the model does not have it: the
// provider would drop it silently.
type Request struct {
	Model       string   // nano-banana, nano-banana-2 or nano-banana-pro
	Prompt      string   // what to draw, or how to change the input images
	ImageURLs   []string // the input images; any of them makes it an edit
	NumImages   int      // 1-4, nano-banana only; 0 means the provider's default, which is 1
	AspectRatio string   // such as 16:9
	Resolution  string   // 1K, 2K or 4K; not for nano-banana; nano-banana-pro defaults to 1K
	Watermark   string   // nano-banana only
	CallbackURL string   // where the provider reports the outcome
}

// endpoints maps each model to the path and the body of its requests; the three differ.
var endpoints = map[string]struct {
	path string
	body func(Request) any
}{
	"nano-banana":     {"/nanobanana/generate", generateBody},
	"nano-banana-2":   {"/nanobanana/generate-2", newerBody},
	"nano-banana-pro": {"/nanobanana/generate-pro", proBody},
}

// generateWire is the body of generate. The spelling of type's values is the provider's.
type generateWire struct {
	Prompt      string   `json:"prompt"`
	Type        string   `json:"type"`
	CallbackURL string   `json:"callBackUrl"`
	NumImages   int      `json:"numImages,omitempty"`
	ImageURLs   []string `json:"imageUrls,omitempty"`
	ImageSize   string   `json:"image_size,omitempty"`
	Watermark   string   `json:"watermark,omitempty"`
}

// newerWire is the body of generate-2 and generate-pro.
type newerWire struct {
	Prompt      string   `json:"prompt"`
	ImageURLs   []string `json:"imageUrls,omitempty"`
	AspectRatio string   `json:"aspectRatio,omitempty"`
	Resolution  string   `json:"resolution,omitempty"`
	CallbackURL string   `json:"callBackUrl,omitempty"`
}

func generateBody(r Request) any {
	kind := "TEXTTOIAMGE"
	if len(r.ImageURLs) > 0 {
		kind = "IMAGETOIAMGE"
	}
	return generateWire{
		Prompt: r.Prompt, Type: kind, CallbackURL: r.CallbackURL, NumImages: r.NumImages,
		ImageURLs: r.ImageURLs, ImageSize: r.AspectRatio, Watermark: r.Watermark,
	}
}

func newerBody(r Request) any {
	return newerWire{
		Prompt: r.Prompt, ImageURLs: r.ImageURLs, AspectRatio: r.AspectRatio,
		Resolution: r.Resolution, CallbackURL: r.CallbackURL,
	}
}

func proBody(r Request) any {
	if r.Resolution == "" {
		r.Resolution = "1K" // the provider refuses an empty one: "Resolution must not be blank"
	}
	return newerBody(r)
}

// encode returns the path and the body of r. An unknown model is a bug of the caller.
func (r Request) encode() (path string, body []byte, err error) {
	endpoint, ok := endpoints[r.Model]
	if !ok {
		return "", nil, &Error{Op: OpSubmit, Reason: BadRequest, NotSent: true}
	}
	if body, err = json.Marshal(endpoint.body(r)); err != nil {
		return "", nil, &Error{Op: OpSubmit, Reason: BadRequest, NotSent: true, cause: err}
	}
	return endpoint.path, body, nil
}
