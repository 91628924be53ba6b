package task_test

import (
	"testing"

	"github.com/preset/nanobanana-functions/shared/task"
)

func TestCredits(t *testing.T) {
	tenth := 0.1
	for n, want := range map[float64]string{
		0: "0", 4: "4", -4: "-4", 4.5: "4.5", 999_999: "999999", 1_000_000: "1000000", 123_456_789.25: "123456789.25", 1e15: "1000000000000000",
		tenth + 0.2: "0.3", 1000 - 3*tenth: "999.7", 0.000001: "0.000001", -0.0000001: "0",
	} {
		if got := task.Credits(n); got != want {
			t.Errorf("%v credits are %q, want %q", n, got, want)
		}
	}
}
