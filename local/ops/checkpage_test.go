package ops_test

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/local/ops"
	"github.com/preset/nanobanana-functions/local/serve"
)

// docs/ops.md shows what check prints about a local run that works.
func TestCheckOfALocalRun(t *testing.T) {
	getenv := func(string) string { return "" }
	s, err := serve.Start(serve.Options{Addr: "127.0.0.1:0", Data: t.TempDir(), Getenv: getenv, Log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	addr := strings.TrimPrefix(s.URL, "http://")
	var out, errOut bytes.Buffer
	if exit := ops.Main(t.Context(), []string{"check", "-addr", addr}, ops.Options{Getenv: getenv, In: strings.NewReader(""), Out: &out, Err: &errOut}); exit != ops.Fine {
		t.Fatalf("%d: %s%s", exit, out.String(), errOut.String())
	}
	shown := strings.ReplaceAll(out.String(), addr, "127.0.0.1:8787")
	shown = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`).ReplaceAllString(shown, "2026-03-14 03:12:00")
	page, err := os.ReadFile("../../docs/ops.md")
	if err != nil || !strings.Contains(string(page), "```text\n"+shown+"```") {
		t.Errorf("%v: docs/ops.md does not show\n%s", err, shown)
	}
}
