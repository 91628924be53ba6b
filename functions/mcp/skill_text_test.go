package mcp_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

var (
	jsonBlock = regexp.MustCompile("(?s)```json\n(.*?)```")
	codeWord  = regexp.MustCompile("`([^`\n]+)`")
)

// Each order that the skill shows is accepted as it stands: by the tool, the model
// that it names and the prompt filter.
func TestSkillExamples(t *testing.T) {
	h := newHarness(t)
	entries := strings.NewReplacer("task:ID/1", "task:"+h.Succeeded(t, "ada").ID+"/1", "upload:ID", "task:"+h.Succeeded(t, "ada").ID+"/1")
	keys := map[string]bool{}
	models := map[string]bool{}
	for uri, text := range skillTexts(t) {
		for _, block := range jsonBlock.FindAllStringSubmatch(text, -1) {
			order := read[map[string]any](t, []byte(entries.Replace(block[1])))
			key := fmt.Sprint(order["requestKey"])
			t.Run(key, func(t *testing.T) {
				var p picture
				h.with(t).call("generate_image", order).decode(&p)
				if keys[key] || p.TaskID == "" || strings.Contains(block[1], "ID/2") {
					t.Errorf("%s: the key is used twice, or the order was not made: %+v", uri, p)
				}
			})
			keys[key], models[fmt.Sprint(order["model"])] = true, true
		}
	}
	if len(keys) < 10 || len(models) != len(task.Models()) {
		t.Errorf("%d orders, of the models %v", len(keys), models)
	}
}

// skillRow returns the cells of the row of a table that begins with this code word.
func skillRow(t testing.TB, text, word string) []string {
	t.Helper()
	for line := range strings.SplitSeq(text, "\n") {
		if cells := strings.Split(strings.Trim(line, "| "), " | "); cells[0] == "`"+word+"`" {
			return cells
		}
	}
	t.Fatalf("no row begins with %s", word)
	return nil
}

// What the skill says of the models is what they take.
func TestSkillFollowsTheModels(t *testing.T) {
	texts := skillTexts(t)
	prompting := texts["skill://preset-images/references/prompting.md"]
	shapes, _, _ := strings.Cut(prompting[strings.Index(prompting, "## Shape and size"):], "\n\n`resolution`")
	var named, known []string
	for _, m := range task.Models() {
		row := skillRow(t, texts[skillMain], m.ID)
		if row[2] != strconv.Itoa(m.MaxInputs) || !strings.HasPrefix(row[3], strconv.Itoa(m.TypicalSeconds)+" s") {
			t.Errorf("%s takes %d references and %d s: %q", m.ID, m.MaxInputs, m.TypicalSeconds, row)
		}
		if several := "2 to " + strconv.Itoa(m.MaxImages) + " variants"; strings.Contains(row[1], "variants") != (m.MaxImages > 1) || m.MaxImages > 1 && !strings.Contains(row[1], several) {
			t.Errorf("%s makes %d images at a time: %q", m.ID, m.MaxImages, row)
		}
		if strings.Contains(prompting, "`resolution` exists for `nano-banana-2` and `nano-banana-pro`") != (len(m.Resolutions) > 0) && m.ID != task.DefaultModel {
			t.Errorf("%s has the resolutions %v", m.ID, m.Resolutions)
		}
		known = append(known, m.AspectRatios...)
	}
	for line := range strings.SplitSeq(shapes, "\n") {
		cell, use, isRow := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		if !isRow {
			continue
		}
		for _, ratio := range codeWord.FindAllStringSubmatch(cell, -1) {
			named = append(named, ratio[1])
			for _, m := range task.Models() {
				alone := strings.Contains(use, "alone")
				if alone != !slices.Contains(task.Models()[0].AspectRatios, ratio[1]) ||
					alone && strings.Contains(use, "`"+m.ID+"`") != slices.Contains(m.AspectRatios, ratio[1]) {
					t.Errorf("%s of %s: %s", ratio[1], m.ID, line)
				}
			}
		}
	}
	checkSame(t, "shapes in prompting.md", named, known)
}

// The skill says what to do about each code, in agreement with what the results say
// of it: what happened, and whether a call with the same key or a new one may follow.
func TestSkillFailures(t *testing.T) {
	text := skillTexts(t)["skill://preset-images/references/failures.md"]
	for _, code := range codes(t) {
		x, row := httpapi.Explain(code), skillRow(t, text, string(code))
		if len(row) != 3 || row[1] != x.Title || !strings.HasSuffix(row[2], ".") {
			t.Errorf("%s is %q: %q", code, x.Title, row)
			continue
		}
		for _, key := range []string{"the same requestKey", "a new requestKey"} {
			if strings.Contains(row[2], key) != strings.Contains(x.Claude, key) {
				t.Errorf("%s: the result says %q, the skill %q", code, x.Claude, row[2])
			}
		}
	}
	if rows := strings.Count(text, "\n| `"); rows != len(codes(t)) {
		t.Errorf("%d codes are explained, of %d", rows, len(codes(t)))
	}
}

// codes returns every code of ours, by what the contract publishes.
func codes(t testing.TB) (list []task.Code) {
	t.Helper()
	source, err := os.ReadFile("../../shared/task/code.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`Code = "([a-z_]+)"`).FindAllSubmatch(source, -1) {
		list = append(list, task.Code(m[1]))
	}
	if len(list) < 25 {
		t.Fatalf("%d codes", len(list))
	}
	return list
}

// What the skill names exists: tools, their arguments and results, files.
func TestSkillNames(t *testing.T) {
	texts := skillTexts(t)
	known := map[string]bool{}
	for _, d := range definitions(t) {
		known[d.Name] = true
		for _, schema := range [][]byte{d.InputSchema, d.OutputSchema} {
			names(read[any](t, schema), known)
		}
	}
	for _, code := range codes(t) {
		known[string(code)] = true
	}
	for uri, text := range texts {
		for _, m := range codeWord.FindAllStringSubmatch(jsonBlock.ReplaceAllString(text, ""), -1) {
			if word := regexp.MustCompile(`^[a-z]+(_[a-z]+|[A-Z][a-zA-Z]*)+$`).FindString(m[1]); word != "" && !known[word] {
				t.Errorf("%s: there is no %s", uri, word)
			}
		}
		if uri != skillMain && !strings.Contains(texts[skillMain], "("+strings.TrimPrefix(uri, "skill://preset-images/")+")") {
			t.Errorf("SKILL.md does not link to %s", uri)
		}
		if words := len(strings.Fields(text)); words > 1000 {
			t.Errorf("%s has %d words", uri, words)
		}
	}
	for _, tool := range slices.Sorted(maps.Keys(known)) {
		if strings.HasSuffix(tool, "_image") && tool != "watch_image" && !strings.Contains(fmt.Sprint(texts), "`"+tool+"`") {
			t.Errorf("the skill does not know %s", tool)
		}
	}
}

// names adds the names of all properties in a schema.
func names(v any, known map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for name, of := range v {
			known[name] = true
			names(of, known)
		}
	case []any:
		for _, of := range v {
			names(of, known)
		}
	}
}

// The frontmatter obeys the Agent Skills specification, and the stricter limits of the
// places where people install a skill by hand.
func TestSkillFrontmatter(t *testing.T) {
	_, result, _ := newHarness(t).ask("2026-07-28", "skills/get", `{"uri":"`+skillMain+`"}`)
	var got struct {
		Skill struct{ Frontmatter map[string]string }
	}
	if err := json.Unmarshal(result, &got); err != nil {
		t.Fatal(err)
	}
	m := got.Skill.Frontmatter
	if name := m["name"]; !regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`).MatchString(name) || len(name) > 64 || !strings.HasSuffix(skillFolder, "/"+name) || strings.Contains(name, "claude") {
		t.Errorf("the name is %q", name)
	}
	if d := m["description"]; d == "" || len(d) > 200 || strings.ContainsAny(d, "<>") {
		t.Errorf("the description has %d bytes: %q", len(d), d)
	}
	for key := range m {
		if !slices.Contains([]string{"name", "description", "license", "compatibility"}, key) {
			t.Errorf("a field that not every host takes: %s", key)
		}
	}
}
