package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is linked and installed stands in docs/licences.md, under licences that are allowed.
func TestLicences(t *testing.T) {
	list, err := readList("../../" + page)
	if err != nil {
		t.Fatal(err)
	}
	found, err := parts(t.Context(), "../..")
	if err != nil {
		t.Fatal(err)
	}
	if err := compare(found, list); err != nil {
		t.Error(err)
	}
}

func TestCompare(t *testing.T) {
	module := part{name: "example.com/a", used: byFunctions, licence: "MIT", text: "abcd"}
	packed := part{name: "a", used: byPackage, licence: "ISC"}
	with := func(p part, change func(*part)) part { change(&p); return p }
	for name, c := range map[string]struct {
		found, list []part
		want        string
	}{
		"as listed":                 {[]part{with(module, func(p *part) { p.licence = "" }), packed}, []part{module, packed}, ""},
		"a new module":              {[]part{module, packed}, []part{packed}, "example.com/a is new"},
		"a new package":             {[]part{module, packed}, []part{module}, "a is new"},
		"another licence's text":    {[]part{module}, []part{with(module, func(p *part) { p.text = "ef01" })}, "another text"},
		"a package's other licence": {[]part{with(packed, func(p *part) { p.licence = "MIT" })}, []part{packed}, "has the licence MIT, not ISC"},
		"a licence not allowed":     {[]part{module}, []part{with(module, func(p *part) { p.licence = "AGPL-3.0-only" })}, "not allowed"},
		"a licence nobody has read": {[]part{module}, []part{with(module, func(p *part) { p.licence = "?" })}, "not allowed"},
		"one of two not allowed":    {[]part{module}, []part{with(module, func(p *part) { p.licence = "MIT AND SSPL-1.0" })}, "not allowed"},
		"a choice":                  {[]part{module}, []part{with(module, func(p *part) { p.licence = "(MIT OR CC0-1.0)" })}, ""},
		"a tool's in a function":    {[]part{module}, []part{with(module, func(p *part) { p.licence = "Python-2.0" })}, "not allowed"},
		"a module that is gone":     {nil, []part{module}, "no longer used"},
	} {
		t.Run(name, func(t *testing.T) { checkError(t, compare(c.found, c.list), c.want) })
	}
}

// A new row waits for a person; the others keep what a person has written.
func TestUpdate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "licences.md")
	before := "# Licences\n\nRead them.\n\n| part | licence | its text | used by |\n|---|---|---|---|\n| `a` | MIT | `01` | functions |\n| `b` | ISC | `02` | functions |\n"
	if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := readList(path)
	if err != nil {
		t.Fatal(err)
	}
	found := []part{{name: "a", used: byFunctions, text: "01"}, {name: "b", used: byFunctions, text: "03"}, {name: "c", used: byPackage, licence: "ISC"}}
	if err := write(path, found, list); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	want := strings.Replace(before, "| ISC | `02` | functions |", "| ? | `03` | functions |", 1) + "| `c` | ISC | | " + byPackage + " |\n"
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
}

func TestDescribe(t *testing.T) {
	list := []part{{name: "example.com/a", used: byFunctions, licence: "MIT"}}
	bill := `{"metadata": {"component": {"name": "us"}}, "components": [{"name": "example.com/a"}]}`
	got, err := describe([]byte(bill), "submit", "abcd", list)
	if err != nil {
		t.Fatal(err)
	}
	var b struct {
		Metadata struct {
			Component struct {
				Description string
				Hashes      []struct{ Alg, Content string }
			}
		}
		Components []struct{ Licenses []struct{ Expression string } }
	}
	if err := json.Unmarshal(got, &b); err != nil {
		t.Fatal(err)
	}
	if c := b.Metadata.Component; c.Description != "the function submit" || len(c.Hashes) != 1 || c.Hashes[0].Content != "abcd" || b.Components[0].Licenses[0].Expression != "MIT" {
		t.Errorf("%s", got)
	}
	_, err = describe([]byte(strings.ReplaceAll(bill, "com/a", "com/b")), "submit", "abcd", list)
	checkError(t, err, "does not list example.com/b")
	_, err = describe([]byte("{}"), "submit", "abcd", list)
	checkError(t, err, "no components")
}

func TestJudge(t *testing.T) {
	failed := errors.New("exit status 1")
	for name, c := range map[string]struct {
		judge     func([]byte, error) (string, error)
		said      string
		err       error
		want, bad string
	}{
		"Go: none":         {judgeGoBytes, "No vulnerabilities found.", nil, "none known", ""},
		"Go: unreachable":  {judgeGoBytes, `govulncheck: fetching vulnerabilities: Get "https://example.com/index/modules.json.gz": no such host`, failed, "not run", ""},
		"Go: found":        {judgeGoBytes, "Vulnerability #1: GO-2026-0001\n", failed, "", "GO-2026-0001"},
		"Go: broken":       {judgeGoBytes, "govulncheck: loading packages: \nfetching vulnerabilities:", failed, "", "loading packages"},
		"npm: none":        {judgeNPM, `{"auditReportVersion": 2, "vulnerabilities": {}}`, nil, "", ""},
		"npm: unreachable": {judgeNPM, `{"message": "request to http://example.com/-/npm/v1/security/advisories/bulk failed", "error": {"summary": ""}}`, failed, "not run", ""},
		"npm: found":       {judgeNPM, `{"auditReportVersion": 2, "vulnerabilities": {"left": {"severity": "low"}}}`, failed, "", "left (low)"},
		"npm: no lock":     {judgeNPM, `{"error": {"code": "ENOLOCK", "summary": "This command requires an existing lockfile."}}`, failed, "", "existing lockfile"},
		"npm: no report":   {judgeNPM, `{}`, failed, "", "no report"},
		"npm: no JSON":     {judgeNPM, ``, failed, "", "not JSON"},
		"npm: just failed": {judgeNPM, `{"auditReportVersion": 2, "vulnerabilities": {}}`, failed, "", "exit status 1"},
	} {
		t.Run(name, func(t *testing.T) {
			said, err := c.judge([]byte(c.said), c.err)
			if !strings.HasPrefix(said, c.want) || (said == "") != (c.want == "") {
				t.Errorf("it says %q, want %q", said, c.want)
			}
			checkError(t, err, c.bad)
		})
	}
}

func judgeGoBytes(said []byte, err error) (string, error) { return judgeGo(string(said), err) }

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}
