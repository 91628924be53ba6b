package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An event that is changed to another task names only that one.
func TestEvent(t *testing.T) {
	t.Chdir("../../..")
	files, err := filepath.Glob("events/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d events, %v", len(files), err)
	}
	s := &connection{token: "a-token"}
	about := subject{key: "another-key", providerID: "another-provider-id", result: "https://example.com/1.png", file: "1-0123456789abcdef.png"}
	replaced := []string{"put-a-token-here", written.key, written.id(), written.providerID, written.result, written.file}
	found := map[string]bool{}
	for _, path := range files {
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		got, err := s.event(name, about)
		if err != nil || !json.Valid([]byte(got)) {
			t.Errorf("%s: %v, %s", name, err, got)
		}
		for _, old := range replaced {
			found[old] = found[old] || strings.Contains(string(before), old)
			if strings.Contains(got, old) {
				t.Errorf("%s still has %s", name, old)
			}
		}
	}
	for _, old := range replaced {
		if !found[old] {
			t.Errorf("no event contains %s: events/ has changed", old)
		}
	}
}
