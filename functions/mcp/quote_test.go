package mcp_test

import (
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// quote is what quote_image returns.
type quote struct {
	Credits, Balance *float64
	CanGenerate      bool
	Problems         []struct {
		Code   task.Code
		Faults []struct{ Argument, Message string }
	}
	Task            *struct{ TaskID string }
	ImagesLeftToday *int
	Quota           struct{ Limit, Used int }
	NextStep        string
}

func (h *harness) quote(a map[string]any) (q quote, text string) {
	h.t.Helper()
	written := func() int { return h.Rows.Count("create") + h.Rows.Count("put") }
	writes, posts := written(), h.Sim.Posts()
	got := h.call("quote_image", a)
	got.decode(&q)
	if written() != writes || h.Sim.Posts() != posts {
		h.t.Errorf("the quote wrote %d rows and sent %d POSTs", written()-writes, h.Sim.Posts()-posts)
	}
	return q, got.text()
}

// codes returns the problems' codes and the arguments they name.
func (q quote) codes() (codes, faults string) {
	for _, p := range q.Problems {
		codes += string(p.Code) + " "
		for _, f := range p.Faults {
			faults += f.Argument + " "
		}
	}
	return strings.TrimSpace(codes), strings.TrimSpace(faults)
}

func TestQuote(t *testing.T) {
	h := newHarness(t)
	h.Quota = 3
	order := args("requestKey", "q1", "prompt", "a lighthouse", "numImages", 2)
	q, text := h.quote(order)
	if *q.Credits != 8 || *q.Balance != 1000 || *q.ImagesLeftToday != 3 || q.Quota.Limit != 3 || !q.CanGenerate || q.Task != nil || len(q.Problems) != 0 {
		t.Errorf("the quote is %+v", q)
	}
	for _, words := range []string{"costs 8 credits", "balance is 1000 credits", "3 of 3 pictures", "Nothing speaks against it"} {
		if !strings.Contains(text, words) {
			t.Errorf("it does not say %q: %s", words, text)
		}
	}
	if q, _ := h.quote(args("prompt", "a lighthouse")); *q.Credits != 4 || !q.CanGenerate {
		t.Errorf("without a requestKey the quote is %+v", q)
	}

	var p picture
	made := h.call("generate_image", order)
	if made.decode(&p); strings.Contains(made.text(), "used before") {
		t.Error("the quote has used up the requestKey")
	}
	q, text = h.quote(order)
	if q.Task == nil || q.Task.TaskID != p.TaskID || *q.Credits != 8 || *q.ImagesLeftToday != 1 || !q.CanGenerate || !strings.Contains(text, "costs nothing more") {
		t.Errorf("then it is %+v: %s", q, text)
	}
	t.Run("another order under the key is refused", func(t *testing.T) {
		q, _ := h.with(t).quote(args("requestKey", "q1", "prompt", "another"))
		if codes, _ := q.codes(); codes != string(task.CodeIdempotencyKeyReused) || q.CanGenerate {
			t.Errorf("the quote is %+v", q)
		}
	})
	t.Run("another owner's key is another key", func(t *testing.T) {
		var q quote
		if h.with(t).call("quote_image", order, "Authorization", "Bearer "+h.identity.Token("bob")).decode(&q); q.Task != nil {
			t.Errorf("bob sees %+v", q.Task)
		}
	})
}

// Everything that speaks against an order is found, and none of it is an error.
func TestQuoteOfRefused(t *testing.T) {
	h := newHarness(t)
	h.Quota = 1
	for _, tt := range []struct {
		name          string
		arguments     map[string]any
		codes, faults string
	}{
		{"a prompt that the filter refuses", args("prompt", "a naked woman"), "prompt_rejected", "prompt"},
		{"an option the model lacks", args("prompt", "a", "resolution", "4K"), "invalid_request", "resolution"},
		{"an unknown model", args("prompt", "a", "model", "dall-e"), "invalid_request", "model"},
		{"more than the quota", args("prompt", "a", "numImages", 2), "quota_exceeded", ""},
		{"a link to this machine", args("prompt", "a", "imageUrls", []string{"https://127.0.0.1/x.png"}), "invalid_request", "imageUrls/0"},
		{"all together", args("prompt", "a naked woman", "numImages", 2), "prompt_rejected quota_exceeded", "prompt"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q, text := h.with(t).quote(tt.arguments)
			codes, faults := q.codes()
			if q.CanGenerate || codes != tt.codes || faults != tt.faults || q.NextStep == "" {
				t.Errorf("%s (%s), want %s (%s): %+v", codes, faults, tt.codes, tt.faults, q)
			}
			if strings.Count(text, "\nIt would be refused, ") != len(q.Problems) || !strings.Contains(text, "\nWhat to do: "+q.NextStep) {
				t.Errorf("the text is %s", text)
			}
		})
	}
	for name, a := range map[string]any{
		"an unknown argument": args("prompt", "a", "owner", "bob"), "a bad requestKey": args("prompt", "a", "requestKey", "a b"), "a number": args("prompt", 5),
	} {
		t.Run(name+" is an error", func(t *testing.T) { h.with(t).call("quote_image", a).checkRefused(task.CodeInvalidRequest) })
	}
}

// A balance that cannot be read does not hide the price.
func TestQuoteWithoutBalance(t *testing.T) {
	h := newHarness(t)
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Credit = nanobananatest.Fault{Kind: nanobananatest.FaultReset} })
	q, text := h.quote(args("prompt", "a lighthouse"))
	if q.Balance != nil || *q.Credits != 4 || q.ImagesLeftToday != nil || !strings.Contains(text, "balance cannot be read") {
		t.Errorf("the quote is %+v: %s", q, text)
	}
}

// An edit of an upload keeps a copy of it unless keepInputs says no.
func TestKeepInputs(t *testing.T) {
	h := newHarness(t)
	for key, want := range map[string]bool{"yes": false, "no": true, "": false} {
		a := args("requestKey", "keep-"+key, "prompt", "at night")
		if key != "" {
			a["keepInputs"] = key == "yes"
		}
		var p picture
		h.call("generate_image", a).decode(&p)
		if row, err := h.Rows.Task(t.Context(), p.TaskID); err != nil || row.DropInputs != want {
			t.Errorf("%q: DropInputs %v, %v", key, row.DropInputs, err)
		}
	}
}
