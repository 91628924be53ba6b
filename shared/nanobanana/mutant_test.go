package nanobanana_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

var (
	mutants    = flag.Int("mutants", 500, "how many mutants of the documented records are read")
	mutantSeed = flag.Uint64("mutantseed", 0, "the seed of the mutants; 0 takes one at random")
)

const mutantOrigin = "https://api.example" // as DecodeRecord has it

// object is a JSON object.
type object = map[string]any

// mutant is a record in an undocumented shape that still contains its pictures' links.
type mutant struct {
	dice   *rand.Rand
	body   object   // the envelope
	data   object   // the record within, as long as it is an object of its own
	want   []string // the links, as a client has to fetch them
	traps  []string // links that are no results
	steps  []string // what was done
	folded bool     // data is no object of its own any more
}

// TestMutants changes the documented records in the ways of docs/decisions/reading-the-world.md (W1),
// at random and several at once. Record must find the links, or else return an answer that is logged.
func TestMutants(t *testing.T) {
	seed := *mutantSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	found := 0
	for i := range *mutants {
		m := newMutant(rand.New(rand.NewPCG(seed, uint64(i))))
		body, err := json.Marshal(m.body)
		if err != nil {
			t.Fatal(err)
		}
		r, isRecord := nanobanana.DecodeRecord(body)
		got := r.URLs
		if len(got) == 0 {
			got = r.Guesses
		}
		for _, trap := range m.traps {
			if slices.Contains(r.URLs, trap) || slices.Contains(r.Guesses, trap) {
				t.Errorf("mutant %d takes %s for a result\n%s\n%v", i, trap, body, m.steps)
			}
		}
		silent := isRecord && (r.State == nanobanana.Running || r.State == nanobanana.Failed)
		if silent {
			t.Errorf("mutant %d is %s\n%s\n%v", i, r.State, body, m.steps)
		}
		slices.Sort(m.want)
		if slices.Sort(got); slices.Equal(got, m.want) {
			found++
		} else if isRecord && r.State == nanobanana.Succeeded && len(got) > 0 {
			t.Logf("mutant %d: got %q, want %q\n%s\n%v", i, got, m.want, body, m.steps)
		} else {
			t.Logf("mutant %d is unreadable: %s\n%v", i, body, m.steps)
		}
	}
	rate := float64(found) / float64(*mutants)
	t.Logf("-mutants=%d -mutantseed=%d: the links of %d are found, %.2f %%", *mutants, seed, found, 100*rate)
	if rate < 0.995 {
		t.Error("fewer than 99.5 %")
	}
}

func (m *mutant) pick(words ...string) string { return words[m.dice.IntN(len(words))] }

func (m *mutant) chance(n int) bool { return m.dice.IntN(n) == 0 }

func (m *mutant) note(format string, args ...any) {
	m.steps = append(m.steps, fmt.Sprintf(format, args...))
}

// newMutant returns a mutant of one of the documented records.
func newMutant(dice *rand.Rand) *mutant {
	m := &mutant{dice: dice}
	if err := json.Unmarshal(nanobananatest.Golden(m.pick("record-success", "callback-newer")), &m.body); err != nil {
		panic(err)
	}
	m.data = m.body["data"].(object)
	m.addRequestLinks()
	m.state()
	m.links()
	for range dice.IntN(4) {
		m.shape()
	}
	if m.chance(8) {
		m.wrap()
	}
	if m.chance(3) {
		m.body = m.rename(m.body).(object)
		m.note("respelled")
	}
	return m
}

// addRequestLinks adds the request's own links, and others that are not results.
func (m *mutant) addRequestLinks() {
	inputs := []string{"https://in.example/1.png", "https://in.example/2.png?sig=a"}
	callback := "https://preset.example/v1/callbacks/t1/1/k1.abc"
	m.traps = append(inputs, callback, "https://in.example/2.png?sig=b", "https://bfl.com/image/original.jpg")
	params := object{"prompt": "like https://in.example/1.png", "imageUrls": inputs, "callBackUrl": callback}
	text, _ := json.Marshal(params)
	switch m.dice.IntN(6) {
	case 0:
		m.data["paramJson"] = params
		m.note("params as an object")
	case 1:
		delete(m.data, "paramJson")
		m.data["param"] = object{"input": params}
		m.note("params nested")
	case 2:
		delete(m.data, "paramJson")
		maps.Copy(m.data, params)
		m.note("params flat")
	default:
		m.data["paramJson"] = string(text)
	}
	for range m.dice.IntN(3) {
		name := m.pick("thumbUrl", "previewImageUrl", "cover", "helpUrl", "docLink", "userAvatarUrl", "maskUrl", "source_image",
			"input_image", "referenceImages", "originImageUrl", "webhookUrl", "callback_url")
		link := "https://trap.example/" + strings.ToLower(name) + ".png"
		m.data[name] = link
		m.traps = append(m.traps, link)
		m.note("with %s", name)
	}
	if m.chance(4) { // what was sent comes back under a name like a result's
		m.data["image"] = "https://in.example/2.png?sig=b"
		m.note("an input as image")
	}
}

// state writes the success in another way, or not at all.
func (m *mutant) state() {
	flag := []any{1, 1, "1", true, 1.0, "SUCCESS", " 1 ", "true"}[m.dice.IntN(8)]
	switch m.dice.IntN(5) {
	case 0:
		delete(m.data, "successFlag")
		m.data[m.pick("state", "status")] = m.pick("success", "SUCCEEDED", "completed", "Done", "finished")
		m.note("a word for the flag")
	case 1:
		delete(m.data, "successFlag")
		m.note("no state")
	default:
		m.data["successFlag"] = flag
	}
	if m.chance(3) {
		m.data["errorCode"], m.data["failCode"], m.data["failMsg"] = "0", "", nil
	}
	if m.chance(5) {
		m.body["status"] = m.pick("failed", "running", "200")
		m.note("a status in the envelope")
	}
}

// links adds the pictures' links.
func (m *mutant) links() {
	n := 1 + m.dice.IntN(4)*m.dice.IntN(2)
	spelled := make([]string, n)
	kind := m.pick("absolute", "absolute", "absolute", "//", "/", "relative", "percent", "signed", "space", "http", "slashes")
	for i := range n {
		path := fmt.Sprintf("files/%d-%04x.png", i, m.dice.IntN(1<<16))
		want := "https://cdn.example/" + path
		spelled[i] = want
		switch kind {
		case "//":
			spelled[i] = strings.TrimPrefix(want, "https:")
		case "/":
			spelled[i], want = "/"+path, mutantOrigin+"/"+path
		case "relative":
			spelled[i], want = path, mutantOrigin+"/"+path
		case "percent":
			spelled[i], want = want+"?name=100%", want+"?name=100%25"
		case "space":
			spelled[i], want = strings.Replace(want, "-", " - ", 1), strings.Replace(want, "-", "%20-%20", 1)
		case "http":
			want = "http" + strings.TrimPrefix(want, "https")
			spelled[i] = want
		case "slashes":
			spelled[i] = strings.ReplaceAll(want, "/", `\/`)
		case "signed":
			want += "?a=1,2;3&sig=" + strings.Repeat("Ab%2F", 300)
			spelled[i] = want
		}
		m.want = append(m.want, want)
	}
	container := m.pick("response", "response", "info", "resultJson", "output", "outputs", "result", "results", "",
		m.pick(wrappers...))
	name := m.pick("resultImageUrl", "resultImageUrl", "resultImageUrls", "resultUrls", "result_urls", "images", "imageUrl", "image",
		"url", "file", "outputUrl", "image_links", "download_url", "resultFile", "links")
	value := m.value(spelled)
	delete(m.data, "response")
	holder := m.data
	if container != "" {
		holder = object{"originImageUrl": "https://bfl.com/image/original.jpg", "seed": 7}
		m.data[container] = holder
	}
	switch {
	case container != "" && !slices.Contains(wrappers, container) && m.chance(4):
		m.data[container] = value
	default:
		holder[name] = value
	}
	m.note("%d %s links in %s %s", n, kind, container, name)
}

// wrappers are names that do not hint at a result: values in them need a name that does.
var wrappers = []string{"payload", "media", "assets", "content", "body"}

// value returns the links in one of the forms in which they occur.
func (m *mutant) value(links []string) any {
	list := make([]any, len(links))
	objects := make([]any, len(links))
	keyed := object{}
	for i, link := range links {
		list[i] = link
		objects[i] = object{"url": link, "content_type": "image/png", "width": 1024}
		keyed[fmt.Sprint(i)] = link
	}
	text, _ := json.Marshal(list)
	form := m.dice.IntN(11)
	m.note("form %d", form)
	switch form {
	case 0:
		return list
	case 1:
		return objects
	case 2:
		return keyed
	case 3:
		return string(text)
	case 4:
		return strings.Join(links, m.pick(",", ", ", ";", "\n", " ", " ; "))
	case 5:
		return "[" + strings.Join(links, ", ") + "]"
	case 6: // one level deeper
		for i, link := range links {
			objects[i] = object{m.pick("image", "file"): object{m.pick("url", "href", "link", "uri"): link, "mime": "image/png"}}
		}
		return objects
	case 7:
		return []any{list}
	case 8: // quoted twice
		twice, _ := json.Marshal(string(text))
		return string(twice)
	case 9: // of texts that hold objects
		for i := range objects {
			text, _ := json.Marshal(objects[i])
			list[i] = string(text)
		}
		return list
	}
	if len(links) == 1 {
		return links[0]
	}
	return list
}

// shape changes how the parts of the answer are nested.
func (m *mutant) shape() {
	if m.folded {
		return
	}
	inner := m.pick(slices.Sorted(maps.Keys(m.data))...)
	kind := m.dice.IntN(8)
	m.note("shape %d %s", kind, inner)
	switch kind {
	case 0: // without data
		delete(m.body, "data")
		for name, value := range m.data {
			if _, taken := m.body[name]; !taken || name == "status" {
				m.body[name] = value
			}
		}
		if _, stated := m.data["status"]; !stated {
			delete(m.body, "status") // it would be the record's
		}
		m.folded = true
	case 1:
		m.body["data"] = []any{m.data}
		m.folded = true
	case 2:
		text, _ := json.Marshal(m.data)
		m.body["data"] = string(text)
		m.folded = true
	case 3: // one level deeper
		m.body["data"] = object{m.pick("record", "task", "item", "detail", "data", "content"): m.data}
		m.folded = true
	case 4: // a part as text
		if part := m.data[inner]; part != nil {
			if _, isText := part.(string); !isText {
				text, _ := json.Marshal(part)
				m.data[inner] = string(text)
			}
		}
	case 5: // a part in a list
		if part, isObject := m.data[inner].(object); isObject {
			m.data[inner] = []any{part}
		}
	case 6: // a part flatter
		if part, isObject := m.data[inner].(object); isObject && !strings.HasPrefix(inner, "param") && part["seed"] != nil {
			delete(m.data, inner)
			maps.Copy(m.data, part)
		}
	case 7: // a part deeper
		if part, isObject := m.data[inner].(object); isObject && part["seed"] != nil {
			m.data[inner] = object{m.pick("value", "content", "body", "0"): part}
		}
	}
}

// wrap puts the whole answer, with its envelope, into another value.
func (m *mutant) wrap() {
	switch m.dice.IntN(3) {
	case 0:
		m.body = object{m.pick("result", "payload", "response"): m.body}
	case 1:
		m.body = object{"code": 200, "data": m.body}
	case 2:
		text, _ := json.Marshal(m.body)
		m.body = object{"body": string(text)}
	}
	m.note("wrapped")
}

// rename writes all names in another spelling.
func (m *mutant) rename(value any) any {
	spell := []func(string) string{strings.ToUpper, strings.ToLower, snake("_"), snake("-"), title}[m.dice.IntN(5)]
	return renamed(value, spell)
}

func renamed(value any, spell func(string) string) any {
	switch v := value.(type) {
	case object:
		out := object{}
		for name, inner := range v {
			out[spell(name)] = renamed(inner, spell)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = renamed(inner, spell)
		}
		return out
	}
	return value
}

func title(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

func snake(separator string) func(string) string {
	return func(name string) string {
		var b strings.Builder
		for _, r := range name {
			if r >= 'A' && r <= 'Z' {
				b.WriteString(separator)
			}
			b.WriteString(strings.ToLower(string(r)))
		}
		return b.String()
	}
}
