package submit_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/preset/nanobanana-functions/shared/task"
)

// Malformed bodies are 400, with a pointer to the fault.
func TestMalformed(t *testing.T) {
	t.Parallel()
	type fault struct{ body, pointer, code string }
	tests := map[string]fault{
		"empty":            {``, "", "required"},
		"white space":      {" \n", "", "required"},
		"null":             {`null`, "", "wrong_type"},
		"list":             {`[]`, "", "wrong_type"},
		"text":             {`"prompt"`, "", "wrong_type"},
		"two values":       {`{"prompt":"a"} {"prompt":"b"}`, "", "malformed_json"},
		"a value and a ]":  {`{"prompt":"a"}]`, "", "malformed_json"},
		"byte order mark":  {"\uFEFF" + `{"prompt":"a"}`, "", "byte_order_mark"},
		"UTF-16":           {"{\x00\"\x00p\x00", "", "malformed_json"},
		"duplicate":        {`{"prompt":"a","prompt":"b"}`, "/prompt", "duplicate_field"},
		"escaped twin":     {`{"prompt":"a","\u0070rompt":"b"}`, "/prompt", "duplicate_field"},
		"duplicate inside": {`{"prompt":"a","metadata":{"k":"1","k":"2"}}`, "/metadata/k", "duplicate_field"},
		"wrong case":       {`{"PROMPT":"a"}`, "/PROMPT", "unknown_field"},
		"case inside":      {`{"prompt":"a","target":{"Kind":"moodboard","id":"1"}}`, "/target/Kind", "unknown_field"},
		"callBackUrl":      {`{"prompt":"a","callBackUrl":"https://x.example"}`, "/callBackUrl", "unknown_field"},
		"type":             {`{"prompt":"a","type":"TEXTTOIAMGE"}`, "/type", "unknown_field"},
		"image_size":       {`{"prompt":"a","image_size":"1:1"}`, "/image_size", "unknown_field"},
		"owner":            {`{"prompt":"a","owner":"bob"}`, "/owner", "unknown_field"},
		"status":           {`{"prompt":"a","status":"succeeded"}`, "/status", "unknown_field"},
		"credits":          {`{"prompt":"a","credits":0}`, "/credits", "unknown_field"},
		"parent":           {`{"prompt":"a","parent":"x"}`, "/parent", "unknown_field"},
		"invalid UTF-8":    {"{\"prompt\":\"a\xff\"}", "/prompt", "malformed_json"},
		"NUL":              {`{"prompt":"a\u0000b"}`, "", "invalid_character"},
		"NUL in metadata":  {`{"prompt":"a","metadata":{"k":"\u0000"}}`, "", "invalid_character"},
		"NUL as it is":     {"{\"prompt\":\"a\x00\"}", "/prompt", "malformed_json"},
		"lone surrogate":   {`{"prompt":"\ud800"}`, "/prompt", "malformed_json"},
		"deep":             {strings.Repeat("[", 200_000), "", "wrong_type"},
		"deep inside":      {`{"metadata":` + strings.Repeat("[", 200_000), "", "malformed_json"},
		"cut off":          {`{"prompt":"a`, "", "malformed_json"},
		"a comma more":     {`{"prompt":"a",}`, "", "malformed_json"},
		"single quotes":    {`{'prompt':'a'}`, "", "malformed_json"},
		"NaN":              {`{"prompt":"a","numImages":NaN}`, "/numImages", "malformed_json"},
		"01 images":        {`{"prompt":"a","numImages":01}`, "/numImages", "malformed_json"},
		// null does not mean "left out": whoever sends null believes that the
		// field is set.
		"null prompt":      {`{"prompt":null}`, "/prompt", "null"},
		"null imageUrls":   {`{"prompt":"a","imageUrls":null}`, "/imageUrls", "null"},
		"null image":       {`{"prompt":"a","imageUrls":[null]}`, "/imageUrls/0", "null"},
		"null numImages":   {`{"prompt":"a","numImages":null}`, "/numImages", "null"},
		"null model":       {`{"prompt":"a","model":null}`, "/model", "null"},
		"null aspectRatio": {`{"prompt":"a","aspectRatio":null}`, "/aspectRatio", "null"},
		"null resolution":  {`{"prompt":"a","resolution":null}`, "/resolution", "null"},
		"null watermark":   {`{"prompt":"a","watermark":null}`, "/watermark", "null"},
		"null target":      {`{"prompt":"a","target":null}`, "/target", "null"},
		"null target kind": {`{"prompt":"a","target":{"kind":null,"id":"1"}}`, "/target/kind", "null"},
		"null target id":   {`{"prompt":"a","target":{"kind":"moodboard","id":null}}`, "/target/id", "null"},
		"null metadata":    {`{"prompt":"a","metadata":null}`, "/metadata", "null"},
		"null keepInputs":  {`{"prompt":"a","keepInputs":null}`, "/keepInputs", "null"},
		"dropInputs":       {`{"prompt":"a","dropInputs":true}`, "/dropInputs", "unknown_field"},
		"null in metadata": {`{"prompt":"a","metadata":{"k":null}}`, "/metadata/k", "null"},
	}
	h := newHarness(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := h.with(t).refused(400, task.CodeInvalidRequest, test.body)
			if len(p.Errors) != 1 || p.Errors[0].Pointer != test.pointer && test.code != "malformed_json" || p.Errors[0].Code != test.code {
				t.Errorf("errors: %+v, want %q at %q", p.Errors, test.code, test.pointer)
			}
		})
	}
}

// Fields of the provider's own API are refused with a hint what to use instead.
func TestFieldHints(t *testing.T) {
	h := newHarness(t)
	for field, want := range map[string]string{
		"type": "Not needed: imageUrls makes it an edit.", "callBackUrl": "Not needed: the service sets it.", "image_size": "Use aspectRatio.",
	} {
		if p := h.refused(400, task.CodeInvalidRequest, `{"prompt":"a","`+field+`":"x"}`); p.Detail != want {
			t.Errorf("%s: %s", field, p.Detail)
		}
	}
}

// A body at the limit is read, and its prompt is too long; a longer body is
// refused, with or without a Content-Length.
func TestLongestBody(t *testing.T) {
	h := newHarness(t)
	body := `{"prompt":"` + strings.Repeat("x", 256<<10-len(`{"prompt":""}`)) + `"}`
	h.refused(422, task.CodeInvalidRequest, body)
	h.refused(413, task.CodeBodyTooLarge, body+" ")
	h.unsized = true
	h.refused(422, task.CodeInvalidRequest, body)
	h.refused(413, task.CodeBodyTooLarge, body+" ")
	h.refused(413, task.CodeBodyTooLarge, strings.Repeat(" ", 4<<20))
}

// A well-formed request for something that is not available is 422 and names
// the field.
func TestNotAvailable(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ body, pointer string }{
		"no prompt":              {`{}`, "/prompt"},
		"empty prompt":           {`{"prompt":""}`, "/prompt"},
		"blank prompt":           {`{"prompt":" \t\n\u00a0"}`, "/prompt"},
		"zero-width prompt":      {`{"prompt":"\u200b\u200d\ufeff"}`, "/prompt"},
		"one rune over":          {fmt.Sprintf(`{"prompt":%q}`, strings.Repeat("é", 5001)), "/prompt"},
		"one rune over, 2":       {fmt.Sprintf(`{"prompt":%q,"model":"nano-banana-2"}`, strings.Repeat("é", 20001)), "/prompt"},
		"one rune over, pro":     {fmt.Sprintf(`{"prompt":%q,"model":"nano-banana-pro"}`, strings.Repeat("é", 5001)), "/prompt"},
		"prompt as list":         {`{"prompt":["a"]}`, "/prompt"},
		"no images":              {`{"prompt":"a","numImages":0}`, "/numImages"},
		"five images":            {`{"prompt":"a","numImages":5}`, "/numImages"},
		"minus one image":        {`{"prompt":"a","numImages":-1}`, "/numImages"},
		"half an image":          {`{"prompt":"a","numImages":1.5}`, "/numImages"},
		"1.0 images":             {`{"prompt":"a","numImages":1.0}`, "/numImages"},
		"1e0 images":             {`{"prompt":"a","numImages":1e0}`, "/numImages"},
		"1e30 images":            {`{"prompt":"a","numImages":1e30}`, "/numImages"},
		"2^64 + 1 images":        {`{"prompt":"a","numImages":18446744073709551617}`, "/numImages"},
		"images as text":         {`{"prompt":"a","numImages":"1"}`, "/numImages"},
		"images as true":         {`{"prompt":"a","numImages":true}`, "/numImages"},
		"two images of 2":        {`{"prompt":"a","numImages":2,"model":"nano-banana-2"}`, "/numImages"},
		"two images of pro":      {`{"prompt":"a","numImages":2,"model":"nano-banana-pro"}`, "/numImages"},
		"unknown model":          {`{"prompt":"a","model":"nano-banana-3"}`, "/model"},
		"model in capitals":      {`{"prompt":"a","model":"Nano-Banana"}`, "/model"},
		"resolution it lacks":    {`{"prompt":"a","resolution":"2K"}`, "/resolution"},
		"unknown resolution":     {`{"prompt":"a","model":"nano-banana-pro","resolution":"8K"}`, "/resolution"},
		"resolution as number":   {`{"prompt":"a","model":"nano-banana-pro","resolution":2}`, "/resolution"},
		"watermark it lacks":     {`{"prompt":"a","model":"nano-banana-pro","watermark":"x"}`, "/watermark"},
		"watermark too long":     {fmt.Sprintf(`{"prompt":"a","watermark":%q}`, strings.Repeat("é", 101)), "/watermark"},
		"blank watermark":        {`{"prompt":"a","watermark":" "}`, "/watermark"},
		"watermark of two lines": {`{"prompt":"a","watermark":"Preset\n2026"}`, "/watermark"},
		"watermark with a bell":  {`{"prompt":"a","watermark":"Preset\u0007"}`, "/watermark"},
		"unknown ratio":          {`{"prompt":"a","aspectRatio":"7:5"}`, "/aspectRatio"},
		"ratio of another model": {`{"prompt":"a","aspectRatio":"8:1"}`, "/aspectRatio"},
		"auto of nano-banana":    {`{"prompt":"a","aspectRatio":"auto"}`, "/aspectRatio"},
		"eleven images":          {`{"prompt":"a","imageUrls":[` + links(11) + `]}`, "/imageUrls"},
		"fifteen images for 2":   {`{"prompt":"a","model":"nano-banana-2","imageUrls":[` + links(15) + `]}`, "/imageUrls"},
		"nine images for pro":    {`{"prompt":"a","model":"nano-banana-pro","imageUrls":[` + links(9) + `]}`, "/imageUrls"},
		"one link as text":       {`{"prompt":"a","imageUrls":"https://example.com/a.png"}`, "/imageUrls"},
		"a link as object":       {`{"prompt":"a","imageUrls":[{"url":"https://example.com/a.png"}]}`, "/imageUrls/0"},
		"target without id":      {`{"prompt":"a","target":{"kind":"moodboard"}}`, "/target/id"},
		"target in capitals":     {`{"prompt":"a","target":{"kind":"Moodboard","id":"1"}}`, "/target/kind"},
		"target with a space":    {`{"prompt":"a","target":{"kind":"moodboard","id":"a b"}}`, "/target/id"},
		"target too long":        {fmt.Sprintf(`{"prompt":"a","target":{"kind":"moodboard","id":%q}}`, strings.Repeat("x", 129)), "/target/id"},
		"target of zero width":   {`{"prompt":"a","target":{"kind":"moodboard","id":"\u200b"}}`, "/target/id"},
		"target id as number":    {`{"prompt":"a","target":{"kind":"moodboard","id":42}}`, "/target/id"},
		"target as text":         {`{"prompt":"a","target":"moodboard:42"}`, "/target"},
		"metadata key":           {`{"prompt":"a","metadata":{"Key":"v"}}`, "/metadata"},
		"metadata key too long":  {fmt.Sprintf(`{"prompt":"a","metadata":{%q:"v"}}`, strings.Repeat("k", 41)), "/metadata"},
		"metadata value":         {fmt.Sprintf(`{"prompt":"a","metadata":{"k":%q}}`, strings.Repeat("x", 501)), "/metadata/k"},
		"metadata number":        {`{"prompt":"a","metadata":{"k":1}}`, "/metadata/k"},
		"metadata as list":       {`{"prompt":"a","metadata":[]}`, "/metadata"},
		"seventeen keys":         {`{"prompt":"a","metadata":{` + keys(17) + `}}`, "/metadata"},
	}
	h := newHarness(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := h.with(t).refused(422, task.CodeInvalidRequest, test.body)
			if len(p.Errors) != 1 || p.Errors[0].Pointer != test.pointer || p.Errors[0].Message == "" {
				t.Errorf("errors: %+v, want one at %s", p.Errors, test.pointer)
			}
		})
	}
}

func links(n int) string {
	var links []string
	for i := range n {
		links = append(links, fmt.Sprintf(`"https://example.com/%d.png"`, i))
	}
	return strings.Join(links, ",")
}

func keys(n int) string {
	var pairs []string
	for i := range n {
		pairs = append(pairs, fmt.Sprintf(`"k%d":"v"`, i))
	}
	return strings.Join(pairs, ",")
}

// All faults of a request are reported together.
func TestAllFaultsReported(t *testing.T) {
	h := newHarness(t)
	p := h.refused(422, task.CodeInvalidRequest, `{"prompt":"","numImages":9,"aspectRatio":"7:5","target":{}}`)
	var pointers []string
	for _, e := range p.Errors {
		pointers = append(pointers, e.Pointer)
		if !strings.Contains(p.Detail, e.Message) {
			t.Errorf("the detail lacks %q: %s", e.Message, p.Detail)
		}
	}
	if got := strings.Join(pointers, " "); got != "/aspectRatio /numImages /prompt /target/id /target/kind" {
		t.Errorf("errors at %s", got)
	}
}

// The limits themselves are allowed.
func TestAtTheLimits(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.Sim.SetBalance(1e6)
	for name, body := range map[string]string{
		"prompt":      fmt.Sprintf(`{"prompt":%q}`, strings.Repeat("é", 5000)),
		"prompt 2":    fmt.Sprintf(`{"prompt":%q,"model":"nano-banana-2"}`, strings.Repeat("é", 20000)),
		"four images": `{"prompt":"a","numImages":4}`,
		"one of 2":    `{"prompt":"a","numImages":1,"model":"nano-banana-2","resolution":"4K","aspectRatio":"auto"}`,
		"one of pro":  `{"prompt":"a","numImages":1,"model":"nano-banana-pro","aspectRatio":"21:9"}`,
		"inputs":      `{"prompt":"a","imageUrls":[` + links(10) + `]}`,
		"inputs 2":    `{"prompt":"a","model":"nano-banana-2","imageUrls":[` + links(14) + `]}`,
		"inputs pro":  `{"prompt":"a","model":"nano-banana-pro","imageUrls":[` + links(8) + `]}`,
		"watermark":   fmt.Sprintf(`{"prompt":"a","watermark":%q}`, strings.Repeat("é", 100)),
		"metadata":    `{"prompt":"a","metadata":{` + keys(16) + `}}`,
		"note":        fmt.Sprintf(`{"prompt":"a","metadata":{%q:%q}}`, strings.Repeat("k", 40), strings.Repeat("é", 500)),
		"target":      fmt.Sprintf(`{"prompt":"a","target":{"kind":%q,"id":%q}}`, strings.Repeat("a", 32), strings.Repeat("é", 128)),
	} {
		t.Run(name, func(t *testing.T) { h.with(t).accepted(body) })
	}
}

// An empty list, object or text of an option is the same as none: the same
// task, and the same order at the provider.
func TestEmptyIsNone(t *testing.T) {
	h := newHarness(t)
	want := h.accepted(`{"prompt":"a"}`, "Idempotency-Key", "k")
	ordered := h.Sim.Tasks()[0].Params
	delete(ordered, "callBackUrl")
	for _, field := range []string{
		`"imageUrls":[]`, `"metadata":{}`, `"model":""`, `"aspectRatio":""`, `"resolution":""`, `"watermark":""`, `"numImages":1`, `"model":"nano-banana"`,
	} {
		n := len(h.Sim.Tasks())
		body := `{"prompt":" a ",` + field + `}`
		if got := h.accepted(body, "Idempotency-Key", "k"); got.ID != want.ID {
			t.Errorf("%s is another task", field)
		}
		if got := h.accepted(body); len(got.ImageURLs) != 0 || len(h.Sim.Tasks()) != n+1 {
			t.Fatalf("%s: %+v", field, got)
		}
		params := h.Sim.Tasks()[n].Params
		delete(params, "callBackUrl")
		if !maps.EqualFunc(params, ordered, func(a, b any) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) || params["type"] != "TEXTTOIAMGE" {
			t.Errorf("%s: ordered %v, want %v", field, params, ordered)
		}
	}
}

// A body that breaks off is refused, even if the part that arrived is valid
// JSON.
func TestBodyBreaksOff(t *testing.T) {
	h := newHarness(t)
	for _, read := range []string{"", `{"prompt":`, `{"prompt":"a"}`} {
		body := io.MultiReader(strings.NewReader(read), iotest.ErrReader(errors.New("gone")))
		got := h.contract.Serve(t, h.handler, h.request(http.MethodPost, body))
		if got.Status != http.StatusBadRequest || !strings.Contains(got.Body, "incomplete_body") || h.countRows() != 0 || h.Sim.Posts() != 0 {
			t.Errorf("%q: %d %s", read, got.Status, got.Body)
		}
	}
}
