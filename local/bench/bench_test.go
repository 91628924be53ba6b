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

// The spread of a ratio is that of rounds: a drift that meets both builds does not widen it.
func TestSpread(t *testing.T) {
	drifting := []float64{1, 2, 4, 8, 16}
	if low, high := spread(drifting, []float64{2, 4, 8, 16, 32}); low != 2 || high != 2 {
		t.Errorf("each round takes twice as long, and the spread is %v to %v", low, high)
	}
	if low, high := spread(drifting, []float64{2, 4, 8, 16, 64}); low != 2 || high != 4 {
		t.Errorf("one round takes four times as long, and the spread is %v to %v", low, high)
	}
}
