package mcp_test

import (
	"strings"
	"testing"
	"time"
)

// Credits are whole numbers to people, however many there are.
func TestCreditsInWords(t *testing.T) {
	h := newHarness(t)
	h.Sim.SetBalance(1_000_000)
	if got := h.call("get_credits", args()).text(); !strings.HasPrefix(got, "1000000 credits as of ") {
		t.Errorf("the text is %s", got)
	}
	h.Prices["nano-banana"] = 2_000_000
	h.Sim.SetBalance(9_000_000)
	h.Clock.Add(time.Minute) // until the balance is read again
	if got := h.call("generate_image", args("requestKey", "dear", "prompt", "a lighthouse")).text(); !strings.Contains(got, " 2000000 credits\n") {
		t.Errorf("the text is %s", got)
	}
}
