package task

import "slices"

// Model is one of the provider's models and the options it has.
type Model struct {
	ID           string
	Title        string
	AspectRatios []string
	// Resolutions is empty if the model has no such option. Otherwise the first
	// one is the default.
	Resolutions    []string
	MaxImages      int // images of one task
	MaxInputs      int // input images of one edit
	MaxPrompt      int // characters
	Watermark      bool
	TypicalSeconds int // what a picture usually takes; used until there are timings
}

// DefaultModel is the model of a request that names none.
const DefaultModel = "nano-banana"

var models = []Model{
	{
		ID: DefaultModel, Title: "NanoBanana",
		AspectRatios: []string{"1:1", "9:16", "16:9", "3:4", "4:3", "3:2", "2:3", "5:4", "4:5", "21:9"},
		MaxImages:    4, MaxInputs: 10, MaxPrompt: 5000, Watermark: true, TypicalSeconds: 20,
	},
	{
		ID: "nano-banana-2", Title: "NanoBanana 2",
		AspectRatios: []string{"1:1", "1:4", "1:8", "2:3", "3:2", "3:4", "4:1", "4:3", "4:5", "5:4", "8:1", "9:16", "16:9", "21:9", "auto"},
		Resolutions:  []string{"1K", "2K", "4K"},
		MaxImages:    1, MaxInputs: 14, MaxPrompt: 20000, TypicalSeconds: 40,
	},
	{
		ID: "nano-banana-pro", Title: "NanoBanana Pro",
		AspectRatios: []string{"1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9", "auto"},
		Resolutions:  []string{"1K", "2K", "4K"},
		MaxImages:    1, MaxInputs: 8, MaxPrompt: 5000, TypicalSeconds: 90,
	},
}

// Models returns all models, the default first.
func Models() []Model { return slices.Clone(models) }

// ModelByID returns the model with this id.
func ModelByID(id string) (Model, bool) {
	i := slices.IndexFunc(models, func(m Model) bool { return m.ID == id })
	if i < 0 {
		return Model{}, false
	}
	return models[i], true
}
