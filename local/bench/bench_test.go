package main

import (
	"runtime"
	"testing"
)

// Whole requests run against the stand-ins over TLS. A process shakes hands in full at
// most once with the provider and once with the identity provider, however many requests
// it serves.
func TestHandshakes(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the bench needs Linux")
	}
	dir := t.TempDir()
	binaries, err := build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWorld(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	all, err := scenes(t.Context(), w, binaries, 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, most := range map[string]int{"submit": 2, "callback": 1, "tasks": 1, "images": 0} {
		s := all[name]
		s.answers = 3
		m, err := s.run(t.Context(), binaries[name])
		if err != nil {
			t.Fatal(err)
		}
		if m.shaken > most {
			t.Errorf("%s shook hands in full %d times in 3 requests, want at most %d", name, m.shaken, most)
		}
	}
}
