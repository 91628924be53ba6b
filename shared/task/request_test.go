package task

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// request returns a valid request for one picture, after edit.
func request(edit func(*Request)) *Request {
	r := &Request{Prompt: "a cat", NumImages: 1}
	if edit != nil {
		edit(r)
	}
	r.Normalize()
	return r
}

// found returns the faults of r as "pointer code".
func found(r *Request) []string {
	var all []string
	for _, f := range r.Faults() {
		all = append(all, f.Pointer+" "+f.Code)
		if f.Message == "" {
			all = append(all, f.Pointer+" has no message")
		}
	}
	return all
}

func TestNormalize(t *testing.T) {
	for name, c := range map[string]struct{ in, want Request }{
		"the default model has no resolution": {Request{}, Request{Model: "nano-banana"}},
		"nano-banana-2 defaults to 1K":        {Request{Model: "nano-banana-2"}, Request{Model: "nano-banana-2", Resolution: "1K"}},
		"nano-banana-pro defaults to 1K":      {Request{Model: "nano-banana-pro"}, Request{Model: "nano-banana-pro", Resolution: "1K"}},
		"a given resolution stays":            {Request{Model: "nano-banana-pro", Resolution: "4K"}, Request{Model: "nano-banana-pro", Resolution: "4K"}},
		"an unknown model stays":              {Request{Model: "dall-e"}, Request{Model: "dall-e"}},
		"the prompt is trimmed":               {Request{Prompt: " \t\r\n a\n b \u00a0\u2003\n"}, Request{Prompt: "a\n b", Model: "nano-banana"}},
		"everything else stays as given": {Request{AspectRatio: " 1:1", Watermark: " w ", ImageURLs: []string{" x "}},
			Request{Model: "nano-banana", AspectRatio: " 1:1", Watermark: " w ", ImageURLs: []string{" x "}}},
	} {
		c.in.Normalize()
		equal(t, name, c.in, c.want)
		again := c.in
		again.Normalize()
		equal(t, name+", twice", again, c.in)
	}
}

func links(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("https://example.com/%d.png", i)
	}
	return all
}

// Limits count characters, not bytes.
func TestLimitsOfEachModel(t *testing.T) {
	for _, m := range []struct {
		model                  string
		prompt, inputs, images int
	}{
		{"nano-banana", 5000, 10, 4},
		{"nano-banana-2", 20000, 14, 1},
		{"nano-banana-pro", 5000, 8, 1},
	} {
		for _, char := range []string{"x", "é", "🐈"} {
			for n, want := range map[int][]string{1: nil, m.prompt: nil, m.prompt + 1: {"/prompt too_long"}} {
				r := request(func(r *Request) { r.Model, r.Prompt = m.model, " "+strings.Repeat(char, n)+"\n" })
				equal(t, fmt.Sprintf("%s with %d %q", m.model, n, char), found(r), want)
			}
		}
		for n, want := range map[int][]string{0: nil, m.inputs: nil, m.inputs + 1: {"/imageUrls too_many"}} {
			r := request(func(r *Request) { r.Model, r.ImageURLs = m.model, links(n) })
			equal(t, fmt.Sprintf("%s with %d input images", m.model, n), found(r), want)
		}
		bad := []string{"/numImages out_of_range"}
		for n, want := range map[int][]string{-1: bad, 0: bad, 1: nil, m.images: nil, m.images + 1: bad, 1e9: bad} {
			r := request(func(r *Request) { r.Model, r.NumImages = m.model, n })
			equal(t, fmt.Sprintf("%s with %d images", m.model, n), found(r), want)
		}
	}
}

func TestOptionsThatAModelLacksAreFaults(t *testing.T) {
	for _, c := range []struct {
		model, option, value string
		ok                   bool
	}{
		{"nano-banana", "aspectRatio", "21:9", true},
		{"nano-banana", "aspectRatio", "auto", false},
		{"nano-banana", "aspectRatio", "1:8", false},
		{"nano-banana", "aspectRatio", "7:3", false},
		{"nano-banana", "aspectRatio", "1:1 ", false},
		{"nano-banana", "resolution", "1K", false},
		{"nano-banana", "watermark", "Preset", true},
		{"nano-banana-2", "aspectRatio", "auto", true},
		{"nano-banana-2", "aspectRatio", "1:8", true},
		{"nano-banana-2", "resolution", "4K", true},
		{"nano-banana-2", "resolution", "4k", false},
		{"nano-banana-2", "resolution", "8K", false},
		{"nano-banana-2", "watermark", "Preset", false},
		{"nano-banana-pro", "aspectRatio", "auto", true},
		{"nano-banana-pro", "aspectRatio", "1:4", false},
		{"nano-banana-pro", "resolution", "2K", true},
		{"nano-banana-pro", "watermark", "Preset", false},
	} {
		r := request(func(r *Request) {
			r.Model = c.model
			switch c.option {
			case "aspectRatio":
				r.AspectRatio = c.value
			case "resolution":
				r.Resolution = c.value
			case "watermark":
				r.Watermark = c.value
			}
		})
		var want []string
		if !c.ok {
			want = []string{"/" + c.option + " not_available"}
		}
		equal(t, c.model+" "+c.option+" "+c.value, found(r), want)
	}
}

func TestPromptsThatShowNothing(t *testing.T) {
	for _, p := range []string{
		"", " ", "\t\r\n", "\u00a0\u2003\u3000", "\u200b", "\u200b\u200c\u200d\u2060\ufeff", "\u00ad", "\u202e\u202c",
		"\u0301", "\x01\x7f", "\u3164\u115f\uffa0", "\U000e0041", "\ufe0f",
	} {
		r := request(func(r *Request) { r.Prompt = p })
		equal(t, fmt.Sprintf("%q", p), found(r), []string{"/prompt required"})
	}
	for _, p := range []string{
		"x", "🐈", "e\u0301", "\u200bx", "猫", "?", "line\r\nlevel=ERROR fake", "</script>", "\u202egnp.exe", strings.Repeat("😀", 5000),
	} {
		equal(t, fmt.Sprintf("%.20q", p), found(request(func(r *Request) { r.Prompt = p })), nil)
	}
}

func TestFaultsOfOtherFields(t *testing.T) {
	long := func(n int) string {
		return "https://example.com/" + strings.Repeat("é", n-len("https://example.com/"))
	}
	metadata := func(n int) map[string]string {
		m := map[string]string{}
		for i := range n {
			m[fmt.Sprintf("k%d", i)] = "v"
		}
		return m
	}
	for name, c := range map[string]struct {
		edit func(*Request)
		want []string
	}{
		"watermark, the longest": {func(r *Request) { r.Watermark = strings.Repeat("é", 100) }, nil},
		"watermark, one over":    {func(r *Request) { r.Watermark = strings.Repeat("e", 101) }, []string{"/watermark out_of_range"}},
		"watermark, blank":       {func(r *Request) { r.Watermark = " \u200b" }, []string{"/watermark out_of_range"}},
		"link, the longest":      {func(r *Request) { r.ImageURLs = []string{long(2048)} }, nil},
		"link, one over":         {func(r *Request) { r.ImageURLs = []string{"a", long(2049)} }, []string{"/imageUrls/1 too_long"}},
		"link, twice":            {func(r *Request) { r.ImageURLs = []string{"a", "b", "a", "a"} }, []string{"/imageUrls/2 duplicate", "/imageUrls/3 duplicate"}},
		"links, thousands": {func(r *Request) { r.ImageURLs = slices.Repeat([]string{"data:,"}, 9999) }, []string{
			"/imageUrls too_many", "/imageUrls/0 upload_first", "/imageUrls/1 upload_first", "/imageUrls/2 upload_first", "/imageUrls/3 upload_first", "/imageUrls/4 upload_first",
			"/imageUrls/5 upload_first", "/imageUrls/6 upload_first", "/imageUrls/7 upload_first", "/imageUrls/8 upload_first", "/imageUrls/9 upload_first",
		}},
		"links, none":              {func(r *Request) { r.ImageURLs = []string{} }, nil},
		"target":                   {func(r *Request) { r.Target = &Target{"moodboard", "42"} }, nil},
		"target without kind":      {func(r *Request) { r.Target = &Target{"", "42"} }, []string{"/target/kind invalid"}},
		"target, wrong throughout": {func(r *Request) { r.Target = &Target{"Mood", " "} }, []string{"/target/id invalid", "/target/kind invalid"}},
		"metadata, 16 keys":        {func(r *Request) { r.Metadata = metadata(16) }, nil},
		"metadata, 17 keys":        {func(r *Request) { r.Metadata = metadata(17) }, []string{"/metadata too_many"}},
		"metadata, no text":        {func(r *Request) { r.Metadata = map[string]string{"a": ""} }, nil},
		"metadata, longest": {func(r *Request) {
			r.Metadata = map[string]string{"a" + strings.Repeat("B", 39): strings.Repeat("é", 500)}
		}, nil},
		"metadata, long key":     {func(r *Request) { r.Metadata = map[string]string{"a" + strings.Repeat("B", 40): ""} }, []string{"/metadata invalid"}},
		"metadata, long text":    {func(r *Request) { r.Metadata = map[string]string{"a": strings.Repeat("e", 501)} }, []string{"/metadata/a too_long"}},
		"metadata, bad keys":     {func(r *Request) { r.Metadata = map[string]string{"A": "", "~/x": "", "a\n": ""} }, []string{"/metadata invalid", "/metadata invalid", "/metadata invalid"}},
		"model":                  {func(r *Request) { r.Model = "dall-e" }, []string{"/model unknown"}},
		"model, in another case": {func(r *Request) { r.Model = "Nano-Banana" }, []string{"/model unknown"}},
		"everything at once": {func(r *Request) {
			*r = Request{Model: "x", NumImages: 5, AspectRatio: "x", Resolution: "2K", Watermark: "w", Metadata: map[string]string{"a": strings.Repeat("x", 501)}}
		}, []string{"/aspectRatio not_available", "/metadata/a too_long", "/model unknown", "/numImages out_of_range", "/prompt required"}},
	} {
		equal(t, name, found(request(c.edit)), c.want)
	}
}

// Faults never repeat the input, except valid key names.
func TestFaultsEchoNothing(t *testing.T) {
	const secret = "s3cret"
	r := request(func(r *Request) {
		r.Model, r.AspectRatio, r.Resolution, r.Watermark = secret, secret, secret, strings.Repeat(secret, 50)
		r.ImageURLs = []string{strings.Repeat(secret, 500), secret, secret}
		r.Target = &Target{"S3cret" + secret, secret + " "}
		r.Metadata = map[string]string{"!" + secret: secret}
	})
	for _, f := range r.Faults() {
		if strings.Contains(f.Pointer+f.Code+f.Message, secret) {
			t.Errorf("fault %+v echoes the input", f)
		}
	}
}

func TestFingerprint(t *testing.T) {
	full := func(r *Request) {
		*r = Request{
			Prompt: "a cat", ImageURLs: []string{"a", "b"}, NumImages: 1, Model: "nano-banana-2", AspectRatio: "1:1",
			Resolution: "1K", Target: &Target{"moodboard", "1"}, Metadata: map[string]string{"a": "1", "b": "2"},
		}
	}
	base := request(full).Fingerprint()
	edited := func(edit func(*Request)) string {
		return request(func(r *Request) { full(r); edit(r) }).Fingerprint()
	}
	for name, edit := range map[string]func(*Request){
		"nothing":                 func(*Request) {},
		"surrounding white space": func(r *Request) { r.Prompt = "\n a cat " },
		"default resolution":      func(r *Request) { r.Resolution = "" },
		"order of metadata":       func(r *Request) { r.Metadata = map[string]string{"b": "2", "a": "1"} },
		"another equal target":    func(r *Request) { r.Target = &Target{"moodboard", "1"} },
	} {
		equal(t, "same fingerprint after "+name, edited(edit), base)
	}
	seen := map[string]string{base: "nothing"}
	for name, edit := range map[string]func(*Request){
		"prompt":         func(r *Request) { r.Prompt = "a Cat" },
		"image order":    func(r *Request) { r.ImageURLs = []string{"b", "a"} },
		"image joined":   func(r *Request) { r.ImageURLs = []string{"a\",\"b"} },
		"no images":      func(r *Request) { r.ImageURLs = nil },
		"numImages":      func(r *Request) { r.NumImages = 2 },
		"model":          func(r *Request) { r.Model = "nano-banana-pro" },
		"aspectRatio":    func(r *Request) { r.AspectRatio = "16:9" },
		"no aspectRatio": func(r *Request) { r.AspectRatio = "" },
		"resolution":     func(r *Request) { r.Resolution = "2K" },
		"watermark":      func(r *Request) { r.Watermark = "w" },
		"target kind":    func(r *Request) { r.Target.Kind = "showcase" },
		"target id":      func(r *Request) { r.Target.ID = "2" },
		"no target":      func(r *Request) { r.Target = nil },
		"metadata value": func(r *Request) { r.Metadata["a"] = "2" },
		"metadata key":   func(r *Request) { r.Metadata = map[string]string{"a": "1", "c": "2"} },
		"keepInputs":     func(r *Request) { r.DropInputs = true },
	} {
		sum := edited(edit)
		if other, ok := seen[sum]; ok {
			t.Errorf("%s and %s: the fingerprint is the same", name, other)
		}
		seen[sum] = name
	}
	equal(t, "default model", request(func(r *Request) { r.Model = DefaultModel }).Fingerprint(), request(nil).Fingerprint())
	equal(t, "empty lists", request(func(r *Request) { r.ImageURLs, r.Metadata = []string{}, map[string]string{} }).Fingerprint(), request(nil).Fingerprint())
}

// Older tasks keep the fingerprint that their release made of the same order.
func TestFingerprintOfAnOlderRelease(t *testing.T) {
	const stored = `{"prompt":"a cat","imageUrls":["upload:0123456789abcdefghijklmnop"],"numImages":1,"model":"nano-banana"}`
	r := request(func(r *Request) { r.ImageURLs = []string{"upload:0123456789abcdefghijklmnop"} })
	equal(t, "fingerprint", r.Fingerprint(), fmt.Sprintf("%x", sha256.Sum256([]byte(stored))))
}

func TestInputsToKeep(t *testing.T) {
	const one, two = "0123456789abcdefghijklmnop", "1123456789abcdefghijklmnop"
	r := request(func(r *Request) {
		r.ImageURLs = []string{"upload:" + one, "https://example.com/upload:" + one, "task:" + one + "/1", "upload:", "upload:" + two}
	})
	equal(t, "inputs to keep", r.InputsToKeep(), []Upload{{1, one}, {5, two}})
	r.DropInputs = true
	equal(t, "inputs to keep", r.InputsToKeep(), nil)
}

func TestParseTarget(t *testing.T) {
	for _, s := range []string{"moodboard:42", "showcase:a:b", "x:" + strings.Repeat("é", 128), "a" + strings.Repeat("-", 31) + ":1", "a0-:🐈"} {
		got, ok := ParseTarget(s)
		if !ok || got.String() != s {
			t.Errorf("ParseTarget(%.40q) = %q, %v", s, got, ok)
		}
	}
	for _, s := range []string{
		"", ":", "moodboard", "moodboard:", ":42", "Moodboard:42", "4x:42", "mood_board:1", " moodboard:1", "moodboard :1",
		"moodboard\n:1", "a" + strings.Repeat("b", 32) + ":1", "x:" + strings.Repeat("e", 129), "x:a b", "x:a\nb", "x:\x00", "x:\u200b", "x:\u00a0", "x:\xff",
	} {
		if got, ok := ParseTarget(s); ok {
			t.Errorf("ParseTarget(%.40q) = %q, true; want false", s, got)
		}
	}
}

const someID = "0123456789abcdefghijklmnop"

func TestParseSource(t *testing.T) {
	for entry, want := range map[string]Source{
		"task:" + someID + "/1":      {TaskID: someID, N: 1},
		"task:" + someID + "/14":     {TaskID: someID, N: 14},
		"upload:" + someID:           {UploadID: someID},
		"https://example.com/a.png":  {Link: "https://example.com/a.png"},
		"TASK:" + someID + "/1":      {Link: "TASK:" + someID + "/1"}, // not a link either, but that is checked elsewhere
		"data:image/png;base64,AAAA": {Link: "data:image/png;base64,AAAA"},
		"":                           {},
	} {
		got, ok := ParseSource(entry)
		if !ok || got != want {
			t.Errorf("ParseSource(%q) = %+v, %v; want %+v, true", entry, got, ok, want)
		}
	}
	for _, entry := range []string{
		"task:", "task:" + someID, "task:" + someID + "/", "task:" + someID + "/0", "task:" + someID + "/01", "task:" + someID + "/-1",
		"task:" + someID + "/100", "task:" + someID + "/1/2", "task:" + someID + "/1\n", "task:" + someID + "/1 ", "task:" + someID + "/１",
		"task: " + someID + "/1", "task:" + someID[1:] + "/1", "task:" + someID + "a/1", "task:" + strings.ToUpper(someID) + "/1", "task:../../x/1",
		"upload:", "upload:../../QUOTA#bob", "upload:" + someID + "/1", "upload:" + someID[1:], "upload:" + strings.Repeat("a", 10_000),
	} {
		if got, ok := ParseSource(entry); ok {
			t.Errorf("ParseSource(%.60q) = %+v, true; want false", entry, got)
		}
	}
}

func FuzzSource(f *testing.F) {
	for _, seed := range []string{"", "task:", "task:" + someID + "/1", "upload:" + someID, "https://example.com", "upload:../x", "task:\xff/1", "task:" + someID + "/99"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, entry string) {
		s, ok := ParseSource(entry)
		back := s.Link
		switch {
		case !ok:
			if !strings.HasPrefix(entry, "task:") && !strings.HasPrefix(entry, "upload:") {
				t.Errorf("ParseSource(%q) refused a link", entry)
			}
			return
		case s.TaskID != "":
			back = fmt.Sprintf("task:%s/%d", s.TaskID, s.N)
		case s.UploadID != "":
			back = "upload:" + s.UploadID
		}
		if back != entry {
			t.Errorf("ParseSource(%q) = %+v, which is %q", entry, s, back)
		}
		if s.TaskID != "" && !ValidID(s.TaskID) || s.UploadID != "" && !ValidID(s.UploadID) {
			t.Errorf("ParseSource(%q) = %+v, with an invalid id", entry, s)
		}
	})
}

func TestModels(t *testing.T) {
	all := Models()
	equal(t, "default", all[0].ID, DefaultModel)
	all[0].ID = "changed"
	equal(t, "default after the list was changed", Models()[0].ID, DefaultModel)
	for _, m := range Models() {
		got, ok := ModelByID(m.ID)
		equal(t, m.ID, got, m)
		equal(t, m.ID+" found", ok, true)
		if m.Title == "" || m.TypicalSeconds < 1 || !slices.Contains(m.AspectRatios, "1:1") {
			t.Errorf("model %+v is not complete", m)
		}
	}
	_, ok := ModelByID("")
	equal(t, "no model found", ok, false)
}

// A watermark is drawn, so it must be one line of text. Joined emoji, combining marks and
// text from right to left are text.
func TestWatermarksAreOneLine(t *testing.T) {
	for name, mark := range map[string]string{
		"NUL": "a\x00b", "bell": "a\ab", "escape sequence": "a\x1b[31mb", "tab": "a\tb", "line feed": "a\nb", "carriage return": "a\rb",
		"at the end": "a\n", "at the start": "\va", "delete": "a\x7f", "next line (C1)": "a\u0085b", "last of C1": "a\u009fb",
		"line separator": "a\u2028b", "paragraph separator": "a\u2029b",
	} {
		r := request(func(r *Request) { r.Watermark = mark })
		equal(t, name, found(r), []string{"/watermark invalid"})
	}
	for name, mark := range map[string]string{
		"words": "© Preset 2026", "no-break space": "a\u00a0b", "joined emoji": "👩\u200d🎨", "combining mark": "e\u0301", "Hebrew": "\u200fשלום\u200e 1",
	} {
		equal(t, name, found(request(func(r *Request) { r.Watermark = mark })), nil)
	}
	over := request(func(r *Request) { r.Watermark = strings.Repeat("\n", 101) })
	equal(t, "too long, with control characters", found(over), []string{"/watermark out_of_range"})
}
