package task

import "testing"

// What a row states counts. The inputs of a row without the term, of an older release, are
// judged by their form.
func TestOrigin(t *testing.T) {
	const ours, upload, link = "task:0123456789abcdefghijklmnop/1", "upload:0123456789abcdefghijklmnop", "https://example.com/a.png"
	for name, tt := range map[string]struct {
		x    Task
		want SourceType
	}{
		"words":                           {Task{SourceType: Trained}, Trained},
		"an edit of a picture from words": {Task{SourceType: Trained, Parent: "p", Request: Request{ImageURLs: []string{ours}}}, Trained},
		"an edit of an edited upload":     {Task{SourceType: Composite, Parent: "p", Request: Request{ImageURLs: []string{ours}}}, Composite},
		"an edit by two links of ours":    {Task{SourceType: Trained, Parent: "p", Request: Request{ImageURLs: []string{link, link}}}, Trained},
		"older: words":                    {Task{}, Trained},
		"older: a picture of ours":        {Task{Parent: "p", Request: Request{ImageURLs: []string{ours}}}, Trained},
		"older: pictures of ours":         {Task{Parent: "p", Request: Request{ImageURLs: []string{ours, ours}}}, Trained},
		"older: our own link":             {Task{Parent: "p", Request: Request{ImageURLs: []string{link}}}, Trained},
		"older: an upload":                {Task{Request: Request{ImageURLs: []string{upload}}}, Composite},
		"older: a link":                   {Task{Request: Request{ImageURLs: []string{link}}}, Composite},
		"older: ours and an upload":       {Task{Parent: "p", Request: Request{ImageURLs: []string{ours, upload}}}, Composite},
		"older: a link and ours":          {Task{Parent: "p", Request: Request{ImageURLs: []string{link, ours}}}, Composite},
	} {
		t.Run(name, func(t *testing.T) { equal(t, "origin", tt.x.Origin(), tt.want) })
	}
	equal(t, "URI", Composite.URI(), "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia")
}
